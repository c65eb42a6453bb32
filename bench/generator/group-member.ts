import { setTimeout as sleep } from 'node:timers/promises';

import {
  findCoordinator,
  heartbeat,
  joinGroup,
  kafkaErrors,
  leaveGroup,
  offsetCommit,
  syncGroup,
} from '@polylog/kafka-protocol';

import type { Address } from './connection.ts';
import { errorNameOf } from './errors.ts';
import { Exchange } from './exchange.ts';

/** As stock clients have them: */
const SESSION_MS = 45_000;
const REBALANCE_MS = 60_000;
/** but these, which would be 3 and 5 seconds, and would not happen within a round. */
const HEARTBEAT_MS = 500;
const COMMIT_MS = 250;

/** The first group of all makes Kafka create its internal topic. */
const JOIN_MS_MAX = 60_000;
const JOIN_POLL_MS = 50;
const NOT_YET: ReadonlySet<number> = new Set([
  kafkaErrors.COORDINATOR_NOT_AVAILABLE.code,
  kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS.code,
  kafkaErrors.NOT_COORDINATOR.code,
]);

export interface MemberOptions {
  readonly groupId: string;
  readonly topic: string;
  /** The offset up to which partition 0 has been read, asked for each commit. */
  readonly position: () => number;
  readonly failed: (error: Error) => void;
}

/**
 * The only member of a classic consumer group, with partition 0 of a topic, on a connection of its own as stock clients have it:
 * joins, then sends heartbeats and commits its position until it leaves.
 */
export class GroupMember {
  readonly #exchange: Exchange;
  readonly #options: MemberOptions;
  readonly #memberId: string;
  readonly #generationId: number;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #committed = 0;
  #nextHeartbeatMs = 0;

  private constructor(exchange: Exchange, options: MemberOptions, joined: Joined) {
    this.#exchange = exchange;
    this.#options = options;
    this.#memberId = joined.memberId;
    this.#generationId = joined.generationId;
  }

  /** Resolves when the partition has been assigned to it. */
  static async join(address: Address, options: MemberOptions): Promise<GroupMember> {
    const coordinator = await coordinatorOf(address, options.groupId);
    const exchange = new Exchange(coordinator);
    try {
      return new GroupMember(exchange, options, await enter(exchange, options));
    } catch (error) {
      exchange.close();
      throw error;
    }
  }

  /** Heartbeats and commits from now on. */
  start(): void {
    this.#timer = setInterval(() => {
      this.#turn = this.#turn.then(() => this.#tick()).catch(this.#failed);
    }, COMMIT_MS);
  }

  /** Commits once more and leaves, as a client that is closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    try {
      await this.#turn;
      await this.#commit();
      const members = [{ memberId: this.#memberId }];
      const { groupId } = this.#options;
      check((await this.#exchange.ask(leaveGroup, 4, { groupId, members })).errorCode, 'LeaveGroup', groupId);
    } finally {
      this.#exchange.close();
    }
  }

  async #tick(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs >= this.#nextHeartbeatMs) {
      this.#nextHeartbeatMs = nowMs + HEARTBEAT_MS;
      const { groupId } = this.#options;
      const body = { groupId, generationId: this.#generationId, memberId: this.#memberId };
      check((await this.#exchange.ask(heartbeat, 4, body)).errorCode, 'Heartbeat', groupId);
    }
    await this.#commit();
  }

  async #commit(): Promise<void> {
    const { groupId, topic, position } = this.#options;
    const committedOffset = position();
    if (committedOffset === this.#committed) return;
    this.#committed = committedOffset;
    const { topics } = await this.#exchange.ask(offsetCommit, 8, {
      groupId,
      generationIdOrMemberEpoch: this.#generationId,
      memberId: this.#memberId,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: '' }] }],
    });
    check(topics[0]!.partitions[0]!.errorCode, 'OffsetCommit', groupId);
  }

  readonly #failed = (error: unknown): void => {
    clearInterval(this.#timer);
    this.#options.failed(error instanceof Error ? error : new Error(String(error)));
  };
}

async function coordinatorOf(address: Address, groupId: string): Promise<Address> {
  const exchange = new Exchange(address);
  try {
    const deadlineMs = performance.now() + JOIN_MS_MAX;
    for (;;) {
      const { coordinators } = await exchange.ask(findCoordinator, 4, {
        keyType: 0,
        coordinatorKeys: [groupId],
      });
      const { errorCode, host, port } = coordinators[0]!;
      if (errorCode === 0) return { host, port };
      if (!NOT_YET.has(errorCode) || performance.now() > deadlineMs)
        check(errorCode, 'FindCoordinator', groupId);
      await sleep(JOIN_POLL_MS);
    }
  } finally {
    exchange.close();
  }
}

interface Joined {
  readonly memberId: string;
  readonly generationId: number;
}

async function enter(exchange: Exchange, { groupId, topic }: MemberOptions): Promise<Joined> {
  const protocols = [{ name: 'range', metadata: subscriptionTo(topic) }];
  const common = { groupId, sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS };
  const deadlineMs = performance.now() + JOIN_MS_MAX;
  let memberId = '';
  for (;;) {
    const answer = await exchange.ask(joinGroup, 7, {
      ...common,
      protocolType: 'consumer',
      memberId,
      protocols,
    });
    const { errorCode, generationId } = answer;
    if (errorCode === 0) {
      ({ memberId } = answer);
      const assignments = [{ memberId, assignment: assignmentOf(topic) }];
      const synced = await exchange.ask(syncGroup, 4, { groupId, generationId, memberId, assignments });
      check(synced.errorCode, 'SyncGroup', groupId);
      if (!Buffer.from(synced.assignment).equals(assignmentOf(topic)))
        throw new Error(`${groupId} was assigned something else than its partition`);
      return { memberId, generationId };
    }
    // KIP-394: the broker gives an id first, to come again with.
    if (errorCode === kafkaErrors.MEMBER_ID_REQUIRED.code) ({ memberId } = answer);
    else if (NOT_YET.has(errorCode) && performance.now() < deadlineMs) await sleep(JOIN_POLL_MS);
    else check(errorCode, 'JoinGroup', groupId);
  }
}

/** ConsumerProtocolSubscription v0: int16 version, [string] topics, bytes of the user's (null). */
function subscriptionTo(topic: string): Buffer {
  return Buffer.concat([int16(0), int32(1), string(topic), int32(-1)]);
}

/** ConsumerProtocolAssignment v0: int16 version, [string topic, [int32 partition]], bytes of the user's (null). */
function assignmentOf(topic: string): Buffer {
  return Buffer.concat([int16(0), int32(1), string(topic), int32(1), int32(0), int32(-1)]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function string(text: string): Buffer {
  return Buffer.concat([int16(text.length), Buffer.from(text, 'ascii')]);
}

function check(errorCode: number, what: string, groupId: string): void {
  if (errorCode !== 0) throw new Error(`${what} of group ${groupId} was answered ${errorNameOf(errorCode)}`);
}

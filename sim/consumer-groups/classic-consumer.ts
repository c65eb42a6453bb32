import { heartbeat, joinGroup, leaveGroup, syncGroup, type JoinGroupResponse } from '@polylog/kafka-protocol';
import {
  encodeAssignment,
  parseAssignment,
  parseSubscription,
} from '../../packages/broker/src/groups/subscription.core.ts';
import { GroupClient, TRANSIENT, type GroupHost } from '../groups/group-client.ts';
import type { GroupView } from '../groups/model.ts';
import { Violation } from '../invariants/history.ts';
import type { Ownership } from './ownership.ts';
import { encodeSubscription } from './subscription.ts';

const PAUSE_MS_MAX = 25;
const AWAY_MS_MAX = 400;
/** Far longer than a session, as in {@link ConsumerMember}. */
const REBALANCE_TIMEOUT_MS = 60_000;
const SUBSCRIPTION_VERSION = 1;
const KNOWN_ID_SINCE = 4;
/** One in so many heartbeats of a leader finds that the topic has changed, as clients do that look at its metadata now and then. */
const REFRESH_CHANCE = 0.02;

/** A consumer of the classic protocol that gives up only what it has to (KIP-429), in a group that changes from one protocol to the other. */
export class ClassicConsumer extends GroupClient {
  readonly #view: GroupView;
  readonly #ownership: Ownership;
  readonly #sessionMs: number;
  readonly #partitions: () => number;
  #memberId = '';
  #generation = -1;
  #isJoined = false;
  #isLeader = false;
  #owned: readonly number[] = [];
  #claimedUntilMs = 0;

  constructor(
    host: GroupHost,
    name: string,
    options: {
      readonly view: GroupView;
      readonly ownership: Ownership;
      readonly sessionMs: number;
      /** Of the topic, as its metadata tell. */
      readonly partitions: () => number;
    },
  ) {
    super(host, name);
    this.#view = options.view;
    this.#ownership = options.ownership;
    this.#sessionMs = options.sessionMs;
    this.#partitions = options.partitions;
  }

  get owned(): readonly number[] {
    return this.#owned;
  }

  get isMember(): boolean {
    return this.#isJoined;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    await this.findCoordinator(this.#view);
    if (!this.#isJoined) {
      await this.#join();
      return;
    }
    const dice = this.host.draining() ? this.random.fraction() * 0.9 : this.random.fraction();
    if (dice < 0.7) await this.#heartbeat();
    else if (dice < 0.9) await this.#commit();
    else if (dice < 0.93) await this.#leave();
    else if (dice < 0.95) await this.#die();
    else if (dice < 0.96) await this.#stall();
  }

  async #join(): Promise<void> {
    const version = this.version(joinGroup);
    const topics = [this.host.model.topic];
    const owned = this.#owned.length === 0 ? [] : [{ topic: topics[0]!, partitions: this.#owned }];
    const metadata = encodeSubscription(topics, owned);
    const response = await this.ask(joinGroup, version, {
      groupId: this.#view.groupId,
      sessionTimeoutMs: this.#sessionMs,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'cooperative', metadata }],
    });
    if (response.errorCode !== 0) {
      const error = this.refusedWith('classic-join', response.errorCode);
      if (error === 'MEMBER_ID_REQUIRED' && version >= KNOWN_ID_SINCE) this.#memberId = response.memberId;
      else this.#refused(error);
      return;
    }
    this.#memberId = response.memberId;
    this.#generation = response.generationId;
    this.#isLeader = response.leader === this.#memberId && !response.skipAssignment;
    this.count(response.leader === '' ? 'classic-join.of-consumer-group' : 'classic-join.of-classic-group');
    await this.#sync(response);
  }

  async #sync(join: JoinGroupResponse): Promise<void> {
    const sentMs = this.nowMs;
    const response = await this.ask(syncGroup, this.version(syncGroup), {
      groupId: this.#view.groupId,
      generationId: join.generationId,
      memberId: this.#memberId,
      assignments: this.#isLeader ? this.#assign(join) : [],
    });
    if (response.errorCode !== 0) {
      this.#refused(this.refusedWith('classic-sync', response.errorCode));
      return;
    }
    const assigned = parseAssignment(response.assignment)!.flatMap(({ partitions }) => partitions);
    const hasLost = this.#owned.some((partition) => !assigned.includes(partition));
    this.#owned = assigned;
    this.#claim(sentMs);
    this.count('classic-sync.done');
    // What it has given up others get as soon as it has said so.
    this.#isJoined = !hasLost;
  }

  /** What somebody has stays with it, until it has said that it has it no more. */
  #assign({ members }: JoinGroupResponse): { memberId: string; assignment: Uint8Array }[] {
    const owners = new Map<number, string>();
    for (const { memberId, metadata } of members) {
      for (const { partitions } of parseSubscription(metadata)!.owned) {
        for (const partition of partitions) owners.set(partition, memberId);
      }
    }
    const { topic } = this.host.model;
    return members.map(({ memberId }, index) => {
      const partitions = [];
      for (let partition = index; partition < this.#partitions(); partition += members.length) {
        if ((owners.get(partition) ?? memberId) === memberId) partitions.push(partition);
      }
      const topics = partitions.length === 0 ? [] : [{ topic, partitions }];
      return { memberId, assignment: encodeAssignment(SUBSCRIPTION_VERSION, topics) };
    });
  }

  #claim(sentMs: number): void {
    this.#claimedUntilMs = sentMs + this.#sessionMs;
    this.#ownership.claim(this.name, this.#owned, this.#claimedUntilMs, this.nowMs);
  }

  async #heartbeat(): Promise<void> {
    const sentMs = this.nowMs;
    const { errorCode } = await this.ask(heartbeat, this.version(heartbeat), {
      groupId: this.#view.groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
    });
    if (errorCode === 0) {
      this.count('classic-heartbeat.ok');
      // A coordinator that is still loading says so to everybody, also to members that have lost their places.
      if (sentMs < this.#claimedUntilMs) this.#claim(sentMs);
      if (this.#isLeader && this.random.chance(REFRESH_CHANCE)) this.#isJoined = false;
      return;
    }
    this.#refused(this.refusedWith('classic-heartbeat', errorCode));
  }

  #refused(error: string): void {
    if (TRANSIENT.has(error)) return;
    this.#isJoined = false;
    switch (error) {
      case 'REBALANCE_IN_PROGRESS':
        return;
      case 'ILLEGAL_GENERATION':
        this.#lose();
        return;
      case 'UNKNOWN_MEMBER_ID':
        this.#lose();
        this.#memberId = '';
        return;
      default:
        throw new Violation('unexpected-error', `${this.name}: ${error}`);
    }
  }

  #lose(): void {
    this.#owned = [];
    this.#isJoined = false;
    this.#ownership.drop(this.name);
  }

  async #commit(): Promise<void> {
    if (this.#owned.length === 0) return;
    const as = { generationId: this.#generation, memberId: this.#memberId, groupInstanceId: null };
    const error = await this.commit(this.#view, [this.random.pick(this.#owned)], as);
    if (error !== undefined) this.#refused(error);
  }

  async #leave(): Promise<void> {
    const memberId = this.#memberId;
    this.#lose();
    this.#memberId = '';
    const version = this.version(leaveGroup);
    const { errorCode } = await this.ask(leaveGroup, version, {
      groupId: this.#view.groupId,
      ...(version >= 3 ? { members: [{ memberId }] } : { memberId }),
    });
    if (errorCode === 0) this.count('classic-leave.done');
    else this.refusedWith('classic-leave', errorCode);
    await this.sleep(this.random.fraction() * AWAY_MS_MAX);
  }

  async #die(): Promise<void> {
    this.#lose();
    this.#memberId = '';
    this.count('classic.died');
    await this.breakOff();
  }

  async #stall(): Promise<void> {
    this.count('classic.stalled');
    await this.sleep(this.#sessionMs * (1.2 + this.random.fraction()));
  }
}

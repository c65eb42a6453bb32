import { encodeAssignment, parseAssignment } from '../../../src/groups/subscription.core.ts';
import { Writer } from '@polylog/bytes';
import type { JoinRequest, JoinResponse } from '../../../src/groups/types.ts';
import type { Groups } from '../harness.ts';

/** How a client of the classic protocol meets a rebalance: it gives everything up first, or only what it is told to (KIP-429). */
export type Kind = 'eager' | 'cooperative';

type State = 'outside' | 'joining' | 'syncing' | 'member';

/** A client of the classic protocol, of the one topic `input`. Where it is the leader it assigns; to itself only what nobody has. */
export class ClassicMember {
  readonly #groups: Groups;
  readonly kind: Kind;
  readonly #instanceId: string | null;
  memberId = '';
  generation = -1;
  state: State = 'outside';
  owned: readonly number[] = [];
  /** The last error that it was answered. */
  error: string | undefined;
  readonly #count: () => number;
  /** Answers to what it asked before are not for it any more. */
  #call = 0;
  /** What it does with the last answer: later, as over a network. */
  #next: (() => void) | undefined;

  constructor(groups: Groups, kind: Kind, count: () => number, instanceId: string | null = null) {
    this.#groups = groups;
    this.kind = kind;
    this.#count = count;
    this.#instanceId = instanceId;
  }

  /** One step: as a client's loop would do it. */
  step(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) next();
    else if (this.state === 'outside') this.join();
    else if (this.state === 'member') this.#heartbeat();
  }

  join(): void {
    if (this.kind === 'eager') this.owned = [];
    this.state = 'joining';
    const call = this.#begin();
    const request: JoinRequest = {
      groupId: 'g',
      memberId: this.memberId,
      groupInstanceId: this.#instanceId,
      clientId: 'classic',
      clientHost: '/127.0.0.1',
      protocolType: 'consumer',
      protocols: [{ name: this.kind, metadata: subscriptionWith(this.owned) }],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      requiresKnownMemberId: true,
      canSkipAssignment: true,
    };
    this.#groups.core.join(request, this.#groups.now, (response) => {
      this.#next = () => call === this.#call && this.#joined(response);
    });
  }

  #begin(): number {
    this.#next = undefined;
    return ++this.#call;
  }

  #joined(response: JoinResponse): void {
    this.error = response.error;
    switch (response.error) {
      case undefined:
        break;
      case 'MEMBER_ID_REQUIRED':
        this.memberId = response.memberId;
        this.join();
        return;
      case 'REBALANCE_IN_PROGRESS':
        this.state = 'outside';
        return;
      default:
        this.lose();
        return;
    }
    this.memberId = response.memberId;
    this.generation = response.generationId;
    this.state = 'syncing';
    const call = this.#begin();
    const isLeader = response.leader === this.memberId && !response.skipAssignment;
    const assignments = isLeader ? this.#assign(response) : new Map<string, Uint8Array>();
    this.#groups.core.sync(
      {
        groupId: 'g',
        memberId: this.memberId,
        generationId: this.generation,
        groupInstanceId: this.#instanceId,
        protocolType: response.protocolType,
        protocolName: response.protocolName,
        assignments,
      },
      this.#groups.now,
      ({ error, assignment }) => {
        this.#next = () => call === this.#call && this.#synced(error, assignment);
      },
    );
  }

  #synced(error: string | undefined, bytes: Uint8Array): void {
    this.error = error;
    if (error === 'REBALANCE_IN_PROGRESS') {
      this.state = 'outside';
      return;
    }
    if (error !== undefined) {
      this.lose();
      return;
    }
    const assigned = parseAssignment(bytes)!.flatMap(({ partitions }) => partitions);
    const gives = this.owned.some((partition) => !assigned.includes(partition));
    this.owned = assigned;
    this.state = 'member';
    // What it gave up others can have as soon as it says so (KIP-429).
    if (this.kind === 'cooperative' && gives) this.join();
  }

  /** Everything that is assigned to somebody else is left alone until its owner says that it has it no more. */
  #assign({ members }: JoinResponse): Map<string, Uint8Array> {
    const owners = new Map<number, string>();
    for (const { memberId, metadata } of members) {
      for (const partition of ownedOf(metadata)) owners.set(partition, memberId);
    }
    const shares = new Map<string, number[]>(members.map(({ memberId }) => [memberId, []]));
    for (let partition = 0; partition < this.#count(); partition++) {
      const { memberId } = members[partition % members.length]!;
      const owner = owners.get(partition);
      if (owner === undefined || owner === memberId) shares.get(memberId)!.push(partition);
    }
    return new Map(
      [...shares].map(([memberId, partitions]) => [
        memberId,
        encodeAssignment(1, partitions.length === 0 ? [] : [{ topic: 'input', partitions }]),
      ]),
    );
  }

  #heartbeat(): void {
    const identity = { memberId: this.memberId, groupInstanceId: this.#instanceId };
    const request = { ...identity, groupId: 'g', generationId: this.generation };
    this.error = this.#groups.core.heartbeat(request, this.#groups.now);
    if (this.error === undefined) return;
    if (this.error === 'REBALANCE_IN_PROGRESS') this.join();
    else this.lose(this.error === 'ILLEGAL_GENERATION');
  }

  /** It has nothing any more, and comes again, under its id if that is still its own. */
  lose(keepsId = false): void {
    this.owned = [];
    this.generation = -1;
    if (!keepsId) this.memberId = '';
    this.state = 'outside';
    this.#begin();
  }

  leave(): void {
    const { memberId } = this;
    const identity = { memberId, groupInstanceId: this.#instanceId };
    this.lose();
    if (memberId !== '') this.#groups.core.leave('g', [identity], this.#groups.now, () => undefined);
  }
}

/** Version 1: the topic, no user data, what the member has of it. */
function subscriptionWith(owned: readonly number[]): Uint8Array {
  const writer = new Writer();
  writer.int16(1);
  writer.int32(1);
  writer.int16(5);
  writer.string('input', 5);
  writer.int32(-1);
  writer.bytes(
    encodeAssignment(1, owned.length === 0 ? [] : [{ topic: 'input', partitions: owned }]).subarray(2, -4),
  );
  return writer.finish();
}

function ownedOf(metadata: Uint8Array): readonly number[] {
  // The same bytes as an assignment, behind the version, the topic and the user data.
  const owned = Buffer.concat([
    metadata.subarray(0, 2),
    metadata.subarray(17),
    Buffer.from([255, 255, 255, 255]),
  ]);
  return parseAssignment(owned)!.flatMap(({ partitions }) => partitions);
}

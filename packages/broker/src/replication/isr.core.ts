import type { IsrMember, IsrProposal, PartitionRecord } from './partition-record.core.ts';
import { contains } from './partition-record.core.ts';

/** After a refused expansion the follower is not proposed again for this long, so that a refusal cannot become a loop. */
const EXPANSION_RETRY_MS = 500;

/** What a leader knows of one follower in its own epoch; nothing is carried over from an earlier one. */
export class FollowerView {
  readonly id: number;
  brokerEpoch = -1;
  /** Its LEO, or -1 until it has fetched in this epoch and its log was found to be a prefix of the leader's. */
  fetchOffset = -1;
  durableOffset = -1;
  logStartOffset = 0;
  /** The last moment at which it held all that the leader had then. */
  caughtUpMs: number;
  expandNotBeforeMs = 0;
  /** The leader's end at some moment: once the follower has it on disk, it was caught up with that moment. */
  #mark = -1;
  #markMs = 0;

  constructor(id: number, nowMs: number) {
    this.id = id;
    this.caughtUpMs = nowMs;
  }

  /** The follower's fetch was found in order. Offsets may go back: a follower that restarts has lost its unsynced tail. */
  fetched(position: FollowerPosition, leaderEndOffset: number, nowMs: number): void {
    this.brokerEpoch = position.brokerEpoch;
    this.fetchOffset = position.fetchOffset;
    this.durableOffset = Math.min(position.durableOffset, position.fetchOffset);
    this.logStartOffset = position.logStartOffset;
    if (this.durableOffset >= leaderEndOffset) {
      this.caughtUpMs = nowMs;
      this.#mark = -1;
      return;
    }
    if (this.#mark >= 0 && this.durableOffset >= this.#mark) {
      this.caughtUpMs = Math.max(this.caughtUpMs, this.#markMs);
      this.#mark = -1;
    }
    if (this.#mark < 0) {
      this.#mark = leaderEndOffset;
      this.#markMs = nowMs;
    }
  }
}

export interface FollowerPosition {
  readonly brokerEpoch: number;
  readonly fetchOffset: number;
  readonly durableOffset: number;
  readonly logStartOffset: number;
}

/** The ISR as its leader sees it: what the metadata store has confirmed, at most one proposal on the way, and the followers. */
export class IsrState {
  readonly #self: number;
  readonly leaderEpoch: number;
  /** The LEO at which this epoch began. */
  readonly epochStartOffset: number;
  partitionEpoch: number;
  replicas: readonly number[];
  isr: readonly IsrMember[];
  proposed: IsrProposal | undefined;
  readonly followers = new Map<number, FollowerView>();

  constructor(self: number, record: PartitionRecord, epochStartOffset: number, nowMs: number) {
    this.#self = self;
    this.leaderEpoch = record.leaderEpoch;
    this.epochStartOffset = epochStartOffset;
    this.partitionEpoch = record.partitionEpoch;
    this.replicas = record.replicas;
    this.isr = record.isr;
    this.#addFollowers(nowMs);
  }

  /** A newer record of the same leader epoch: a proposal against the older one can no longer succeed. */
  update(record: PartitionRecord, nowMs: number): void {
    this.partitionEpoch = record.partitionEpoch;
    this.replicas = record.replicas;
    this.isr = record.isr;
    this.proposed = undefined;
    this.#addFollowers(nowMs);
  }

  /**
   * The least durable offset over the maximal ISR, current and proposed (KIP-497): a proposed member counts at once, one
   * proposed for removal until it is removed. -1 if a member has not fetched in this epoch.
   */
  leastDurable(ownDurable: number): number {
    let least = this.#leastOf(this.isr, ownDurable);
    if (this.proposed !== undefined) least = this.#leastOf(this.proposed.isr, least);
    return least;
  }

  /** The ISR without the followers that have not been caught up for longer than the lag allows, if there are any. */
  shrink(nowMs: number, lagMaxMs: number): IsrProposal | undefined {
    if (this.proposed !== undefined) return undefined;
    const isr = this.isr.filter((member) => {
      const view = this.followers.get(member.id);
      return view === undefined || nowMs - view.caughtUpMs <= lagMaxMs;
    });
    return isr.length === this.isr.length ? undefined : this.#propose(isr);
  }

  /** Rule 3: the ISR with a follower that has, on its disk, all below the HW and below the start of this epoch. */
  expand(view: FollowerView, highWatermark: number, nowMs: number): IsrProposal | undefined {
    if (this.proposed !== undefined || nowMs < view.expandNotBeforeMs) return undefined;
    if (this.isr.some((member) => member.id === view.id && member.brokerEpoch === view.brokerEpoch)) {
      return undefined;
    }
    const needed = Math.max(highWatermark, this.epochStartOffset);
    if (view.durableOffset < needed) return undefined;
    const others = this.isr.filter((member) => member.id !== view.id);
    return this.#propose([...others, { id: view.id, brokerEpoch: view.brokerEpoch }]);
  }

  /** The store has refused a member: the proposal is gone for certain. */
  refused(nowMs: number): void {
    if (this.proposed === undefined) return;
    for (const member of this.proposed.isr) {
      const view = this.followers.get(member.id);
      if (view !== undefined && !contains(this.isr, member.id)) {
        view.expandNotBeforeMs = nowMs + EXPANSION_RETRY_MS;
      }
    }
    this.proposed = undefined;
  }

  #propose(isr: readonly IsrMember[]): IsrProposal {
    this.proposed = {
      leader: this.#self,
      leaderEpoch: this.leaderEpoch,
      partitionEpoch: this.partitionEpoch,
      isr,
    };
    return this.proposed;
  }

  #leastOf(members: readonly IsrMember[], least: number): number {
    for (let at = 0; at < members.length; at++) {
      const id = members[at]!.id;
      if (id === this.#self) continue;
      const durable = this.followers.get(id)?.durableOffset ?? -1;
      if (durable < least) least = durable;
    }
    return least;
  }

  #addFollowers(nowMs: number): void {
    for (const id of this.replicas) {
      if (id !== this.#self && !this.followers.has(id)) this.followers.set(id, new FollowerView(id, nowMs));
    }
  }
}

/** A bug, as a change of one place in the source. White space in `search` matches any white space; it must be found exactly once. */
export interface Mutant {
  readonly name: string;
  /** What breaks, and which rule it breaks. */
  readonly why: string;
  /** Below packages/broker/src. */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  readonly scenario: 'single' | 'cluster';
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'keep-producer-state-of-a-failed-turn',
    why: 'a retry is answered "duplicate, success" for bytes that do not exist',
    file: 'replication/partition.core.ts',
    search: 'this.producers.rollback();',
    replace: 'this.producers.commit();',
    scenario: 'single',
  },
  {
    name: 'hw-from-written',
    why: "the HW runs ahead of the leader's disk",
    file: 'replication/partition.core.ts',
    search: 'this.#raiseHighWatermark(isr.leastDurable(this.#durableEnd));',
    replace: 'this.#raiseHighWatermark(isr.leastDurable(this.#writtenEnd));',
    scenario: 'cluster',
  },
  {
    name: 'duplicate-answered-before-its-original-is-durable',
    why: 'the answer to a retry promises what a loss of power may still take',
    file: 'replication/partition.ts',
    search: 'if (options.requiredAcks === -1) this.#untilHighWatermark.add(',
    replace:
      'if (core.reservedDuplicate) this.#unacknowledged.push({ baseOffset, endOffset, done }); else if (options.requiredAcks === -1) this.#untilHighWatermark.add(',
    scenario: 'single',
  },
  {
    name: 'ack-after-write',
    why: 'acks=all is answered when the leader has written',
    file: 'replication/partition.ts',
    search: 'this.#untilHighWatermark.release(this.#core.highWatermark, startOffset);',
    replace: 'this.#untilHighWatermark.release(this.#core.writtenEnd, startOffset);',
    scenario: 'cluster',
  },
  {
    name: 'truncate-to-hw',
    why: 'KIP-101: the HW of a follower is stale, what lies above it may be committed',
    file: 'replication/partition.ts',
    search: 'this.#cut(truncationOffset(this.#log, response.end));',
    replace: 'this.#cut(Math.min(this.highWatermark, this.#log.endOffset));',
    scenario: 'cluster',
  },
  {
    name: 'drop-the-maximal-isr',
    why: 'KIP-497: a member that is being added counts from the moment it is proposed',
    file: 'replication/isr.core.ts',
    search: 'if (this.proposed !== undefined) least = this.#leastOf(this.proposed.isr, least);',
    replace: '',
    scenario: 'cluster',
  },
  {
    name: 'shrink-before-the-store-agrees',
    why: 'KIP-497: a member counts until its removal is certain',
    file: 'replication/isr.core.ts',
    search: 'let least = this.#leastOf(this.isr, ownDurable);',
    replace: 'let least = this.#leastOf(this.proposed?.isr ?? this.isr, ownDurable);',
    scenario: 'cluster',
  },
  {
    name: 'expand-without-the-epoch-start',
    why: "a new leader's HW is stale: a follower that has reached it may miss committed records",
    file: 'replication/isr.core.ts',
    search: 'Math.max(highWatermark, this.epochStartOffset)',
    replace: 'highWatermark',
    scenario: 'cluster',
  },
  {
    name: 'follower-reports-written-as-durable',
    why: "the leader counts bytes that the follower's disk does not hold",
    file: 'replication/partition.ts',
    search: 'durableOffset: log.durableOffset,',
    replace: 'durableOffset: log.endOffset,',
    scenario: 'cluster',
  },
  {
    name: 'ignore-divergence',
    why: 'KIP-101: a follower appends behind records that its leader never had',
    file: 'replication/partition.core.ts',
    search: 'if (end.epoch < fetch.lastFetchedEpoch || end.endOffset < fetch.fetchOffset) {',
    replace: 'if (end.epoch < -1) {',
    scenario: 'cluster',
  },
  {
    name: 'hw-below-min-isr',
    why: 'KIP-966: members of the ELR miss what was committed without them',
    file: 'replication/partition.core.ts',
    search: 'if (isr.isr.length < this.#minIsr(isr)) return;',
    replace: '',
    scenario: 'cluster',
  },
];

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
    file: 'replication/follower.ts',
    search: 'this.#cut(truncationOffset(this.#log, response.end));',
    replace: 'this.#cut(Math.min(this.#core.highWatermark, this.#log.endOffset));',
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
    file: 'replication/follower.ts',
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
  {
    name: 'believe-the-page-cache',
    why: 'after a failed sync the cache may hold the only copy, and counts it as clean',
    file: 'storage/recover-log.ts',
    search: 'await this.#writeAnew(segment);',
    replace: '',
    scenario: 'single',
  },
  {
    name: 'forget-the-sync-of-a-cut',
    why: 'a loss of power brings back what a failed append had left behind, below the recovery point',
    file: 'storage/segment.ts',
    search: 'this.#cutUnsynced = true;',
    replace: '',
    scenario: 'single',
  },
  {
    name: 'no-sync-of-the-folder',
    why: 'a segment whose directory entry is lost takes its records along',
    file: 'storage/segment.ts',
    search: 'if (!this.entryDurable) { this.handle.disk.syncDirectory(this.folder);',
    replace: 'if (!this.entryDurable) {',
    scenario: 'single',
  },
  {
    name: 'keep-the-torn-tail',
    why: 'recovery serves bytes that are no batch',
    file: 'storage/recover-log.ts',
    search: 'if (isBatch && (isTaken || ((isBelow || this.#isCurrent()) && cursor.crcMatches()))) {',
    replace: 'if (isBatch) {',
    scenario: 'single',
  },
  {
    name: 'durable-up-to-what-was-written-meanwhile',
    why: 'a sync covers what was written before it started, nothing else',
    file: 'storage/group-commit.ts',
    search: 'for (const log of risen) log.durableOffset = log.roundEnd;',
    replace: 'for (const log of risen) log.durableOffset = log.roundEnd = log.endOffset;',
    scenario: 'single',
  },
  {
    name: 'recovery-point-before-the-sync',
    why: 'recovery does not check, and the journal no longer holds, what is not on the disk',
    file: 'storage/checkpoint.ts',
    search: 'for (const segment of segments) segment.retain();',
    replace:
      'for (const segment of segments) segment.retain(); log.recoveryPoint = Math.max(log.recoveryPoint, endOffset); log.context.writeCheckpoints();',
    scenario: 'single',
  },
  {
    name: 'recycle-the-journal-too-early',
    why: 'its entries are the only durable copy until the segments are synced',
    file: 'storage/journal.ts',
    search: 'const next = this.#free[0] ?? this.#newFile();',
    replace: `if (this.#free.length === 0 && this.#sealed.length > 0) this.#free.push(this.#sealed.shift()!);
      const next = this.#free[0] ?? this.#newFile();`,
    scenario: 'single',
  },
];

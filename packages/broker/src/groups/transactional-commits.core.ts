import { type CommittedOffset, encodeOffsetKey, encodeOffsetValue } from '@polylog/record';
import type { CoordinatorSink, Durability, Instant, StateRecord } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { TopicView } from './consumer/types.ts';
import { commitRefusal, type Group } from './group.core.ts';
import type { GroupTable } from './group-table.core.ts';
import { PendingOffsets } from './pending-offsets.core.ts';
import type { GroupCounters, GroupSettings, VerifiedCommit } from './types.ts';

/** Takes offsets that are committed in transactions, and makes them count, or throws them away, when those end. */
export class TransactionalCommits {
  readonly pending = new PendingOffsets();
  readonly #sink: CoordinatorSink;
  readonly #settings: GroupSettings;
  readonly #counters: GroupCounters;
  readonly #groups: GroupTable;
  readonly #topics: TopicView;

  constructor(options: {
    readonly sink: CoordinatorSink;
    readonly settings: GroupSettings;
    readonly counters: GroupCounters;
    readonly groups: GroupTable;
    readonly topics: TopicView;
  }) {
    this.#topics = options.topics;
    this.#sink = options.sink;
    this.#settings = options.settings;
    this.#counters = options.counters;
    this.#groups = options.groups;
  }

  /** The coordinator of transactions has said already that the transaction is open, and this partition of the log in it. */
  commit(request: VerifiedCommit, now: Instant, done: (failure: Durability) => void): void {
    const { groupId, producerId, offsets } = request;
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined || offsets.length === 0) {
      done(refusal);
      return;
    }
    this.#groups.getOrMake(groupId);
    const records: StateRecord[] = [];
    for (const { topic, partition, offset, leaderEpoch, metadata } of offsets) {
      const committed = { offset, leaderEpoch, metadata, commitTimestamp: now.wallMs, expireTimestamp: -1 };
      this.pending.add(producerId, groupId, { topic, partition }, committed);
      const key = encodeOffsetKey(groupId, topic, partition);
      records.push({ key, value: encodeOffsetValue(committed) });
    }
    this.#counters.offsetsCommitted += offsets.length;
    this.#sink.append(records, done, request);
  }

  #refusalOf(request: VerifiedCommit): ErrorName | undefined {
    const { groupId, generationId, producerId, offsets } = request;
    const { groupsMax, offsetsPerGroupMax } = this.#settings;
    const group = this.#groups.get(groupId);
    if (group === undefined) {
      if (generationId >= 0) return 'ILLEGAL_GENERATION';
      if (this.#groups.size >= groupsMax) return 'GROUP_MAX_SIZE_REACHED';
    } else {
      const refusal = memberRefusal(group, request, this.#topics);
      if (refusal !== undefined) return refusal;
    }
    // Each of them may come to count one day, whatever the others do.
    const present = (group?.offsets.count ?? 0) + this.pending.countOf(groupId);
    if (
      present + offsets.length > offsetsPerGroupMax &&
      present + this.pending.newIn(groupId, producerId, offsets) > offsetsPerGroupMax
    ) {
      return 'GROUP_MAX_SIZE_REACHED';
    }
    return this.#sink.transactionRefusal(request);
  }

  /** As the log has it. */
  replay(
    producerId: number,
    { group: groupId, topic, partition }: { group: string; topic: string; partition: number },
    committed: CommittedOffset,
  ): void {
    this.#groups.getOrMake(groupId);
    this.pending.add(producerId, groupId, { topic, partition }, committed);
  }

  end(producerId: number, result: 'commit' | 'abort'): void {
    const { groupIds, settled } = this.pending.end(producerId, result);
    for (const { groupId, topic, partition, committed } of settled) {
      this.#groups.getOrMake(groupId).offsets.set(topic, partition, committed);
    }
    for (const groupId of groupIds) {
      const group = this.#groups.get(groupId);
      if (group !== undefined) this.#groups.dropIfUnused(group);
    }
  }
}

/**
 * As in Kafka: a rebalance does not matter, because the next owner waits for stable offsets (KIP-447); and whoever gives neither member nor
 * generation, as clients before version 3, is believed.
 */
function memberRefusal(group: Group, request: VerifiedCommit, topics: TopicView): ErrorName | undefined {
  const { memberId, groupInstanceId, generationId } = request;
  if (group.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
  if (generationId < 0 && group.state === 'Empty') return undefined;
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return undefined;
  // Its version does not tell whether the client knows member epochs: all that can commit in transactions with a member id do.
  const refusal = commitRefusal(group, { ...request, knowsMemberEpochs: true }, topics);
  // Of which the API does not know, while its clients know what to do about a generation.
  return refusal === 'STALE_MEMBER_EPOCH' ? 'ILLEGAL_GENERATION' : refusal;
}

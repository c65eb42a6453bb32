import { type CommittedOffset, encodeOffsetKey } from '@polylog/record';
import { Deadline, type DeadlineQueue } from '../coordinator/deadlines.core.ts';
import type { CoordinatorSink, Instant, StateRecord } from '../coordinator/types.ts';
import { baseOfExpiry, type Group, isVacant } from './group.core.ts';
import type { GroupTable } from './group-table.core.ts';
import type { PendingOffsets } from './pending-offsets.core.ts';
import type { GroupCounters, GroupSettings } from './types.ts';

/** Offsets that are looked at for their expiry at a time, and the pause until the next ones. */
const OFFSETS_PER_STEP = 20_000;
const STEP_PAUSE_MS = 10;

export interface OffsetExpiryOptions {
  readonly sink: CoordinatorSink;
  readonly settings: GroupSettings;
  readonly counters: GroupCounters;
  readonly deadlines: DeadlineQueue;
  readonly groups: GroupTable;
  readonly pending: PendingOffsets;
}

/** Looks now and then for offsets whose time is over, and for groups of which nothing is left then. */
export class OffsetExpiry {
  readonly #options: OffsetExpiryOptions;
  readonly #deadline: Deadline;
  /** Where a look goes on. */
  #walking: Iterator<readonly StateRecord[], void, Instant> | undefined;

  constructor(options: OffsetExpiryOptions) {
    this.#options = options;
    this.#deadline = new Deadline(options.deadlines, (now) => this.#step(now));
  }

  start(now: Instant): void {
    this.#deadline.set(now.monotonicMs + this.#options.settings.retentionCheckMs);
  }

  /** A step at a time, so that a million offsets do not hold the loop. */
  #step(now: Instant): void {
    this.#walking ??= this.#walk(now);
    const records: StateRecord[] = [];
    for (let looked = 0; looked < OFFSETS_PER_STEP; looked++) {
      const { value, done } = this.#walking.next(now);
      if (done === true) {
        this.#walking = undefined;
        break;
      }
      records.push(...value);
    }
    const { settings, sink } = this.#options;
    const pauseMs = this.#walking === undefined ? settings.retentionCheckMs : STEP_PAUSE_MS;
    this.#deadline.set(now.monotonicMs + pauseMs);
    // Nobody waits for it; where it fails, the state is loaded again.
    if (records.length > 0) sink.append(records, () => undefined);
  }

  /** Offset by offset, group by group: the records of what went, if it went. Takes the time anew at each step. */
  *#walk(started: Instant): Generator<readonly StateRecord[], void, Instant> {
    let now = started;
    const { groups, pending, settings, counters } = this.#options;
    const retentionMs = settings.offsetsRetentionMs;
    for (const group of groups.values()) {
      const { groupId, offsets } = group;
      for (const [topic, partitions] of offsets.byTopic) {
        for (const [partition, committed] of partitions) {
          // What a transaction is about to replace stays until that has ended.
          const isPending = pending.has(groupId, topic, partition);
          if (!isPending && isExpired(group, topic, committed, { retentionMs, nowMs: now.wallMs })) {
            offsets.delete(topic, partition);
            counters.offsetsExpired++;
            now = yield [{ key: encodeOffsetKey(groupId, topic, partition), value: null }];
          } else now = yield [];
        }
      }
      const isOver = isVacant(group) && offsets.count === 0 && !pending.hasGroup(groupId);
      if (!isOver || groups.get(groupId) !== group) continue;
      // All at once: the next step would take back what a group of that name has said meanwhile.
      now = yield groups.remove(group);
    }
  }
}

/**
 * Whether the time of an offset is over (KIP-211). The retention counts from the moment that the group became empty, or from the commit if
 * that was later; in a group that never had members, from the commit; for topics that a consumer group has members for, but that none of them
 * subscribes to any more, from the commit too. Offsets of what is being read never expire. A client's own retention (OffsetCommit before v5)
 * takes the place of all that.
 */
function isExpired(
  group: Group,
  topic: string,
  committed: CommittedOffset,
  times: { readonly retentionMs: number; readonly nowMs: number },
): boolean {
  const baseMs = baseOfExpiry(group, topic, committed.commitTimestamp);
  if (baseMs === undefined) return false;
  const atMs = committed.expireTimestamp >= 0 ? committed.expireTimestamp : baseMs + times.retentionMs;
  return times.nowMs >= atMs;
}

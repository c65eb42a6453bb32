import { encodeGroupKey } from '@polylog/record';
import type { Deadline } from '../coordinator/deadlines.core.ts';
import type { StateRecord } from '../coordinator/types.ts';
import { ClassicGroup, type GroupMemory } from './classic-group.core.ts';
import { ConsumerGroup } from './consumer/consumer-group.core.ts';
import { groupTombstones } from './consumer/records.core.ts';
import type { Group } from './group.core.ts';
import type { GroupOffsets } from './group-offsets.core.ts';

export interface GroupTableOptions {
  readonly memory: GroupMemory;
  readonly deadlinesOf: (group: ClassicGroup) => { readonly join: Deadline; readonly sync: Deadline };
  /** Whether open transactions have offsets for a group. */
  readonly hasPending: (groupId: string) => boolean;
}

/** The groups of a core, by their ids. A group that is nothing yet is a classic one without members. */
export class GroupTable {
  readonly #options: GroupTableOptions;
  readonly #groups = new Map<string, Group>();

  constructor(options: GroupTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#groups.size;
  }

  get(groupId: string): Group | undefined {
    return this.#groups.get(groupId);
  }

  values(): IterableIterator<Group> {
    return this.#groups.values();
  }

  /** Takes the place of the group of that name, if there is one. */
  put<G extends Group>(group: G): G {
    this.#groups.set(group.groupId, group);
    return group;
  }

  getOrMake(groupId: string): Group {
    return this.#groups.get(groupId) ?? this.put(this.makeClassic(groupId));
  }

  makeClassic(groupId: string, offsets?: GroupOffsets): ClassicGroup {
    const { memory, deadlinesOf: deadlines } = this.#options;
    return new ClassicGroup({ groupId, memory, deadlines, offsets });
  }

  makeConsumer(groupId: string, offsets?: GroupOffsets): ConsumerGroup {
    return new ConsumerGroup({ groupId, memory: this.#options.memory, offsets });
  }

  /** Forgets a group of which nothing is left. */
  dropIfUnused(group: Group): void {
    const { groupId } = group;
    if (!group.isUnused || this.#options.hasPending(groupId)) return;
    if (this.#groups.get(groupId) === group) this.remove(group);
  }

  /** Returns the records that say so, where there are any that said otherwise. */
  remove(group: Group): StateRecord[] {
    this.#groups.delete(group.groupId);
    group.release();
    if (group.kind === 'consumer') return group.hasRecord ? groupTombstones(group) : [];
    if (group.state !== 'Dead') group.transition('Dead', group.stateSinceMs);
    return group.hasRecord ? [{ key: encodeGroupKey(group.groupId), value: null }] : [];
  }
}

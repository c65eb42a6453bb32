/** Partitions by topic id: distinct, in ascending order. Topics without partitions are left out. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

export const NOTHING_ASSIGNED: Assignment = new Map();

/** By topic id and partition: the member epoch in which a member got it. */
export type AssignmentEpochs = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** Of these partitions: what is known of them, and else that epoch. */
export function epochsOf(
  assignments: readonly Assignment[],
  known: AssignmentEpochs,
  epoch: number,
): AssignmentEpochs {
  const epochs = new Map<string, Map<number, number>>();
  for (const assignment of assignments) {
    for (const [topicId, partitions] of assignment) {
      const before = known.get(topicId);
      let ofTopic = epochs.get(topicId);
      if (ofTopic === undefined) epochs.set(topicId, (ofTopic = new Map()));
      for (const partition of partitions) ofTopic.set(partition, before?.get(partition) ?? epoch);
    }
  }
  return epochs;
}

export function partitionCount(assignment: Assignment): number {
  let count = 0;
  for (const partitions of assignment.values()) count += partitions.length;
  return count;
}

/** In the form of an {@link Assignment}, whatever order and repetitions there are. */
export function normalized(
  topics: Iterable<readonly [topicId: string, partitions: readonly number[]]>,
): Assignment {
  const found = new Map<string, Set<number>>();
  for (const [topicId, partitions] of topics) {
    if (partitions.length === 0) continue;
    const known = found.get(topicId);
    if (known === undefined) found.set(topicId, new Set(partitions));
    else for (const partition of partitions) known.add(partition);
  }
  return new Map([...found].map(([topicId, partitions]) => [topicId, [...partitions].sort(ascending)]));
}

export function isSameAssignment(left: Assignment, right: Assignment): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [topicId, partitions] of left) {
    const others = right.get(topicId);
    if (others?.length !== partitions.length) return false;
    for (let at = 0; at < partitions.length; at++) if (partitions[at] !== others[at]) return false;
  }
  return true;
}

/** Whether both have a partition. */
export function intersects(left: Assignment, right: Assignment): boolean {
  for (const [topicId, partitions] of left) {
    const others = right.get(topicId);
    if (others === undefined) continue;
    const set = new Set(others);
    if (partitions.some((partition) => set.has(partition))) return true;
  }
  return false;
}

export function isSubset(part: Assignment, whole: Assignment): boolean {
  return splitBy(part, whole).outside.size === 0;
}

/** What of an assignment is in another one, and what is not. */
export function splitBy(
  assignment: Assignment,
  other: Assignment,
): { readonly inside: Assignment; readonly outside: Assignment } {
  const inside = new Map<string, readonly number[]>();
  const outside = new Map<string, readonly number[]>();
  for (const [topicId, partitions] of assignment) {
    const others = other.get(topicId);
    if (others === undefined) {
      outside.set(topicId, partitions);
      continue;
    }
    const set = new Set(others);
    const kept = partitions.filter((partition) => set.has(partition));
    if (kept.length > 0) inside.set(topicId, kept);
    if (kept.length < partitions.length) {
      outside.set(
        topicId,
        partitions.filter((partition) => !set.has(partition)),
      );
    }
  }
  return { inside, outside };
}

/** Of two that have nothing in common. */
export function union(left: Assignment, right: Assignment): Assignment {
  if (right.size === 0) return left;
  const all = new Map(left);
  for (const [topicId, partitions] of right) {
    const known = all.get(topicId);
    all.set(topicId, known === undefined ? partitions : [...known, ...partitions].sort(ascending));
  }
  return all;
}

export function ascending(left: number, right: number): number {
  return left - right;
}

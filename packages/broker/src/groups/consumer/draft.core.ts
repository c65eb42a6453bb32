import type { Assignment } from './assignment.core.ts';
import { type GroupAssignment, type MemberToAssign, NOBODY, type TopicToAssign } from './assignor.core.ts';
import { forEachOf, type Work } from './work.core.ts';

/** Partitions between two yields. */
const AT_ONCE = 256;

/** Who has which partition, by ranks of members and indexes of topics. Partitions of all topics are numbered through, in their order. */
export class Draft {
  readonly partitions: number;
  /** By number of the partition: the rank of its owner, or NOBODY. */
  readonly owners: Int32Array;
  /** By number of the partition. */
  readonly topicOf: Int32Array;
  readonly #topics: readonly TopicToAssign[];
  /** By topic: the number of its first partition. */
  readonly #firsts: Float64Array;

  private constructor(topics: readonly TopicToAssign[], firsts: Float64Array, partitions: number) {
    this.partitions = partitions;
    this.owners = new Int32Array(partitions).fill(NOBODY);
    this.topicOf = new Int32Array(partitions);
    this.#topics = topics;
    this.#firsts = firsts;
  }

  /** One in which nobody has anything. */
  static *of(topics: readonly TopicToAssign[]): Work<Draft> {
    const firsts = new Float64Array(topics.length);
    let count = 0;
    yield* forEachOf(topics.entries(), ([topic, { partitions }]) => {
      firsts[topic] = count;
      count += partitions;
    });
    const draft = new Draft(topics, firsts, count);
    yield* forEachOf(topics.entries(), ([topic, { partitions }]) => {
      draft.topicOf.fill(topic, firsts[topic], firsts[topic]! + partitions);
    });
    return draft;
  }

  /** Undefined: the topic has no such partition. */
  numberOf(topic: number, partition: number): number | undefined {
    return partition < this.#topics[topic]!.partitions ? this.#firsts[topic]! + partition : undefined;
  }

  /** @param members by rank */
  *assignments(members: readonly MemberToAssign[]): Work<GroupAssignment> {
    const assigned = members.map(() => new Map<string, number[]>());
    yield members.length;
    for (let number = 0; number < this.partitions; number++) {
      const owner = this.owners[number]!;
      if (owner !== NOBODY) {
        const topic = this.topicOf[number]!;
        const { id } = this.#topics[topic]!;
        const partition = number - this.#firsts[topic]!;
        const known = assigned[owner]!.get(id);
        if (known === undefined) assigned[owner]!.set(id, [partition]);
        else known.push(partition);
      }
      if (number % AT_ONCE === AT_ONCE - 1) yield 2 * AT_ONCE;
    }
    yield 2 * (this.partitions % AT_ONCE);
    return new Map(members.map(({ memberId }, rank): [string, Assignment] => [memberId, assigned[rank]!]));
  }
}

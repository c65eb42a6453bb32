import { ascending, type Assignment } from './assignment.core.ts';
import { NOBODY } from './assignor.core.ts';

/** Who has which partition, by indexes of members and topics. */
export class Draft {
  /** By topic: the owner of each partition, or NOBODY. */
  readonly owners: readonly Int32Array[];
  /** By member: how many partitions it has. */
  readonly loads: Int32Array;
  /** By member and topic. */
  readonly #held: Map<number, number[]>[];

  constructor(members: number, counts: readonly number[]) {
    this.owners = counts.map((count) => new Int32Array(count).fill(NOBODY));
    this.loads = new Int32Array(members);
    this.#held = Array.from({ length: members }, () => new Map<number, number[]>());
  }

  /** Partitions of the wanted topics. */
  partitionsOf(isWanted: readonly boolean[]): number {
    return this.owners.reduce((sum, { length }, topic) => sum + (isWanted[topic] === true ? length : 0), 0);
  }

  give(member: number, topic: number, partition: number): void {
    this.owners[topic]![partition] = member;
    this.loads[member]!++;
    const held = this.#held[member]!;
    const known = held.get(topic);
    if (known === undefined) held.set(topic, [partition]);
    else known.push(partition);
  }

  /** How many partitions of a topic a member has. */
  heldOf(member: number, topic: number): number {
    return this.#held[member]!.get(topic)?.length ?? 0;
  }

  /** The partition of a topic that the member got last goes to another one. */
  move(from: number, to: number, topic: number): void {
    const partition = this.#held[from]!.get(topic)!.pop()!;
    this.loads[from]!--;
    this.give(to, topic, partition);
  }

  assignmentOf(member: number, topicIds: readonly string[]): Assignment {
    const held = [...this.#held[member]!].filter(([, partitions]) => partitions.length > 0);
    held.sort(([left], [right]) => left - right);
    return new Map(held.map(([topic, partitions]) => [topicIds[topic]!, partitions.sort(ascending)]));
  }
}

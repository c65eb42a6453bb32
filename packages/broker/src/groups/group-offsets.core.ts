import type { CommittedOffset } from '@polylog/record';

/** What one group has committed, by topic and partition. */
export class GroupOffsets {
  readonly #byTopic = new Map<string, Map<number, CommittedOffset>>();
  #count = 0;

  /** Partitions with an offset. */
  get count(): number {
    return this.#count;
  }

  get byTopic(): ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> {
    return this.#byTopic;
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#byTopic.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) this.#byTopic.set(topic, (partitions = new Map()));
    if (!partitions.has(partition)) this.#count++;
    partitions.set(partition, committed);
  }

  delete(topic: string, partition: number): boolean {
    const partitions = this.#byTopic.get(topic);
    if (partitions === undefined || !partitions.delete(partition)) return false;
    this.#count--;
    if (partitions.size === 0) this.#byTopic.delete(topic);
    return true;
  }

  /** A copy that later commits do not change. */
  snapshot(): Map<string, Map<number, CommittedOffset>> {
    return new Map([...this.#byTopic].map(([topic, partitions]) => [topic, new Map(partitions)]));
  }
}

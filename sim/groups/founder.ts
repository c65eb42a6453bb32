import { createPartitions, createTopics } from '@polylog/kafka-protocol';
import { Client } from '../broker/clients.ts';
import type { GroupHost } from './group-client.ts';

/** Makes the topic that all groups read. */
export class Founder extends Client<GroupHost> {
  readonly #topic: string;
  #partitions: number;
  #has = 0;

  constructor(host: GroupHost, topic: string, partitions: number) {
    super(host, 'founder');
    this.#topic = topic;
    this.#partitions = partitions;
  }

  /** Whether the topic is as it shall be. */
  get done(): boolean {
    return this.#has === this.#partitions;
  }

  /** From now on it shall have so many. */
  grow(partitions: number): void {
    this.#partitions = partitions;
  }

  protected async step(): Promise<void> {
    await this.sleep(5);
    if (this.done) return;
    const wanted = this.#partitions;
    const error = this.#has === 0 ? await this.#make(wanted) : await this.#extend(wanted);
    // Nothing, or it was done by a request whose answer was lost.
    if (error === undefined || error === 'TOPIC_ALREADY_EXISTS' || error === 'INVALID_PARTITIONS') {
      this.#has = wanted;
    }
  }

  async #make(numPartitions: number): Promise<string | undefined> {
    const { topics } = await this.ask(createTopics, createTopics.versionMax, {
      topics: [{ name: this.#topic, numPartitions, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    const { errorCode } = topics[0]!;
    return errorCode === 0 ? undefined : this.refused(createTopics, errorCode);
  }

  async #extend(count: number): Promise<string | undefined> {
    const { results } = await this.ask(createPartitions, createPartitions.versionMax, {
      topics: [{ name: this.#topic, count, assignments: null }],
      timeoutMs: 10_000,
      validateOnly: false,
    });
    const { errorCode } = results[0]!;
    return errorCode === 0 ? undefined : this.refused(createPartitions, errorCode);
  }
}

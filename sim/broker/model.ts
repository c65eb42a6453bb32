import { PartitionHistory, Violation } from '../invariants/history.ts';

/** What is known of one partition of one topic id, across all runs of the broker. */
export class PartitionView {
  readonly topic: TopicView;
  readonly index: number;
  readonly history: PartitionHistory;
  /** The largest high watermark that anybody was told. */
  highWatermark = 0;
  /**
   * An acknowledged DeleteRecords has put the start at least here. As in Kafka, the next checkpoint or clean stop keeps it, not the
   * acknowledgement: after a crash the records may be back.
   */
  startMin = 0;
  /** Nobody has asked for more to be deleted; Infinity with retention. */
  startMax = 0;
  /** Rises when what was known proves nothing any more. */
  generation = 0;
  /** Written by an answer "storage error": taken back if the same broker then accepts more, unknown otherwise. */
  #suspects: { readonly values: readonly number[]; readonly boot: number; readonly sentAt: number }[] = [];

  constructor(topic: TopicView, index: number) {
    this.topic = topic;
    this.index = index;
    this.history = new PartitionHistory(`${topic.name}-${index} (${topic.incarnation})`);
  }

  get key(): string {
    return `${this.topic.id}-${this.index}`;
  }

  suspect(values: readonly number[], boot: number, sentAt: number): void {
    this.#suspects.push({ values, boot, sentAt });
  }

  /** Something that was sent at this time was written: the log had not gone offline by earlier refusals. */
  accepted(boot: number, sentAt: number): void {
    if (this.#suspects.length === 0) return;
    for (const suspect of this.#suspects) {
      if (suspect.boot === boot && suspect.sentAt < sentAt) {
        for (const value of suspect.values) this.history.rolledBack(value);
      } else if (suspect.boot === boot) continue;
      else for (const value of suspect.values) this.history.unknown(value);
    }
    this.#suspects = this.#suspects.filter((suspect) => suspect.boot === boot && suspect.sentAt >= sentAt);
  }

  powerLost(): void {
    for (const { values } of this.#suspects) for (const value of values) this.history.unknown(value);
    this.#suspects = [];
    this.history.powerLost();
    if (!this.topic.weak) return;
    this.history.forget();
    this.highWatermark = 0;
    this.startMin = 0;
    this.generation++;
  }
}

/** One topic id. */
export class TopicView {
  readonly name: string;
  readonly id: string;
  /** Counts the topics of this name. */
  readonly incarnation: number;
  readonly partitions: PartitionView[] = [];
  /** Overrides, as acknowledged. */
  readonly configs: Map<string, string>;
  /** It has had flush=os: promises nothing over a loss of power. */
  weak = false;
  /** It may lose old segments at any time. */
  retained = false;
  state: 'exists' | 'deleting' | 'gone' = 'exists';

  constructor(name: string, id: string, incarnation: number, configs: ReadonlyMap<string, string>) {
    this.name = name;
    this.id = id;
    this.incarnation = incarnation;
    this.configs = new Map();
    for (const [config, value] of configs) {
      this.willSet(config, value);
      this.configs.set(config, value);
    }
  }

  /** From now on the config may have this value. */
  willSet(config: string, value: string): void {
    if (config === 'flush' && value === 'os') this.weak = true;
    if (config.startsWith('retention.') && value !== '-1') this.retained = true;
    if (this.retained) for (const partition of this.partitions) partition.startMax = Infinity;
  }

  addPartitions(count: number): void {
    while (this.partitions.length < count) {
      const view = new PartitionView(this, this.partitions.length);
      if (this.retained) view.startMax = Infinity;
      this.partitions.push(view);
    }
  }
}

/** A name, which one admin client owns: it alone creates and deletes topics under it. */
export class TopicName {
  readonly name: string;
  /** Rises when a creation or deletion begins or ends: a request by name means one topic only while it stays. */
  changes = 0;
  current: TopicView | undefined;
  incarnations = 0;

  constructor(name: string) {
    this.name = name;
  }
}

interface Value {
  readonly view: PartitionView;
  /** By name it may have landed in a later topic. */
  byName: boolean;
  /** Acknowledged by its only attempt: it stands there and nowhere else. */
  settled: boolean;
}

/** Everything that the clients know together. */
export class Model {
  readonly names: readonly TopicName[];
  readonly #byId = new Map<string, TopicView>();
  readonly #values = new Map<number, Value>();
  readonly #producerIds = new Set<number>();
  #nextValue = 0;

  constructor(names: readonly string[]) {
    this.names = names.map((name) => new TopicName(name));
  }

  topic(id: string): TopicView | undefined {
    return this.#byId.get(id);
  }

  topics(): Iterable<TopicView> {
    return this.#byId.values();
  }

  /** Partitions that exist for certain. */
  targets(): PartitionView[] {
    return this.names.flatMap(({ current }) => (current?.state === 'exists' ? current.partitions : []));
  }

  created(owner: TopicName, id: string, configs: ReadonlyMap<string, string>, partitions: number): TopicView {
    if (this.#byId.has(id))
      throw new Violation('topic-id', `${id} was given out twice, now to ${owner.name}`);
    const topic = new TopicView(owner.name, id, ++owner.incarnations, configs);
    topic.addPartitions(partitions);
    this.#byId.set(id, topic);
    owner.current = topic;
    return topic;
  }

  newProducerId(id: number): void {
    if (this.#producerIds.has(id)) throw new Violation('producer-id', `${id} was handed out twice`);
    this.#producerIds.add(id);
  }

  newValues(view: PartitionView, count: number): number[] {
    return Array.from({ length: count }, () => {
      const value = ++this.#nextValue;
      this.#values.set(value, { view, byName: false, settled: false });
      view.history.sent(value);
      return value;
    });
  }

  sentByName(values: readonly number[]): void {
    for (const value of values) this.#values.get(value)!.byName = true;
  }

  settled(values: readonly number[]): void {
    for (const value of values) this.#values.get(value)!.settled = true;
  }

  read(view: PartitionView, offset: number, value: number): void {
    const known = this.#values.get(value);
    if (known === undefined) throw new Violation('phantom', `${view.key}: ${value} was never sent`);
    if (known.view !== view) {
      const { topic, index } = known.view;
      const mayBe =
        known.byName &&
        !known.settled &&
        topic.name === view.topic.name &&
        index === view.index &&
        topic.incarnation < view.topic.incarnation;
      if (!mayBe) {
        throw new Violation(
          'resurrected',
          `${value} was sent to ${known.view.history.name} (by name: ${known.byName}, settled: ${known.settled}), and read from ${view.history.name} at ${offset}`,
        );
      }
      if (!view.history.knows(value)) {
        view.history.sent(value);
        view.history.unknown(value);
      }
    }
    view.history.read(offset, value);
  }

  /** The broker starts, and not after a clean stop. */
  crashed(): void {
    for (const topic of this.#byId.values()) for (const view of topic.partitions) view.startMin = 0;
  }

  powerLost(): void {
    for (const topic of this.#byId.values()) for (const view of topic.partitions) view.powerLost();
  }
}

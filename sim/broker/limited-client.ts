import { apiVersions, createTopics, deleteTopics, fetch, produce, type Api } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { batchOf } from '../workload/values.ts';
import { Client } from './clients.ts';
import type { KafkaConnection } from './connection.ts';
import type { QuotaHost, QuotaName } from './quotas.ts';

/** The window of the broker's quotas. */
export const QUOTA_WINDOW = { samples: 3, sampleMs: 1000 } as const;
const PAUSE_MS_MAX = 30;
const BATCH_BYTES_MIN = 300;
const BATCH_BYTES_MAX = 3000;
const FETCH_BYTES = 5000;
const TIMEOUT_MS = 5000;
/** What needs neither disk nor waiting is answered within this time by a broker that reads the connection, while no segment is slow. */
const PROMPT_MS = 60;
/** The same where segments may be slow: each takes half a second at most. */
const SLOW_MS = 6000;
/** Of what was produced, measured at once: it lies in one window whatever its samples are. */
const MEASURED_MS = (QUOTA_WINDOW.samples - 1) * QUOTA_WINDOW.sampleMs;
/** Of a limit, for what is rounded. */
const TOLERANCE = 1.01;

/** A request of a kind, by the quota that limits it; undefined: none does. */
interface Kind {
  readonly quota: QuotaName | undefined;
  /** Needs neither disk nor waiting. */
  readonly isPrompt: boolean;
}

const PRODUCE: Kind = { quota: 'producer_byte_rate', isPrompt: true };
const FETCH: Kind = { quota: 'consumer_byte_rate', isPrompt: false };
const CHANGE: Kind = { quota: 'controller_mutation_rate', isPrompt: false };
// No time passes within an event of the simulation: request_percentage has nothing to measure.
const PROBE: Kind = { quota: undefined, isPrompt: true };

/** What the client was told on its present connection. */
interface Muted {
  /** The broker has read nothing before: it began no sooner than the request was sent. */
  readonly fromMs: number;
  /** It must read again then: it began no later than the answer came. */
  readonly untilMs: number;
}

interface Sent {
  readonly ms: number;
  /** In which its connection was opened: of a loss of power it may hear late. */
  readonly boot: number;
  /** Slow segments before its connection was opened, or it was sent. */
  readonly slow: number;
}

/** Does what quotas limit, one request at a time and as if it knew nothing of them, and holds the broker to the times that it is told. */
export class LimitedClient extends Client<QuotaHost> {
  protected override readonly clientId: string;
  #opened: { readonly connection: KafkaConnection; readonly boot: number } | undefined;
  #muted: Muted | undefined;
  /** What it has produced without being told to wait, by when it was sent. */
  #produced: { readonly sentMs: number; readonly bytes: number }[] = [];
  #producedBoot = 0;
  #hasTopic = false;

  constructor(host: QuotaHost, clientId: string) {
    super(host, clientId);
    this.clientId = clientId;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    const dice = this.random.fraction();
    if (this.#muted !== undefined && dice < 0.5) await this.#exchange(PROBE, apiVersions, {});
    else if (dice < 0.7) await this.#produce();
    else if (dice < 0.85) await this.#fetch();
    else await this.#changeTopic();
  }

  /** To a topic that there is not: what is sent counts all the same. */
  async #produce(): Promise<void> {
    const valueBytes = this.random.between(BATCH_BYTES_MIN, BATCH_BYTES_MAX);
    const timestamp = Math.floor(this.host.world.startMs);
    const records = batchOf([0], { valueBytes, timestamp });
    const topicData = [{ name: 'nowhere', partitionData: [{ index: 0, records }] }];
    const request = { acks: 1, timeoutMs: TIMEOUT_MS, topicData };
    const { sent, throttleTimeMs } = await this.#exchange(PRODUCE, produce, request, 12);
    this.#measure(records.length, sent, throttleTimeMs);
  }

  /** A limit that is in force tells a client to wait before it has produced more than a window's share. */
  #measure(bytes: number, { ms: sentMs, boot }: Sent, throttleTimeMs: number): void {
    const { world, quotas } = this.host;
    const { limit, changing, sinceMs } = quotas.of(this.clientId, 'producer_byte_rate');
    if (throttleTimeMs > 0 || boot !== this.#producedBoot) this.#produced = [];
    this.#producedBoot = boot;
    if (throttleTimeMs > 0) return;
    this.#produced.push({ sentMs, bytes });
    if (limit === undefined || changing) return;
    const afterMs = Math.max(sinceMs, world.nowMs - MEASURED_MS);
    this.#produced = this.#produced.filter((one) => one.sentMs > afterMs);
    const sum = this.#produced.reduce((total, one) => total + one.bytes, 0);
    if (sum > (limit * TOLERANCE * QUOTA_WINDOW.samples * QUOTA_WINDOW.sampleMs) / 1000) {
      throw new Violation('quota-ignored', `${this.clientId} has sent ${sum} bytes, the quota is ${limit}`);
    }
  }

  async #fetch(): Promise<void> {
    const targets = this.host.model.targets();
    if (targets.length === 0) return;
    const { topic, index, highWatermark } = this.random.pick(targets);
    const partition = {
      partition: index,
      fetchOffset: this.random.integer(highWatermark + 1),
      partitionMaxBytes: FETCH_BYTES,
    };
    const request = {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: FETCH_BYTES,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [{ topic: topic.name, topicId: topic.id, partitions: [partition] }],
      forgottenTopicsData: [],
    };
    const { answer, throttleTimeMs } = await this.#exchange(FETCH, fetch, request);
    const partitions = answer.responses.flatMap((one) => one.partitions);
    if (throttleTimeMs > 0 && partitions.some(({ records }) => (records?.length ?? 0) > 0)) {
      throw new Violation('quota-ignored', `${this.clientId} is told to wait, and has its records`);
    }
  }

  /** A topic of its own, which comes and goes. */
  async #changeTopic(): Promise<void> {
    const name = `of-${this.clientId}`;
    if (this.#hasTopic) {
      const topics = { topicNames: [name], timeoutMs: TIMEOUT_MS };
      await this.#exchange(CHANGE, deleteTopics, topics, 5);
    } else {
      const topic = { name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] };
      await this.#exchange(CHANGE, createTopics, { topics: [topic], timeoutMs: TIMEOUT_MS });
    }
    // It may be wrong about that, which costs nothing.
    this.#hasTopic = !this.#hasTopic;
  }

  // Times

  async #exchange<QI, S>(
    kind: Kind,
    api: Api<unknown, QI, S>,
    body: QI,
    versionMax = Infinity,
  ): Promise<{ readonly answer: S; readonly sent: Sent; readonly throttleTimeMs: number }> {
    const { world } = this.host;
    // A new connection may be accepted slowly.
    const slow = this.#slowSegments();
    const connection = await this.connection();
    if (this.#opened?.connection !== connection) {
      this.#opened = { connection, boot: this.host.boot() };
      this.#muted = undefined;
    }
    const muted = this.#muted;
    const sent = { ms: world.nowMs, boot: this.#opened.boot, slow };
    const dueMs = Math.max(sent.ms, muted?.untilMs ?? 0);
    const overdue = [PROMPT_MS, SLOW_MS].map((spareMs) =>
      world.after(dueMs + spareMs - sent.ms, () => {
        const mayBeSlow = spareMs === PROMPT_MS && sent.slow !== this.#slowSegments();
        const isGone = connection.closed || !this.host.isUp() || this.host.boot() !== sent.boot;
        if (!kind.isPrompt || mayBeSlow || isGone) return;
        this.host.fail(new Violation('quota-late', `${this.#waiting(api, muted)} is not answered`));
      }),
    );
    let answer: S;
    try {
      answer = await connection.request(api, this.version(api, 1, versionMax), body);
    } finally {
      for (const timer of overdue) timer.cancel();
    }
    if (muted !== undefined && world.nowMs < muted.fromMs) {
      throw new Violation('quota-early', `${this.#waiting(api, muted)} is answered already`);
    }
    if (muted !== undefined) this.count('quota.served-again');
    const { throttleTimeMs } = answer as { readonly throttleTimeMs: number };
    this.#muted = throttleTimeMs > 0 ? this.#throttled(kind, sent, throttleTimeMs) : undefined;
    return { answer, sent, throttleTimeMs };
  }

  #throttled({ quota }: Kind, sent: Sent, throttleTimeMs: number): Muted {
    const { quotas, world } = this.host;
    this.count(`quota.throttled.${quota}`);
    this.note(`${this.clientId} has to wait for ${throttleTimeMs} ms, by ${quota}`);
    if (quota === undefined || !quotas.mayLimit(this.clientId, quota, sent.ms)) {
      throw new Violation('throttled', `${this.clientId} has to wait though it has no ${quota}`);
    }
    if (throttleTimeMs > QUOTA_WINDOW.samples * QUOTA_WINDOW.sampleMs) {
      throw new Violation(
        'throttled',
        `${this.clientId} has to wait for ${throttleTimeMs} ms: a window is less`,
      );
    }
    return { fromMs: sent.ms + throttleTimeMs, untilMs: world.nowMs + throttleTimeMs };
  }

  #slowSegments(): number {
    return this.host.world.faults.get('network.slow') ?? 0;
  }

  #waiting(api: Pick<Api, 'name'>, muted: Muted | undefined): string {
    const { nowMs } = this.host.world;
    const told =
      muted === undefined ? 'was not to wait' : `was to wait until ${muted.fromMs} to ${muted.untilMs}`;
    return `${api.name} of ${this.clientId}, which ${told}, at ${nowMs},`;
  }
}

import type { Metric, Registry } from '@prometheus-io/client';
import {
  TOPIC_LABELS_MAX,
  type ApiMetrics,
  type ConnectionCounters,
  type Metrics,
  type TopicCounters,
} from './types.ts';

/** Upper bounds of the latency buckets in seconds, as Prometheus wants them. */
const LATENCY_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const OTHER_TOPICS = '(other)';
const NAME_PREFIX = 'polylog_';

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: () => Sample[];
}

class LatencyHistogram implements ApiMetrics {
  errors = 0;
  readonly #counts = new Float64Array(LATENCY_BUCKETS_S.length + 1);
  #sumS = 0;

  observe(latencyMs: number): void {
    const seconds = latencyMs / 1000;
    this.#sumS += seconds;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS_S.length && seconds > LATENCY_BUCKETS_S[bucket]!) bucket++;
    this.#counts[bucket]!++;
  }

  samples(name: string, labels: Readonly<Record<string, string>>): Sample[] {
    const samples: Sample[] = [];
    let count = 0;
    for (const [bucket, bound] of LATENCY_BUCKETS_S.entries()) {
      count += this.#counts[bucket]!;
      samples.push({ labels: { ...labels, le: bound }, value: count, metricName: `${name}_bucket` });
    }
    count += this.#counts[LATENCY_BUCKETS_S.length]!;
    samples.push({ labels: { ...labels, le: '+Inf' }, value: count, metricName: `${name}_bucket` });
    samples.push({ labels, value: this.#sumS, metricName: `${name}_sum` });
    samples.push({ labels, value: count, metricName: `${name}_count` });
    return samples;
  }
}

/**
 * Plain numbers that the hot path adds to; Prometheus' registry is loaded and fed from them when someone first scrapes, so that
 * neither the start nor an increment pays for it.
 */
export class BrokerMetrics implements Metrics {
  readonly connections: ConnectionCounters = {
    open: 0,
    accepted: 0,
    refused: 0,
    bytesReceived: 0,
    bytesSent: 0,
  };
  readonly #topics = new Map<string, TopicCounters>();
  readonly #apis = new Map<string, { frontend: string; api: string; histogram: LatencyHistogram }>();
  readonly #families = new Map<string, Family>();
  #registry: Promise<Registry> | undefined;

  constructor() {
    this.#describeTopics();
    this.#describeApis();
    this.#describeConnections();
  }

  topic(kafkaName: string): TopicCounters {
    const known = this.#topics.get(kafkaName);
    if (known !== undefined) return known;
    if (this.#topics.size >= TOPIC_LABELS_MAX && kafkaName !== OTHER_TOPICS) return this.topic(OTHER_TOPICS);
    const counters: TopicCounters = {
      bytesIn: 0,
      bytesOut: 0,
      messagesIn: 0,
      produceRequests: 0,
      fetchRequests: 0,
      failedProduceRequests: 0,
      failedFetchRequests: 0,
    };
    this.#topics.set(kafkaName, counters);
    return counters;
  }

  removeTopic(kafkaName: string): void {
    this.#topics.delete(kafkaName);
  }

  api(frontend: string, api: string): ApiMetrics {
    const key = `${frontend}/${api}`;
    const known = this.#apis.get(key);
    if (known !== undefined) return known.histogram;
    const histogram = new LatencyHistogram();
    this.#apis.set(key, { frontend, api, histogram });
    return histogram;
  }

  gauge(options: { readonly name: string; readonly help: string; readonly read: () => number }): void {
    this.#describe('gauge', options.name, options.help, () => [{ labels: {}, value: options.read() }]);
  }

  counter(options: { readonly name: string; readonly help: string; readonly read: () => number }): void {
    this.#describe('counter', options.name, options.help, () => [{ labels: {}, value: options.read() }]);
  }

  async render(): Promise<{ readonly contentType: string; readonly body: string }> {
    this.#registry ??= this.#makeRegistry();
    const registry = await this.#registry;
    return { contentType: registry.contentType, body: await registry.metrics() };
  }

  async #makeRegistry(): Promise<Registry> {
    const client = await import('@prometheus-io/client');
    const registry = new client.Registry();
    for (const family of this.#families.values()) register(registry, family);
    return registry;
  }

  #describe(type: Family['type'], name: string, help: string, samples: () => Sample[]): void {
    const full = `${NAME_PREFIX}${name}`;
    if (this.#families.has(full)) throw new Error(`The metric ${full} exists already`);
    const family = { name: full, help, type, samples };
    this.#families.set(full, family);
    if (this.#registry !== undefined) void this.#registry.then((registry) => register(registry, family));
  }

  #describeTopics(): void {
    const counter = (field: keyof TopicCounters, name: string, help: string): void =>
      this.#describe('counter', name, help, () =>
        [...this.#topics].map(([topic, counters]) => ({ labels: { topic }, value: counters[field] })),
      );
    counter('bytesIn', 'topic_bytes_in_total', 'Bytes of record batches accepted');
    counter('bytesOut', 'topic_bytes_out_total', 'Bytes of record batches sent to consumers');
    counter('messagesIn', 'topic_messages_in_total', 'Records accepted');
    counter('produceRequests', 'topic_produce_requests_total', 'Requests to append to a topic');
    counter('fetchRequests', 'topic_fetch_requests_total', 'Requests to read from a topic');
    counter('failedProduceRequests', 'topic_failed_produce_requests_total', 'Appends that were refused');
    counter('failedFetchRequests', 'topic_failed_fetch_requests_total', 'Reads that were refused');
  }

  #describeApis(): void {
    const name = 'request_duration_seconds';
    this.#describe('histogram', name, 'Time from a complete request to its response', () =>
      [...this.#apis.values()].flatMap(({ frontend, api, histogram }) =>
        histogram.samples(`${NAME_PREFIX}${name}`, { frontend, api }),
      ),
    );
    this.#describe('counter', 'request_errors_total', 'Requests that failed as a whole', () =>
      [...this.#apis.values()].map(({ frontend, api, histogram }) => ({
        labels: { frontend, api },
        value: histogram.errors,
      })),
    );
  }

  #describeConnections(): void {
    const { connections } = this;
    this.gauge({ name: 'connections', help: 'Open connections', read: () => connections.open });
    const counters = {
      accepted: ['connections_accepted_total', 'Connections accepted'],
      refused: ['connections_refused_total', 'Connections closed at once for a limit'],
      bytesReceived: ['received_bytes_total', 'Bytes received from clients'],
      bytesSent: ['sent_bytes_total', 'Bytes sent to clients'],
    } as const;
    for (const [field, [name, help]] of Object.entries(counters)) {
      this.counter({ name, help, read: () => connections[field as keyof typeof counters] });
    }
  }
}

function register(registry: Registry, family: Family): void {
  const { name, help, type, samples } = family;
  // The registry asks each metric for this at every scrape; its types know the library's own metrics only.
  const metric = {
    name,
    help,
    type,
    get: () => ({ name, help, type, values: samples(), aggregator: 'sum' }),
  };
  registry.registerMetric(metric as unknown as Metric<string>);
}

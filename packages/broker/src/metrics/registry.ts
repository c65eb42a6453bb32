import type { Metric, Registry } from '@prometheus-io/client';
import { Histogram } from './histogram.ts';
import {
  noConnections,
  OTHER_TOPICS,
  SERIES_MAX,
  TOPIC_LABELS_MAX,
  type AddSeries,
  type ApiMetrics,
  type ConnectionCounters,
  type MetricFamily,
  type MetricOptions,
  type Metrics,
  type SeriesOptions,
  type TopicCounters,
  type ValueOptions,
} from './types.ts';

const NAME_PREFIX = 'polylog_';

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

interface Family extends MetricFamily {
  readonly samples: () => Sample[];
}

class LatencyCounters implements ApiMetrics {
  errors = 0;
  readonly seconds = new Histogram();

  observe(latencyMs: number): void {
    this.seconds.observe(latencyMs / 1000);
  }
}

function histogramSamples(
  name: string,
  { bounds, counts, sum }: Histogram,
  labels: Readonly<Record<string, string>>,
): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (const [bucket, bound] of bounds.entries()) {
    count += counts[bucket]!;
    samples.push({ labels: { ...labels, le: bound }, value: count, metricName: `${name}_bucket` });
  }
  count += counts[bounds.length]!;
  samples.push({ labels: { ...labels, le: '+Inf' }, value: count, metricName: `${name}_bucket` });
  samples.push({ labels, value: sum, metricName: `${name}_sum` });
  samples.push({ labels, value: count, metricName: `${name}_count` });
  return samples;
}

/**
 * Plain numbers that the hot path adds to; Prometheus' registry is loaded and fed from them when someone first scrapes, so that
 * neither the start nor an increment pays for it.
 */
export class BrokerMetrics implements Metrics {
  readonly #connections = new Map<string, ConnectionCounters>();
  readonly #topics = new Map<string, TopicCounters>();
  readonly #apis = new Map<string, { frontend: string; api: string; counters: LatencyCounters }>();
  readonly #families = new Map<string, Family>();
  /** Series that the last scrape left out, by the name of their metric. */
  readonly #dropped = new Map<string, number>();
  #registry: Promise<Registry> | undefined;

  constructor() {
    this.#describeTopics();
    this.#describeApis();
    this.#describeConnections();
    this.#describeDropped();
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
    if (known !== undefined) return known.counters;
    const counters = new LatencyCounters();
    this.#apis.set(key, { frontend, api, counters });
    return counters;
  }

  connections(listener: string): ConnectionCounters {
    const known = this.#connections.get(listener);
    if (known !== undefined) return known;
    const counters = noConnections();
    this.#connections.set(listener, counters);
    return counters;
  }

  gauge({ name, help, read }: ValueOptions): void {
    this.#describe('gauge', { name, help, labels: [] }, () => [{ labels: {}, value: read() }]);
  }

  counter({ name, help, read }: ValueOptions): void {
    this.#describe('counter', { name, help, labels: [] }, () => [{ labels: {}, value: read() }]);
  }

  gauges(options: SeriesOptions): void {
    this.#describe('gauge', options, () => this.#collect(options));
  }

  counters(options: SeriesOptions): void {
    this.#describe('counter', options, () => this.#collect(options));
  }

  histogram({ name, help, histogram }: MetricOptions & { readonly histogram: Histogram }): void {
    this.#describe('histogram', { name, help, labels: [] }, () =>
      histogramSamples(`${NAME_PREFIX}${name}`, histogram, {}),
    );
  }

  /** All metrics there are, by name. */
  families(): MetricFamily[] {
    return [...this.#families.values()]
      .map(({ name, help, type, labels }) => ({ name, help, type, labels }))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  #collect({ name, labels, seriesMax = SERIES_MAX, read }: SeriesOptions): Sample[] {
    const samples: Sample[] = [];
    let dropped = 0;
    read((value, ...values) => {
      if (samples.length >= seriesMax) {
        dropped++;
        return;
      }
      const named: Record<string, string> = {};
      for (const [at, label] of labels.entries()) named[label] = values[at]!;
      samples.push({ labels: named, value });
    });
    if (dropped > 0) this.#dropped.set(`${NAME_PREFIX}${name}`, dropped);
    else this.#dropped.delete(`${NAME_PREFIX}${name}`);
    return samples;
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

  #describe(
    type: Family['type'],
    { name, help, labels }: Pick<SeriesOptions, 'name' | 'help' | 'labels'>,
    samples: () => Sample[],
  ): void {
    const full = `${NAME_PREFIX}${name}`;
    if (this.#families.has(full)) throw new Error(`The metric ${full} exists already`);
    const family = { name: full, help, type, labels, samples };
    this.#families.set(full, family);
    if (this.#registry !== undefined) void this.#registry.then((registry) => register(registry, family));
  }

  #describeTopics(): void {
    const counter = (field: keyof TopicCounters, name: string, help: string): void =>
      this.counters({
        name,
        help,
        labels: ['topic'],
        // And the one that stands for all others.
        seriesMax: TOPIC_LABELS_MAX + 1,
        read: (add) => {
          for (const [topic, counters] of this.#topics) add(counters[field], topic);
        },
      });
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
    const labels = ['frontend', 'api'];
    const help = 'Time from a complete request to its response';
    this.#describe('histogram', { name, help, labels }, () =>
      [...this.#apis.values()].flatMap(({ frontend, api, counters }) =>
        histogramSamples(`${NAME_PREFIX}${name}`, counters.seconds, { frontend, api }),
      ),
    );
    this.counters({
      name: 'request_errors_total',
      help: 'Requests that failed as a whole',
      labels,
      read: (add) => {
        for (const { frontend, api, counters } of this.#apis.values()) add(counters.errors, frontend, api);
      },
    });
  }

  #describeConnections(): void {
    const read = (field: keyof ConnectionCounters) => (add: AddSeries) => {
      for (const [listener, counters] of this.#connections) add(counters[field], listener);
    };
    const labels = ['listener'];
    this.gauges({ name: 'connections', help: 'Open connections', labels, read: read('open') });
    const counters = {
      accepted: ['connections_accepted_total', 'Connections accepted'],
      refused: [
        'connections_refused_total',
        'Connections closed at once for a limit, or since no rule makes a name of their certificate',
      ],
      failedHandshakes: ['tls_handshake_failures_total', 'TLS handshakes that failed or took too long'],
      bytesReceived: ['received_bytes_total', 'Bytes received from clients'],
      bytesSent: ['sent_bytes_total', 'Bytes sent to clients'],
    } as const;
    for (const [field, [name, help]] of Object.entries(counters)) {
      this.counters({ name, help, labels, read: read(field as keyof typeof counters) });
    }
  }

  #describeDropped(): void {
    this.gauges({
      name: 'metrics_series_dropped',
      help: 'Series that the scrape before left out, since a metric has more than its limit',
      labels: ['metric'],
      read: (add) => {
        for (const [metric, count] of this.#dropped) add(count, metric);
      },
    });
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

import type { Histogram } from './histogram.ts';

/**
 * What the data plane counts. Increments are field additions without lookups: fetch a topic's counters once and keep them
 * with the partition. Everything else is read when somebody scrapes, and costs nothing before.
 */
export interface Metrics {
  /** Counters of one topic, made on first use. Past `TOPIC_LABELS_MAX` topics the rest share one set, labelled `(other)`. */
  topic(kafkaName: string): TopicCounters;
  /** Forgets a deleted topic. */
  removeTopic(kafkaName: string): void;
  /** Counters of one API of one front end, made on first use. */
  api(frontend: string, api: string): ApiMetrics;
  /** Counters of one listener, made on first use. */
  connections(listener: string): ConnectionCounters;
  /** A value that is asked for at each scrape. Throws if the name is taken. */
  gauge(options: ValueOptions): void;
  /** A count that is asked for at each scrape; it never falls. Throws if the name is taken. */
  counter(options: ValueOptions): void;
  /** The same with labels: `read` adds the series of the moment. Throws if the name is taken. */
  gauges(options: SeriesOptions): void;
  counters(options: SeriesOptions): void;
  /** Throws if the name is taken. */
  histogram(options: MetricOptions & { readonly histogram: Histogram }): void;
  /** The text format of Prometheus, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export interface MetricOptions {
  /** Without the prefix `polylog_`; ends in its unit, and in `_total` if it counts. */
  readonly name: string;
  readonly help: string;
}

export interface ValueOptions extends MetricOptions {
  readonly read: () => number;
}

export interface SeriesOptions extends MetricOptions {
  /** Names of the labels, in the order in which `read` gives their values. */
  readonly labels: readonly string[];
  /** Default {@link SERIES_MAX}. What is added beyond it is left out, and counted in `polylog_metrics_series_dropped`. */
  readonly seriesMax?: number;
  readonly read: (add: AddSeries) => void;
}

export type AddSeries = (value: number, ...labels: readonly string[]) => void;

/** What is known of a metric without a scrape. */
export interface MetricFamily {
  /** With the prefix. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Without `le`. */
  readonly labels: readonly string[];
}

/** Add to the fields. */
export interface TopicCounters {
  bytesIn: number;
  bytesOut: number;
  /** Records. */
  messagesIn: number;
  produceRequests: number;
  fetchRequests: number;
  failedProduceRequests: number;
  failedFetchRequests: number;
}

export interface ApiMetrics {
  /** From the complete frame to the response handed to the socket, in milliseconds with a fraction. */
  observe(latencyMs: number): void;
  /** Requests that were answered with an error as a whole, or closed the connection. */
  errors: number;
}

export interface ConnectionCounters {
  open: number;
  accepted: number;
  /** Closed at once for a limit, or since their certificate names nobody. */
  refused: number;
  failedHandshakes: number;
  bytesReceived: number;
  bytesSent: number;
}

export function noConnections(): ConnectionCounters {
  return { open: 0, accepted: 0, refused: 0, failedHandshakes: 0, bytesReceived: 0, bytesSent: 0 };
}

/** Topics that have their own labels. */
export const TOPIC_LABELS_MAX = 1000;
/** Label of all topics beyond {@link TOPIC_LABELS_MAX} together. */
export const OTHER_TOPICS = '(other)';
/** Series of one metric: what a scrape writes, and Prometheus keeps, stays bounded whatever clients create. */
export const SERIES_MAX = 1000;

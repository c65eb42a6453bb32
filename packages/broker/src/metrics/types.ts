/**
 * What the data plane counts. Increments are field additions without lookups: fetch a topic's counters once and keep them
 * with the partition.
 */
export interface Metrics {
  /** Counters of one topic, made on first use. Past `TOPIC_LABELS_MAX` topics the rest share one set, labelled `(other)`. */
  topic(kafkaName: string): TopicCounters;
  /** Forgets a deleted topic. */
  removeTopic(kafkaName: string): void;
  /** Counters of one API of one front end, made on first use. */
  api(frontend: string, api: string): ApiMetrics;
  readonly connections: ConnectionCounters;
  /** A value that is asked for at each scrape. Throws if the name is taken. */
  gauge(options: { readonly name: string; readonly help: string; readonly read: () => number }): void;
  /** A count that is asked for at each scrape; it never falls. Throws if the name is taken. */
  counter(options: { readonly name: string; readonly help: string; readonly read: () => number }): void;
  /** The text format of Prometheus, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
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
  /** Closed at once for a limit. */
  refused: number;
  bytesReceived: number;
  bytesSent: number;
}

/** Topics that have their own labels. */
export const TOPIC_LABELS_MAX = 1000;

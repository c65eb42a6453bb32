import type { Address } from './connection.ts';
import type { Acks, BatchShape } from './requests.ts';

/** When a run ends. It counts from the end of its warm-up, and ends at whichever limit it meets first. */
export interface RunLimits {
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly requestsMax: number;
  readonly bytesMax: number;
}

export interface Target extends Address {
  /** The broker's process, to read what it costs; undefined if it is not on this machine. */
  readonly pid: number | undefined;
}

interface CommonJob {
  readonly target: Target;
  readonly topic: string;
  readonly limits: RunLimits;
  readonly batch: BatchShape;
}

/** Sends produce requests of one batch each, spread over partitions 0 to `partitions` - 1. */
export interface ProduceJob extends CommonJob {
  readonly kind: 'produce';
  readonly partitions: number;
  readonly connections: number;
  /** Requests in flight per connection. */
  readonly window: number;
  /** -1, which is all, if left out. */
  readonly acks?: Acks;
}

/** Reads partition 0 from its start, again and again or once; one request in flight per connection. */
export interface FetchJob extends CommonJob {
  readonly kind: 'fetch';
  readonly connections: number;
  readonly responseBytes: number;
  /** Batches in the log, all alike. */
  readonly batchCount: number;
  /** Whether the run ends where the log does: what has been read is in the page cache. */
  readonly once?: boolean;
}

/** Sends messages at a steady rate to partition 0 of an empty topic, and fetches them with a long poll. */
export interface LatencyJob extends CommonJob {
  readonly kind: 'latency';
  readonly messagesPerSecond: number;
}

/** Sends messages at a steady rate to partition 0; the latency is that of their acknowledgement. */
export interface PacedProduceJob extends CommonJob {
  readonly kind: 'paced-produce';
  readonly messagesPerSecond: number;
}

/**
 * Produces to partition 0 of an empty topic, and reads it with several consumers, each in a group of its own, so that it gets
 * everything. They are members as stock clients are: they join, send heartbeats, commit offsets and leave. The producer waits for the
 * slowest of them; what counts is what they receive together.
 */
export interface FanOutJob extends CommonJob {
  readonly kind: 'fan-out';
  readonly consumers: number;
}

/** A client that users run, in this process, with the settings that it comes with. */
interface StockJob extends CommonJob {
  readonly client: StockClientName;
  readonly partitions: number;
}

/** Sends calls of `messagesPerCall` messages, some of them at a time; a call counts as a request. */
export interface StockProduceJob extends StockJob {
  readonly kind: 'stock-produce';
  readonly messagesPerCall: number;
  readonly callsInFlight: number;
}

/** Reads all partitions from the start, as the one member of a group; the run ends with the topic, if not before. */
export interface StockConsumeJob extends StockJob {
  readonly kind: 'stock-consume';
  readonly recordCount: number;
}

export type StockClientName = 'platformatic' | 'kafkajs';

export type Job =
  | ProduceJob
  | FetchJob
  | LatencyJob
  | PacedProduceJob
  | FanOutJob
  | StockProduceJob
  | StockConsumeJob;

/** What was measured between warm-up and end. */
export interface Figures {
  /** Produce: acknowledged requests. Fetch: responses. Latency: messages received. */
  readonly requests: number;
  /** Records in what was acknowledged or received. */
  readonly messages: number;
  /** Of record batches, without the protocol around them. */
  readonly bytes: number;
  readonly seconds: number;
  /** The time of the system's monotonic clock at which measuring began, as V8 stamps its profiles. */
  readonly beganAtUs: number;
  /** Undefined where latencies are not known. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly p999Ms: number | undefined;
  /** CPU time of all threads, user and system; undefined without a pid. */
  readonly brokerCpuSeconds: number | undefined;
  /** The part of it that was spent in the kernel. */
  readonly brokerSystemSeconds: number | undefined;
  readonly generatorCpuSeconds: number;
  /** CPU time that other processes of the machine took meanwhile: noise in the other figures. */
  readonly otherCpuSeconds: number | undefined;
}

export interface JobResult {
  readonly figures: Figures;
  /** Requests answered without error from beginning to end. */
  readonly requestsTotal: number;
  /** Of those that produced: times the requests, what the log must hold. */
  readonly recordsPerRequest: number;
  /** Of record batches, from beginning to end. */
  readonly bytesTotal: number;
}

import type { Address } from './connection.ts';
import type { BatchShape } from './requests.ts';

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

/** Sends produce requests of one batch each, acks=all, spread over partitions 0 to `partitions` - 1. */
export interface ProduceJob extends CommonJob {
  readonly kind: 'produce';
  readonly partitions: number;
  readonly connections: number;
  /** Requests in flight per connection. */
  readonly window: number;
}

/** Reads partition 0 from its start, again and again; one request in flight per connection. */
export interface FetchJob extends CommonJob {
  readonly kind: 'fetch';
  readonly connections: number;
  readonly responseBytes: number;
  /** Batches in the log, all alike. */
  readonly batchCount: number;
}

/** Sends messages at a steady rate to partition 0 of an empty topic, and fetches them with a long poll. */
export interface LatencyJob extends CommonJob {
  readonly kind: 'latency';
  readonly messagesPerSecond: number;
}

export type Job = ProduceJob | FetchJob | LatencyJob;

/** What was measured between warm-up and end. */
export interface Figures {
  /** Produce: acknowledged requests. Fetch: responses. Latency: messages received. */
  readonly requests: number;
  /** Of record batches, without the protocol around them. */
  readonly bytes: number;
  readonly seconds: number;
  /** The time of the system's monotonic clock at which measuring began, as V8 stamps its profiles. */
  readonly beganAtUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
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
  /** Requests answered without error from beginning to end: for produce, what the log must hold. */
  readonly requestsTotal: number;
  readonly recordsPerRequest: number;
}

import process from 'node:process';

import { Histogram } from './histogram.ts';
import type { Figures, RunLimits } from './job.ts';
import { busySecondsOfMachine, cpuSecondsOf, type CpuSeconds } from './process-stats.ts';

/** Without any answer for so long, or with requests open so long after the end, a run has failed. */
const SILENCE_MS_MAX = 15_000;
const WATCH_MS = 1_000;

interface Marks {
  readonly atUs: number;
  readonly brokerCpu: CpuSeconds | undefined;
  readonly generatorCpuSeconds: number;
  readonly busySeconds: number | undefined;
}

/** One run from warm-up to the last answer: counts what is answered between warm-up and end, and fails as a whole. */
export class Run {
  readonly #limits: RunLimits;
  readonly #pid: number | undefined;
  readonly #latency = new Histogram();
  readonly #done = Promise.withResolvers<Figures>();
  #timers: NodeJS.Timeout[] = [];
  /** When the warm-up is over, and when the measured time is: a client that keeps the event loop from its timers learns of it, too. */
  #beginDueMs = Infinity;
  #endDueMs = Infinity;
  #begin: Marks | undefined;
  #figures: Figures | undefined;
  #requests = 0;
  #messages = 0;
  #bytes = 0;
  #open = 0;
  #answeredTotal = 0;
  #bytesTotal = 0;
  #answeredAtWatch = -1;
  #silentMs = 0;

  constructor(limits: RunLimits, pid: number | undefined) {
    this.#limits = limits;
    this.#pid = pid;
  }

  /** Whether requests may still be sent. */
  get sending(): boolean {
    return this.#figures === undefined;
  }

  /** Requests answered without error, warm-up included. */
  get answeredTotal(): number {
    return this.#answeredTotal;
  }

  /** Of record batches that were counted, before and after the measured time, too. */
  get bytesTotal(): number {
    return this.#bytesTotal;
  }

  /** Begins the warm-up; resolves once the run is over and every request has been answered. */
  start(): Promise<Figures> {
    const { warmupMs } = this.#limits;
    this.#beginDueMs = performance.now() + warmupMs;
    this.#timers = [
      setTimeout(() => this.#beginMeasuring(), warmupMs),
      setInterval(() => this.#watch(), WATCH_MS),
    ];
    return this.#done.promise;
  }

  sent(count: number): void {
    this.#open += count;
  }

  /** A request was answered without error. */
  answered(): void {
    this.#answeredTotal++;
    this.#open--;
    if (this.#figures !== undefined && this.#open === 0) this.#finish();
  }

  /** Counts one request, or what was received at once, if the warm-up is over. */
  count({ bytes, messages, latencyMs }: { bytes: number; messages: number; latencyMs?: number }): void {
    this.#bytesTotal += bytes;
    const nowMs = performance.now();
    if (nowMs >= this.#beginDueMs) this.#beginMeasuring();
    else if (nowMs >= this.#endDueMs) this.#end();
    if (this.#begin === undefined || this.#figures !== undefined) return;
    this.#requests++;
    this.#messages += messages;
    this.#bytes += bytes;
    if (latencyMs !== undefined) this.#latency.add(latencyMs * 1000);
    if (this.#requests >= this.#limits.requestsMax || this.#bytes >= this.#limits.bytesMax) this.#end();
  }

  /** There is nothing more to measure; an error if the warm-up is not even over. */
  end(): void {
    if (this.#begin === undefined)
      this.fail(new Error('there was no more to do before the warm-up was over'));
    else this.#end();
  }

  fail(error: Error): void {
    this.#figures ??= NO_FIGURES;
    this.#clearTimers();
    this.#done.reject(error);
  }

  #beginMeasuring(): void {
    if (this.#begin !== undefined || this.#figures !== undefined) return;
    const { measureMs } = this.#limits;
    this.#begin = this.#marks();
    this.#beginDueMs = Infinity;
    this.#endDueMs = performance.now() + measureMs;
    this.#timers.push(setTimeout(() => this.#end(), measureMs));
  }

  #end(): void {
    const begin = this.#begin;
    if (begin === undefined || this.#figures !== undefined) return;
    const end = this.#marks();
    const brokerSystemSeconds = difference(begin.brokerCpu?.system, end.brokerCpu?.system);
    const brokerUserSeconds = difference(begin.brokerCpu?.user, end.brokerCpu?.user);
    const brokerCpuSeconds =
      brokerUserSeconds === undefined || brokerSystemSeconds === undefined
        ? undefined
        : brokerUserSeconds + brokerSystemSeconds;
    const generatorCpuSeconds = end.generatorCpuSeconds - begin.generatorCpuSeconds;
    const busySeconds = difference(begin.busySeconds, end.busySeconds);
    this.#figures = {
      requests: this.#requests,
      messages: this.#messages,
      bytes: this.#bytes,
      seconds: (end.atUs - begin.atUs) / 1e6,
      beganAtUs: begin.atUs,
      p50Ms: this.#quantileMs(0.5),
      p99Ms: this.#quantileMs(0.99),
      p999Ms: this.#quantileMs(0.999),
      brokerCpuSeconds,
      brokerSystemSeconds,
      generatorCpuSeconds,
      otherCpuSeconds:
        busySeconds === undefined || brokerCpuSeconds === undefined
          ? undefined
          : Math.max(0, busySeconds - brokerCpuSeconds - generatorCpuSeconds),
    };
    if (this.#open === 0) this.#finish();
  }

  #quantileMs(part: number): number | undefined {
    return this.#latency.total === 0 ? undefined : this.#latency.quantileUs(part) / 1000;
  }

  #finish(): void {
    this.#clearTimers();
    this.#done.resolve(this.#figures ?? NO_FIGURES);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #watch(): void {
    this.#silentMs = this.#answeredTotal === this.#answeredAtWatch ? this.#silentMs + WATCH_MS : 0;
    this.#answeredAtWatch = this.#answeredTotal;
    if (this.#silentMs >= SILENCE_MS_MAX)
      this.fail(new Error(`${this.#open} requests had no answer for ${SILENCE_MS_MAX} ms`));
  }

  #marks(): Marks {
    const { user, system } = process.cpuUsage();
    return {
      atUs: Number(process.hrtime.bigint() / 1000n),
      brokerCpu: this.#pid === undefined ? undefined : cpuSecondsOf(this.#pid),
      generatorCpuSeconds: (user + system) / 1e6,
      busySeconds: busySecondsOfMachine(),
    };
  }
}

const NO_FIGURES: Figures = {
  requests: 0,
  messages: 0,
  bytes: 0,
  seconds: 0,
  beganAtUs: 0,
  p50Ms: undefined,
  p99Ms: undefined,
  p999Ms: undefined,
  brokerCpuSeconds: undefined,
  brokerSystemSeconds: undefined,
  generatorCpuSeconds: 0,
  otherCpuSeconds: undefined,
};

function difference(begin: number | undefined, end: number | undefined): number | undefined {
  return begin === undefined || end === undefined ? undefined : end - begin;
}

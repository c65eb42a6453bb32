import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { performanceToolArgs } from '../test/peers/kafka.ts';
import { requirePeer } from '../test/peers/peers.ts';
import { start } from '../test/peers/process.ts';
import { GENERATOR_CORE, pinned } from './commands.ts';
import type { Figures, Target } from './generator/job.ts';
import { busySecondsOfMachine, cpuSecondsOf } from './generator/process-stats.ts';
import type { BatchShape } from './generator/requests.ts';

/** Kafka's own performance tools, with the settings that they come with. */
export type JavaWork =
  | {
      readonly kind: 'java-produce';
      readonly recordBytes: number;
      /** Measured, after the warm-up's. */
      readonly records: number;
      readonly warmupRecords: number;
    }
  | { readonly kind: 'java-consume'; readonly batch: BatchShape; readonly logBytes: number }
  | { readonly kind: 'java-latency'; readonly recordBytes: number; readonly records: number };

const DEADLINE_MS = 180_000;
/** The CPU time of a process can be read while it lives only. */
const SAMPLE_MS = 20;

export interface JavaRun {
  readonly target: Target;
  readonly topic: string;
  readonly pin: boolean;
  /** In the topic, for those who read. */
  readonly recordCount: number;
}

/**
 * Runs a tool and reads its figures. The CPU time of the broker is that of the whole run, scaled to what the tool counts.
 * @throws Error if there is no Java and none can be had, and if the tool fails
 */
export async function runJavaTool(work: JavaWork, run: JavaRun): Promise<Figures> {
  const { skip } = await requirePeer('java', 'kafka-jars');
  if (skip !== false) throw new Error(skip);
  const address = `${run.target.host}:${run.target.port}`;
  switch (work.kind) {
    case 'java-produce': {
      const { records, warmupRecords, recordBytes } = work;
      const all = records + warmupRecords;
      const args = ['--topic', run.topic, '--num-records', String(all), '--record-size', String(recordBytes)];
      const more = ['--throughput', '-1', '--warmup-records', String(warmupRecords)];
      const costs = await runTool(
        'producerPerformance',
        [...args, ...more, '--bootstrap-server', address],
        run,
      );
      return producedFigures(costs, { records, all, recordBytes });
    }
    case 'java-consume': {
      const args = ['--topic', run.topic, '--num-records', String(run.recordCount), '--hide-header'];
      const costs = await runTool('consumerPerformance', [...args, '--bootstrap-server', address], run);
      return consumedFigures(costs, { records: run.recordCount, recordBytes: work.batch.recordBytes });
    }
    case 'java-latency': {
      const { records, recordBytes } = work;
      const args = [address, run.topic, String(records), 'all', String(recordBytes)];
      return latencyFigures(await runTool('endToEndLatency', args, run), { records, recordBytes });
    }
  }
}

interface Costs {
  readonly stdout: string;
  /** Of the whole process, from its start to its end. */
  readonly seconds: number;
  readonly brokerCpuSeconds: number | undefined;
  readonly brokerSystemSeconds: number | undefined;
  readonly generatorCpuSeconds: number;
  readonly otherCpuSeconds: number | undefined;
}

async function runTool(
  tool: Parameters<typeof performanceToolArgs>[0],
  args: readonly string[],
  { target, pin }: JavaRun,
): Promise<Costs> {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-bench-java-'));
  try {
    const java = { command: 'java', args: performanceToolArgs(tool, args, folder) };
    const { command, args: words } = pinned(java, pin ? GENERATOR_CORE : undefined);
    const began = marksOf(target);
    const { stdout, cpuSeconds } = await sampled(command, words);
    const ended = marksOf(target);
    const system = difference(began.system, ended.system);
    const cpu = difference(began.cpu, ended.cpu);
    const busy = difference(began.busy, ended.busy);
    return {
      stdout,
      seconds: (ended.atMs - began.atMs) / 1000,
      brokerCpuSeconds: cpu,
      brokerSystemSeconds: system,
      generatorCpuSeconds: cpuSeconds,
      otherCpuSeconds:
        busy === undefined || cpu === undefined ? undefined : Math.max(0, busy - cpu - cpuSeconds),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a program that must succeed. */
async function sampled(
  command: string,
  args: readonly string[],
): Promise<{ readonly stdout: string; readonly cpuSeconds: number }> {
  const child = start(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let cpuSeconds = 0;
  const sampling = setInterval(() => {
    const used = child.pid === undefined ? undefined : cpuSecondsOf(child.pid);
    if (used !== undefined) cpuSeconds = Math.max(cpuSeconds, used.user + used.system);
  }, SAMPLE_MS);
  const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    child.once('error', reject).once('close', resolve);
    const code = await promise;
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? 'a signal'}\n${stdout}${stderr}`);
    return { stdout, cpuSeconds };
  } finally {
    clearInterval(sampling);
    clearTimeout(deadline);
  }
}

interface Marks {
  readonly atMs: number;
  readonly cpu: number | undefined;
  readonly system: number | undefined;
  readonly busy: number | undefined;
}

function marksOf({ pid }: Target): Marks {
  const cpu = pid === undefined ? undefined : cpuSecondsOf(pid);
  return {
    atMs: performance.now(),
    cpu: cpu === undefined ? undefined : cpu.user + cpu.system,
    system: cpu?.system,
    busy: busySecondsOfMachine(),
  };
}

function difference(begin: number | undefined, end: number | undefined): number | undefined {
  return begin === undefined || end === undefined ? undefined : end - begin;
}

/** `400000 records sent, 123456.7 records/sec (120.56 MB/sec), 12.34 ms avg latency, ..., 1 ms 50th, 2 ms 95th, 3 ms 99th, ...` */
const PRODUCED =
  /([\d.]+) records\/sec \(.*? ([\d.]+) ms 50th, [\d.]+ ms 95th, ([\d.]+) ms 99th, ([\d.]+) ms 99\.9th/g;

function producedFigures(
  costs: Costs,
  { records, all, recordBytes }: { records: number; all: number; recordBytes: number },
): Figures {
  // The last such line is that of what came after the warm-up.
  const [, rate, p50, p99, p999] = [...costs.stdout.matchAll(PRODUCED)].at(-1) ?? unreadable(costs);
  const seconds = records / Number(rate);
  return figuresOf(costs, {
    records,
    recordBytes,
    seconds,
    part: records / all,
    p50Ms: Number(p50),
    p99Ms: Number(p99),
    p999Ms: Number(p999),
  });
}

/** start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s */
function consumedFigures(
  costs: Costs,
  { records, recordBytes }: { records: number; recordBytes: number },
): Figures {
  const columns = costs.stdout.trim().split('\n').at(-1)?.split(', ') ?? [];
  const fetchMs = Number(columns[7]);
  if (columns.length < 10 || !(fetchMs > 0)) unreadable(costs);
  return figuresOf(costs, { records, recordBytes, seconds: fetchMs / 1000, part: 1 });
}

/** `Avg latency: 0.4567 ms` and `Percentiles: 50th = 0.41, 99th = 1.20, 99.9th = 3.10` */
const LATENCIES = /Percentiles: 50th = ([\d.]+), 99th = ([\d.]+), 99\.9th = ([\d.]+)/;

function latencyFigures(
  costs: Costs,
  { records, recordBytes }: { records: number; recordBytes: number },
): Figures {
  const [, p50, p99, p999] = LATENCIES.exec(costs.stdout) ?? unreadable(costs);
  return figuresOf(costs, {
    records,
    recordBytes,
    seconds: costs.seconds,
    part: 1,
    p50Ms: Number(p50),
    p99Ms: Number(p99),
    p999Ms: Number(p999),
  });
}

function unreadable({ stdout }: Costs): never {
  throw new Error(`the tool's output does not hold what it should\n${stdout}`);
}

interface Measured {
  readonly records: number;
  readonly recordBytes: number;
  readonly seconds: number;
  /** Of all that the tool did, so much is in the figures. */
  readonly part: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly p999Ms?: number;
}

function figuresOf(costs: Costs, measured: Measured): Figures {
  const { records, recordBytes, seconds, part, p50Ms, p99Ms, p999Ms } = measured;
  const scaled = (cpuSeconds: number | undefined): number | undefined =>
    cpuSeconds === undefined ? undefined : cpuSeconds * part;
  // Shares of the client and of others are those of the whole run, its start included.
  const ofRun = seconds / costs.seconds;
  return {
    requests: records,
    messages: records,
    bytes: records * recordBytes,
    seconds,
    beganAtUs: 0,
    p50Ms,
    p99Ms,
    p999Ms,
    brokerCpuSeconds: scaled(costs.brokerCpuSeconds),
    brokerSystemSeconds: scaled(costs.brokerSystemSeconds),
    generatorCpuSeconds: costs.generatorCpuSeconds * ofRun,
    otherCpuSeconds: costs.otherCpuSeconds === undefined ? undefined : costs.otherCpuSeconds * ofRun,
  };
}

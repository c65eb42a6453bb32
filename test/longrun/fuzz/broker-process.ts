import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePorts } from '../../peers/ports.ts';

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 60_000;
const MIB = 1024 * 1024;
const LOG_LINES_MAX = 1000;
/** pino's number for `error`. */
const ERROR_LEVEL = 50;
const METRIC = /^polylog_(\w+)(?:\{.*\})? (\S+)$/gm;
const GC_HOOK = new URL('./gc-hook.ts', import.meta.url).href;
const MAIN = 'packages/broker/src/main.ts';

export interface Memory {
  readonly rssMib: number;
  /** What of it is the process's own, without pages of files, which come and go with the machine's memory. */
  readonly privateMib: number;
  readonly heapUsedMib: number;
  readonly externalMib: number;
}

export interface BrokerProcessOptions {
  /** Default: a temporary folder, removed by `remove`. */
  readonly data?: string;
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Loads the hook that collects garbage on request. */
  readonly collectable?: boolean;
}

/** A broker of its own process, as `npm start` runs it. */
export class BrokerProcess {
  readonly child: ChildProcess;
  readonly data: string;
  readonly port: number;
  readonly httpPort: number;
  /** From spawn to the line that says where it listens. */
  readonly listeningAfterMs: number;
  /** Lines of level error and above, and whatever is no log line, such as the stack of an uncaught error. */
  readonly errors: readonly string[];
  readonly #temporary: boolean;
  #exit: string | undefined;

  private constructor(fields: {
    child: ChildProcess;
    data: string;
    ports: readonly number[];
    listeningAfterMs: number;
    errors: readonly string[];
    temporary: boolean;
  }) {
    this.child = fields.child;
    this.data = fields.data;
    this.port = fields.ports[0]!;
    this.httpPort = fields.ports[1]!;
    this.listeningAfterMs = fields.listeningAfterMs;
    this.errors = fields.errors;
    this.#temporary = fields.temporary;
    this.child.once('exit', (code, signal) => {
      this.#exit = `it ended with ${code ?? signal}`;
    });
  }

  /** Resolves when it listens. Rejects with an Error that has its output. */
  static async start(options: BrokerProcessOptions = {}): Promise<BrokerProcess> {
    const temporary = options.data === undefined;
    const data = options.data ?? (await mkdtemp(path.join(tmpdir(), 'polylog-longrun-')));
    const ports = await freePorts(2);
    const settings = Object.entries(options.settings ?? {}).flatMap(([name, value]) => [
      `--${name.replaceAll('.', '-')}`,
      String(value),
    ]);
    const startedMs = performance.now();
    const child = spawn(
      process.execPath,
      [
        '--conditions=@polylog/source',
        ...(options.collectable === true ? ['--import', GC_HOOK] : []),
        MAIN,
        `--data=${data}`,
        `--kafka=127.0.0.1:${ports[0]}`,
        `--http=127.0.0.1:${ports[1]}`,
        '--log-level=warn',
        ...settings,
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    const kill = (): boolean => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    const errors = collectErrors(child);
    await listening(child, errors);
    const listeningAfterMs = performance.now() - startedMs;
    return new BrokerProcess({ child, data, ports, listeningAfterMs, errors, temporary });
  }

  /** Why it is no longer running; undefined while it is. */
  get exit(): string | undefined {
    return this.#exit;
  }

  /** After a full collection of garbage; needs `collectable`. */
  async memory(): Promise<Memory> {
    const reply = Promise.withResolvers<NodeJS.MemoryUsage>();
    this.child.once('message', (usage) => reply.resolve(usage as NodeJS.MemoryUsage));
    this.child.send('collect');
    const { heapUsed, external } = await reply.promise;
    const { rssMib, privateMib } = await this.resident();
    return { rssMib, privateMib, heapUsedMib: heapUsed / MIB, externalMib: external / MIB };
  }

  /** Resident memory as the kernel counts it, what of it is the process's own, and its highest value so far. */
  async resident(): Promise<{ rssMib: number; privateMib: number; peakMib: number }> {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    const mib = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? NaN) / 1024;
    return { rssMib: mib('VmRSS'), privateMib: mib('RssAnon'), peakMib: mib('VmHWM') };
  }

  /** What the broker says of itself at this moment, without the prefix `polylog_`: the sum over a metric's labels. */
  async metrics(): Promise<(name: string) => number> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}/metrics`);
    const sums = new Map<string, number>();
    for (const [, name = '', value] of (await response.text()).matchAll(METRIC)) {
      sums.set(name, (sums.get(name) ?? 0) + Number(value));
    }
    return (name) => {
      const sum = sums.get(name);
      if (sum === undefined) throw new Error(`the broker has no metric ${name}`);
      return sum;
    };
  }

  /** Requests that were answered, all APIs together, by the broker's own count. */
  async answeredRequests(): Promise<number> {
    return (await this.metrics())('request_duration_seconds_count');
  }

  /** Stops it; rejects with an Error if it does not end in time or not with code 0. */
  async stop(): Promise<void> {
    if (this.#exit !== undefined) return;
    const ended = new Promise<number | null>((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    const code = await Promise.race([ended, sleep(STOP_MS_MAX, 'late' as const, { ref: false })]);
    if (code !== 0) {
      this.child.kill('SIGKILL');
      throw new Error(`the broker did not stop cleanly: ${code}\n${this.errors.join('\n')}`);
    }
  }

  async kill(): Promise<void> {
    if (this.#exit !== undefined) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }

  /** Kills it if it still runs, and removes its folder if it is a temporary one. */
  async remove(): Promise<void> {
    await this.kill();
    if (this.#temporary) await rm(this.data, { recursive: true, force: true });
  }
}

function collectErrors(child: ChildProcess): string[] {
  const errors: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (errors.length < LOG_LINES_MAX && isError(line)) errors.push(line);
  });
  return errors;
}

function isError(line: string): boolean {
  try {
    const { level } = JSON.parse(line) as { level: number };
    return level >= ERROR_LEVEL;
  } catch (error) {
    if (error instanceof SyntaxError) return line.trim() !== '';
    throw error;
  }
}

async function listening(child: ChildProcess, errors: readonly string[]): Promise<void> {
  const lines = createInterface({ input: child.stdout! });
  const found = Promise.withResolvers<void>();
  lines.on('line', (line) => {
    if (line.includes('listening')) found.resolve();
  });
  child.once('exit', (code) =>
    found.reject(new Error(`the broker ended with ${code}\n${errors.join('\n')}`)),
  );
  child.once('error', found.reject);
  const late = setTimeout(() => {
    found.reject(new Error(`the broker does not listen after ${START_MS_MAX} ms\n${errors.join('\n')}`));
    child.kill('SIGKILL');
  }, START_MS_MAX);
  try {
    await found.promise;
  } finally {
    clearTimeout(late);
  }
}

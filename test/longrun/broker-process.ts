/** A broker as a process of its own, which can be killed at any moment. */
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../peers/ports.ts';
import { start } from '../peers/process.ts';

const MAIN = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../packages/broker/src/main.ts');
const MUTANT_PRELOAD = new URL('../../sim/mutants/preload.ts', import.meta.url).href;
const START_DEADLINE_MS = 60_000;
const LISTENING = 'listening for Kafka clients';
const RECOVERED = 'Recovered after an unclean stop';
const HTTP_LINE = /HTTP +http:\/\/([\d.:]+)\//;
const LOG_CHARACTERS_KEPT = 100_000;

export interface BrokerProcessOptions {
  readonly data: string;
  /** Settings as the command line names them, such as `log.segment.bytes`. With `listeners` there is no `kafkaAddress`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The name of a known bug that it shall have, for tests of checkers. */
  readonly mutant?: string;
}

/** Keeps its ports over restarts, so that clients find it again. */
export class BrokerProcess {
  readonly data: string;
  readonly kafkaAddress: string;
  readonly httpAddress: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #mutant: string | undefined;
  #child: ReturnType<typeof start> | undefined;
  #output = '';

  private constructor(options: BrokerProcessOptions, ports: readonly number[]) {
    this.data = options.data;
    this.#settings = options.settings ?? {};
    this.#mutant = options.mutant;
    this.kafkaAddress = `127.0.0.1:${ports[0]}`;
    this.httpAddress = `127.0.0.1:${ports[1]}`;
  }

  static async create(options: BrokerProcessOptions): Promise<BrokerProcess> {
    return new BrokerProcess(options, await freePorts(2));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What the last process printed and logged, at most the last 100,000 characters. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  spawn(): void {
    const flags = Object.entries({
      data: this.data,
      ...('listeners' in this.#settings ? {} : { kafka: this.kafkaAddress }),
      http: this.httpAddress,
      ...this.#settings,
    });
    const args = [
      '--conditions=@polylog/source',
      ...(this.#mutant === undefined ? [] : ['--import', MUTANT_PRELOAD]),
      MAIN,
      ...flags.flatMap(([name, value]) => [`--${name}`, value]),
    ];
    this.#output = '';
    const child = start(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(this.#mutant === undefined ? {} : { PLANTED_MUTANT: this.#mutant }) },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        if (this.#child === child) this.#output = (this.#output + text).slice(-LOG_CHARACTERS_KEPT);
      });
    }
    this.#child = child;
  }

  /**
   * Starts it and waits until clients can connect; the time that took from the start of the process.
   * @throws Error with what it printed, if it ends or does not listen within a minute
   */
  async start(): Promise<number> {
    const startedMs = performance.now();
    this.spawn();
    while (!(this.#output.includes(LISTENING) && HTTP_LINE.test(this.#output))) {
      if (!this.isRunning) throw new Error(`the broker ended at its start\n${this.#output}`);
      if (performance.now() - startedMs > START_DEADLINE_MS) {
        throw new Error(`the broker does not listen after ${START_DEADLINE_MS} ms\n${this.#output}`);
      }
      await sleep(1);
    }
    return performance.now() - startedMs;
  }

  /**
   * Starts it and kills it while it recovers: `afterMs` after it opened its first file of data. False if it was quicker and
   * had recovered already when the signal was sent; it is killed in any case.
   */
  async startAndKillInRecovery(afterMs: number): Promise<boolean> {
    this.spawn();
    while (this.isRunning && !this.#hasDataOpen()) await sleep(1);
    await sleep(afterMs);
    const inRecovery =
      this.isRunning && !this.#output.includes(RECOVERED) && !this.#output.includes(LISTENING);
    await this.kill();
    // What it printed in its last moments is read only after it has ended.
    return inRecovery && !this.#output.includes(RECOVERED) && !this.#output.includes(LISTENING);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; the exit code, 0 after a clean stop. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM');
    return this.#child?.exitCode ?? null;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }

  #hasDataOpen(): boolean {
    try {
      const folder = `/proc/${this.pid}/fd`;
      return readdirSync(folder).some((fd) => isDataFile(readLink(`${folder}/${fd}`), this.data));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file);
  } catch (error) {
    // The descriptor was closed since the folder was listed.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function isDataFile(file: string, data: string): boolean {
  return (
    file.startsWith(`${data}/`) && (file.includes('/journal/') || /\.(?:log|index|timeindex)$/.test(file))
  );
}

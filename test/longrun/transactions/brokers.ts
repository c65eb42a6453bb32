/** What the chaos runs kill: Polylog, or Apache Kafka, which tells whether a finding is about the broker or about the checker. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { prepareKafka } from '../../peers/kafka.ts';
import { run, start } from '../../peers/process.ts';

const START_DEADLINE_MS = 60_000;
const LOG_CHARACTERS_KEPT = 100_000;

export interface KillableBroker {
  readonly kafkaAddress: string;
  readonly isRunning: boolean;
  readonly output: string;
  /** Resolves when clients can connect, with the milliseconds it took. */
  start(): Promise<number>;
  startAndKillInRecovery(afterMs: number): Promise<boolean>;
  kill(): Promise<void>;
  stop(): Promise<number | null>;
}

/** Keeps its folder and its ports over restarts. */
export class ApacheKafkaProcess implements KillableBroker {
  readonly kafkaAddress: string;
  readonly #args: readonly string[];
  #child: ReturnType<typeof start> | undefined;
  #output = '';

  private constructor(port: number, args: readonly string[]) {
    this.kafkaAddress = `127.0.0.1:${port}`;
    this.#args = args;
  }

  static async create(
    folder: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<ApacheKafkaProcess> {
    mkdirSync(folder, { recursive: true });
    const { port, args } = await prepareKafka(folder, { settings });
    return new ApacheKafkaProcess(port, args);
  }

  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async start(): Promise<number> {
    const startedMs = performance.now();
    this.#spawn();
    while (performance.now() - startedMs < START_DEADLINE_MS) {
      if (!this.isRunning) throw new Error(`Apache Kafka ended at its start\n${this.#output}`);
      const asked = await run('kcat', ['-b', this.kafkaAddress, '-L', '-m', '2']).catch(() => undefined);
      if (asked?.code === 0) return performance.now() - startedMs;
      await sleep(100);
    }
    throw new Error(`Apache Kafka did not answer within ${START_DEADLINE_MS} ms\n${this.#output}`);
  }

  async startAndKillInRecovery(afterMs: number): Promise<boolean> {
    this.#spawn();
    await sleep(1_000 + afterMs);
    await this.kill();
    return true;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<number | null> {
    await this.#end('SIGTERM');
    return this.#child?.exitCode ?? null;
  }

  #spawn(): void {
    const child = start('java', this.#args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-LOG_CHARACTERS_KEPT);
      });
    }
    this.#child = child;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning || this.#child === undefined) return;
    const closed = once(this.#child, 'close');
    this.#child.kill(signal);
    await closed;
  }
}

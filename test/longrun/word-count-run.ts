/** Kafka Streams counts words exactly once, while it and the broker are killed; what it writes is read all the time, and judged. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Admin } from '@platformatic/kafka';
import { compileJava, JavaProgram } from '../clients/java-program.ts';
import { DEBIAN_PYTHON } from '../peers/peers.ts';
import { run, start } from '../peers/process.ts';
import type { KillableBroker } from './transactions/brokers.ts';
import { WordCounts, type CountViolation } from './word-counts.ts';

const FEEDER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'line_feeder.py');
const INPUT = 'lines';
const OUTPUT = 'counts';
const PARTITIONS = 2;
const VOCABULARY = 40;
const WORDS_PER_LINE_MAX = 9;
const FEED_PAUSE_MS = 50;
const LINES_PER_PAUSE = 2;
const POLL_MS = 200;
const READY_DEADLINE_MS = 60_000;
const COMPLETE_DEADLINE_MS = 120_000;
/** What is wrong after all may come late: the output is read on for so long. */
const QUIET_MS = 500;

/** Peers that it needs. */
export const WORD_COUNT_PEERS = [
  'java',
  'jdk',
  'kafka-jars',
  'kafka-app-jars',
  'kcat',
  'python3-confluent-kafka',
] as const;

/** What a broker that serves it is told: members that were killed are noticed soon, and their transactions end soon. */
export const WORD_COUNT_SETTINGS = {
  'group.min.session.timeout.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.num.partitions': '4',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
};

export interface WordCountOptions {
  readonly broker: KillableBroker;
  /** For the states of the applications. */
  readonly folder: string;
  /** How many of them share the work. */
  readonly instances: number;
  readonly random: () => number;
  /** One of its threads gave up, for that reason; another one takes its place. */
  readonly onDied?: (reason: string) => void;
}

/** The broker runs when it starts. */
export class WordCountRun {
  readonly instances: readonly JavaProgram[];
  readonly #options: WordCountOptions;
  readonly #counts = new WordCounts();
  readonly #feeder: ReturnType<typeof start>;
  readonly #feederEnded: Promise<unknown>;
  /** The next offset to be read, by partition. */
  readonly #next: number[] = Array.from({ length: PARTITIONS }, () => 0);
  #linesGiven = 0;
  #linesAcknowledged = 0;
  #feederFailure: string | undefined;

  private constructor(options: WordCountOptions, instances: readonly JavaProgram[]) {
    this.#options = options;
    this.instances = instances;
    this.#feeder = start(DEBIAN_PYTHON, [FEEDER, options.broker.kafkaAddress, INPUT], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#feederEnded = once(this.#feeder, 'close');
    this.#feeder.stdin?.on('error', () => undefined);
    createInterface({ input: this.#feeder.stdout! }).on('line', (line) => {
      const [word, rest] = line.split(' ', 2);
      if (word === 'ack') this.#linesAcknowledged = Number(rest);
      else this.#feederFailure = line;
    });
  }

  static async start(options: WordCountOptions): Promise<WordCountRun> {
    const address = options.broker.kafkaAddress;
    const admin = new Admin({ clientId: 'word-count-run', bootstrapBrokers: [address] });
    await admin.createTopics({ topics: [INPUT, OUTPUT], partitions: PARTITIONS, replicas: 1 });
    await admin.close();
    const classes = await compileJava('WordCount');
    const instances = Array.from({ length: options.instances }, (_, index) => {
      const state = path.join(options.folder, `state-${index}`);
      mkdirSync(state, { recursive: true });
      return new JavaProgram({
        classPath: [classes],
        main: 'WordCount',
        args: [address, state, INPUT, OUTPUT],
        onLine: (line) => {
          if (line.startsWith('died ')) options.onDied?.(line.slice('died '.length));
        },
      });
    });
    const made = new WordCountRun(options, instances);
    for (const instance of instances) instance.start();
    await made.#until(() => instances.every(isCounting), READY_DEADLINE_MS, 'the application does not run');
    return made;
  }

  get linesGiven(): number {
    return this.#linesGiven;
  }

  get wordsGiven(): number {
    return this.#counts.given;
  }

  get violations(): readonly CountViolation[] {
    return this.#counts.violations;
  }

  /** Gives lines to the producer for so long. */
  async feed(durationMs: number): Promise<void> {
    const untilMs = performance.now() + durationMs;
    while (performance.now() < untilMs) {
      for (let count = 0; count < LINES_PER_PAUSE; count++) this.#give(this.#line());
      await sleep(FEED_PAUSE_MS);
    }
  }

  #line(): string {
    const { random } = this.#options;
    const words = Array.from({ length: 1 + Math.floor(random() * WORDS_PER_LINE_MAX) }, () => {
      // Some words are frequent, as in any text.
      return `word${Math.floor(random() ** 2 * VOCABULARY)}`;
    });
    return words.join(' ');
  }

  #give(line: string): void {
    this.#counts.give(line);
    this.#linesGiven++;
    this.#feeder.stdin?.write(`${line}\n`);
  }

  /** Waits until everything that was given is counted, and judges it. The time that took, in ms. */
  async complete(): Promise<number> {
    const startedMs = performance.now();
    const isComplete = async (): Promise<boolean> => {
      // The producer tells of its acknowledgements when a line comes.
      this.#feeder.stdin?.write('\n');
      this.#restartEnded();
      await this.#readOn(this.#counts, this.#next);
      return this.#counts.isComplete;
    };
    await this.#until(isComplete, COMPLETE_DEADLINE_MS, 'not all words are counted');
    const tookMs = performance.now() - startedMs;
    await sleep(QUIET_MS);
    await this.#readOn(this.#counts, this.#next);
    this.#counts.finish();
    return tookMs;
  }

  /** A reader that begins anew finds the same. */
  async judgeAgain(): Promise<readonly CountViolation[]> {
    const again = this.#counts.again();
    const next = this.#next.map(() => 0);
    await this.#readOn(again, next);
    again.finish();
    return again.violations;
  }

  /** Ends the applications in order, and the producer. False if one of them had to be killed. */
  async stop(): Promise<boolean> {
    const stopped = await Promise.all(this.instances.map((instance) => instance.stop()));
    this.#feeder.stdin?.end();
    await this.#feederEnded;
    return stopped.every(Boolean);
  }

  async dispose(): Promise<void> {
    this.#feeder.kill('SIGKILL');
    await Promise.all(this.instances.map((instance) => instance.dispose()));
  }

  /** One that has ended by itself is started again, as whoever operates it would. */
  #restartEnded(): void {
    for (const instance of this.instances) if (!instance.isRunning) instance.start();
  }

  /** What is committed and was not read yet. Nothing while the broker is away. */
  async #readOn(counts: WordCounts, next: number[]): Promise<void> {
    const address = this.#options.broker.kafkaAddress;
    for (const [partition, offset] of next.entries()) {
      const where = [
        '-C',
        '-q',
        '-e',
        '-b',
        address,
        '-t',
        OUTPUT,
        '-p',
        String(partition),
        '-o',
        String(offset),
      ];
      const how = ['-X', 'isolation.level=read_committed', '-s', 'value=>q', '-f', '%o %k %s\n'];
      const { code, stdout } = await run('kcat', [...where, ...how]);
      if (code !== 0) return;
      for (const line of stdout.split('\n').slice(0, -1)) {
        const [at, word = '', count] = line.split(' ');
        counts.read({ partition, offset: Number(at), word, count: Number(count) });
        next[partition] = Number(at) + 1;
      }
    }
  }

  async #until(
    condition: () => boolean | Promise<boolean>,
    deadlineMs: number,
    otherwise: string,
  ): Promise<void> {
    const startedMs = performance.now();
    while (!(await condition())) {
      if (this.#feederFailure !== undefined) throw new Error(`the producer said: ${this.#feederFailure}`);
      if (performance.now() - startedMs > deadlineMs) {
        const { given, written } = this.#counts;
        const lines = this.instances.flatMap((instance) => instance.lines.slice(-30));
        throw new Error(
          `${otherwise} after ${deadlineMs} ms: ${this.#linesAcknowledged} of ${this.#linesGiven} lines are acknowledged, ` +
            `${written} of ${given} words counted\n${lines.join('\n')}\n${this.#options.broker.output}`,
        );
      }
      await sleep(POLL_MS);
    }
  }
}

function isCounting({ isRunning, lines }: JavaProgram): boolean {
  return isRunning && lines.findLast((line) => line.startsWith('state ')) === 'state RUNNING';
}

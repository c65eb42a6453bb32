/** Stock clients as processes of their own, which can be killed at any moment: producers of transactions, and a reader. */
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileJava } from '../../clients/java-program.ts';
import { KAFKA_LIBS } from '../../peers/kafka-jars.ts';
import { DEBIAN_PYTHON } from '../../peers/peers.ts';
import { start } from '../../peers/process.ts';
import type { SeenRecord, TransactionLedger } from './ledger.ts';

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const ERROR_CHARACTERS_KEPT = 10_000;

/** Where transactions write, and whose offsets they commit. */
export interface Topics {
  readonly address: string;
  readonly topics: readonly string[];
  readonly partitions: number;
  /** Nobody writes to it; each producer's group commits offsets of its partition 0. */
  readonly groupTopic: string;
}

/** How a kind of client is started. */
export interface ClientKind {
  readonly name: 'librdkafka' | 'java';
  readonly command: (
    topics: Topics,
    producers: readonly string[],
    firstNumber: number,
    seed: number,
  ) => string[];
}

/** KIP-890's first part: the client names the partitions of a transaction beforehand. */
export const LIBRDKAFKA: ClientKind = {
  name: 'librdkafka',
  command: (topics, producers, firstNumber, seed) => [
    DEBIAN_PYTHON,
    path.join(FOLDER, 'librdkafka_transactions.py'),
    ...argumentsOf(topics, producers, firstNumber, seed),
  ],
};

/** Kafka's own client: transactions v2, where the broker lets it. Needs the jdk and Kafka's jars. */
export async function javaClient(): Promise<ClientKind> {
  const classPath = `${path.join(KAFKA_LIBS, '*')}:${await compileJava('TransactionLoad')}`;
  // Its log would go to standard output, which is for what became of the transactions; the exceptions say what matters.
  const jvm = [
    '-Dorg.apache.logging.log4j.level=OFF',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xmx256m',
    '-cp',
    classPath,
  ];
  return {
    name: 'java',
    command: (topics, producers, firstNumber, seed) => [
      'java',
      ...jvm,
      'TransactionLoad',
      ...argumentsOf(topics, producers, firstNumber, seed),
    ],
  };
}

function argumentsOf(
  { address, partitions, groupTopic, topics }: Topics,
  producers: readonly string[],
  firstNumber: number,
  seed: number,
): string[] {
  return [
    address,
    producers.join(','),
    ...[firstNumber, seed, partitions].map(String),
    groupTopic,
    ...topics,
  ];
}

type Child = ReturnType<typeof start>;

/** Calls back for each line, also for a last one without an end. */
function eachLine(child: Child, use: (line: string) => void): void {
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) use(line);
  });
}

/** One process that runs transactions under one or more transactional ids. What it says goes into the ledger. */
export class TransactionProcess {
  /** What it said of having lost one of its ids. */
  fencedBy: string | undefined;
  readonly #child: Child;
  readonly #closed: Promise<unknown>;
  #errors = '';

  constructor(command: readonly string[], ledger: TransactionLedger) {
    const [program = '', ...args] = command;
    this.#child = start(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close');
    // Who is killed breaks the pipe that would have told it to stop.
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-ERROR_CHARACTERS_KEPT);
    });
    eachLine(this.#child, (line) => this.#said(line, ledger));
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** How it ended, if it ended by itself with an error; else undefined. */
  get failure(): string | undefined {
    const { exitCode } = this.#child;
    return exitCode === null || exitCode === 0 ? undefined : `code ${exitCode}\n${this.#errors}`;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  /** It stands still, as a machine that swaps, until `wake`. */
  sleep(): void {
    this.#child.kill('SIGSTOP');
  }

  wake(): void {
    this.#child.kill('SIGCONT');
  }

  /** Resolves when it has ended, true, or after the time, false. */
  async ended(withinMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), withinMs)));
    const ended = await Promise.race([this.#closed.then(() => true), late]);
    clearTimeout(timer);
    return ended;
  }

  /** Ends it after its present transaction. Throws if it failed. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
    if (this.failure !== undefined) throw new Error(`a producer ended with ${this.failure}`);
  }

  #said(line: string, ledger: TransactionLedger): void {
    const [word, producer = '', first = '', second = ''] = line.split(' ');
    const number = Number(first);
    if (word === 'begin') ledger.began(producer, number, Number(second));
    else if (word === 'commit') ledger.committing(producer, number);
    else if (word === 'committed') ledger.committed(producer, number);
    else if (word === 'aborted') ledger.aborted(producer, number);
    else if (word === 'resumed') ledger.resumed(producer, number, Number(second));
    else if (word === 'fenced') this.fencedBy = line;
    else throw new Error(`a producer said: ${line}`);
  }
}

/** Reads everything that is committed, from the start on, through all that happens to the broker meanwhile. */
export class ReaderProcess {
  readonly seen: SeenRecord[] = [];
  readonly #child: Child;
  readonly #closed: Promise<unknown>;
  #errors = '';

  constructor({ address, partitions, topics }: Topics) {
    const script = path.join(FOLDER, 'librdkafka_reader.py');
    this.#child = start(DEBIAN_PYTHON, [script, address, String(partitions), ...topics], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#closed = once(this.#child, 'close');
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-ERROR_CHARACTERS_KEPT);
    });
    eachLine(this.#child, (line) => {
      const [topic = '', partition, offset, value = ''] = line.split(' ');
      this.seen.push({ topic, partition: Number(partition), offset: Number(offset), value });
    });
  }

  /** Reads on to the present end, and stops. The broker must be running. */
  async finish(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
    if (this.#child.exitCode !== 0) {
      throw new Error(`a reader ended with ${this.#child.exitCode}\n${this.#errors}`);
    }
  }
}

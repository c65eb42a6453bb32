/**
 * Transactions of stock clients while the broker and the producers are killed with SIGKILL, producers stand still and are replaced, and
 * transactions time out; and then: is each transaction there as a whole or not at all, and none that was aborted?
 * Usage: npm run chaos:transactions -- [--transactions 100000] [--seed N] [--java 4] [--librdkafka 8] [--pause 3000] [--peer kafka] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { commandOptions, flag, integer, oneOf, seedOption } from '../../scripts/options.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { dumpLogSegments, type DumpReport } from './dump-log-segments.ts';
import { randomOf, type RandomNumber } from './random.ts';
import { ApacheKafkaProcess, type KillableBroker } from './transactions/brokers.ts';
import {
  compareReaders,
  TransactionLedger,
  type LedgerCounts,
  type Violation,
} from './transactions/ledger.ts';
import {
  javaClient,
  LIBRDKAFKA,
  ReaderProcess,
  TransactionProcess,
  type ClientKind,
  type Topics,
} from './transactions/processes.ts';

const PARTITIONS = 6;
const SEGMENT_BYTES = 1024 * 1024;
/** Numbers of an instance's transactions; the next instance of the same producer begins behind them. */
const NUMBERS_PER_INSTANCE = 1_000_000;
const BROKER_AWAY_MS_MAX = 300;
/** A recovery is killed up to so long after it has opened its first file. */
const KILL_IN_RECOVERY_AFTER_MS_MAX = 40;
/** How long a producer that was replaced while it stood still may take to notice. */
const FENCED_WITHIN_MS = 60_000;
/** Longer than the producers' transaction.timeout.ms of 15 s and the broker's interval of looking for what has timed out. */
const UNTIL_TIMED_OUT_MS = 27_000;
/** Without a transaction for so long the run has failed. */
const STALLED_MS = 120_000;

export interface ChaosOptions {
  readonly broker: KillableBroker;
  readonly transactions: number;
  /** It goes on until it has struck so often, too. */
  readonly blowsMin: number;
  readonly seed: number;
  /** Between two blows, at most; they come at random. */
  readonly pauseMsMax: number;
  readonly librdkafkaProducers: number;
  /** They share one process. */
  readonly javaProducers: number;
  /** Whether some producers are left dead until their transactions have timed out: it takes half a minute each time. */
  readonly timeouts: boolean;
  readonly report?: (line: string) => void;
}

export interface ChaosReport extends LedgerCounts {
  readonly seconds: number;
  readonly brokerKills: number;
  readonly producerKills: number;
  readonly replacements: number;
  readonly timeouts: number;
  /** Processes that could not go on though nobody replaced them, and were started anew. */
  readonly fencedAlone: number;
  /** Records that readers of committed data saw. */
  readonly seen: number;
  readonly violations: readonly Violation[];
}

/** A place for a producer process, which is started anew when it has been killed. */
interface Slot {
  readonly kind: ClientKind;
  readonly producers: readonly string[];
  instances: number;
  process: TransactionProcess | undefined;
}

/** One run. Needs the peer `python3-confluent-kafka`, and for Java producers `java`, a compiler and `kafka-jars`. */
export async function runTransactionChaos(options: ChaosOptions): Promise<ChaosReport> {
  const startedMs = performance.now();
  const { broker } = options;
  await broker.start();
  const topics: Topics = {
    address: broker.kafkaAddress,
    topics: ['ledger-a', 'ledger-b'],
    partitions: PARTITIONS,
    groupTopic: 'ledger-group',
  };
  await createTopics(topics);
  const chaos = new Chaos(options, topics, await slotsOf(options));
  const live = new ReaderProcess(topics);
  await chaos.run();
  await settle(topics, chaos.producers, chaos.ledger);
  await live.finish();
  const afterwards = new ReaderProcess(topics);
  await afterwards.finish();
  const { ledger } = chaos;
  const violations = [...ledger.check(live.seen), ...compareReaders(live.seen, afterwards.seen)];
  return {
    seconds: Math.round((performance.now() - startedMs) / 1000),
    ...ledger.counts,
    ...chaos.blows,
    seen: live.seen.length,
    violations,
  };
}

async function slotsOf(options: ChaosOptions): Promise<Slot[]> {
  const { librdkafkaProducers, javaProducers } = options;
  const slots: Slot[] = Array.from({ length: librdkafkaProducers }, (_, index) => ({
    kind: LIBRDKAFKA,
    producers: [`rd${index}`],
    instances: 0,
    process: undefined,
  }));
  if (javaProducers > 0) {
    const producers = Array.from({ length: javaProducers }, (_, index) => `java${index}`);
    const kind = await javaClient();
    slots.push({ kind, producers, instances: 0, process: undefined });
  }
  return slots;
}

class Chaos {
  readonly ledger = new TransactionLedger();
  readonly blows = { brokerKills: 0, producerKills: 0, replacements: 0, timeouts: 0, fencedAlone: 0 };
  readonly #options: ChaosOptions;
  readonly #topics: Topics;
  readonly #slots: readonly Slot[];
  readonly #random: RandomNumber;
  /** Instances that were replaced while they stood still, and have to notice. */
  readonly #zombies: Promise<void>[] = [];
  /** Slots that wait until their transaction has timed out. */
  readonly #dead: Promise<void>[] = [];

  constructor(options: ChaosOptions, topics: Topics, slots: readonly Slot[]) {
    this.#options = options;
    this.#topics = topics;
    this.#slots = slots;
    this.#random = randomOf(options.seed);
  }

  get producers(): readonly string[] {
    return this.#slots.flatMap(({ producers }) => producers);
  }

  /** Until enough transactions were begun; then all producers are stopped, and the broker is running. */
  async run(): Promise<void> {
    for (const slot of this.#slots) this.#startInstance(slot);
    let begun = 0;
    let movedMs = performance.now();
    const { transactions, blowsMin } = this.#options;
    while (this.ledger.begun < transactions || this.#blowCount < blowsMin) {
      await sleep(this.#random() * this.#options.pauseMsMax);
      this.#requireHealth();
      const nowMs = performance.now();
      if (this.ledger.begun > begun) movedMs = nowMs;
      else if (nowMs - movedMs > STALLED_MS) throw new Error(`no transaction for ${STALLED_MS} ms`);
      begun = this.ledger.begun;
      await this.#blow();
      this.#options.report?.(`${this.ledger.begun} transactions, ${JSON.stringify(this.blows)}`);
    }
    await Promise.all([...this.#zombies, ...this.#dead]);
    this.#requireHealth();
    await Promise.all(this.#slots.map(async ({ process: running }) => running?.stop()));
  }

  get #blowCount(): number {
    const { brokerKills, producerKills, replacements, timeouts } = this.blows;
    return brokerKills + producerKills + replacements + timeouts;
  }

  async #blow(): Promise<void> {
    const dice = this.#random();
    const running = this.#slots.filter((slot) => slot.process?.isRunning === true);
    const slot = running[Math.floor(this.#random() * running.length)];
    if (dice < 0.5 || slot?.process === undefined) await this.#killBroker();
    else if (dice < 0.85) await this.#killProducer(slot, slot.process);
    else if (dice < 0.95 || !this.#options.timeouts) this.#replace(slot, slot.process);
    else await this.#letTimeOut(slot, slot.process);
  }

  async #killBroker(): Promise<void> {
    const { broker } = this.#options;
    this.blows.brokerKills++;
    await broker.kill();
    if (this.#random() < 0.2) {
      this.blows.brokerKills++;
      await broker.startAndKillInRecovery(this.#random() * KILL_IN_RECOVERY_AFTER_MS_MAX);
    }
    await sleep(this.#random() * BROKER_AWAY_MS_MAX);
    await broker.start();
  }

  async #killProducer(slot: Slot, victim: TransactionProcess): Promise<void> {
    this.blows.producerKills++;
    await victim.kill();
    this.#startInstance(slot);
  }

  /** A second instance takes over while the first one stands still; the first one must find itself fenced. */
  #replace(slot: Slot, victim: TransactionProcess): void {
    this.blows.replacements++;
    victim.sleep();
    this.#startInstance(slot);
    const noticed = async (): Promise<void> => {
      await sleep(2_000 * this.#random());
      victim.wake();
      if (await victim.ended(FENCED_WITHIN_MS)) return;
      await victim.kill();
      throw new Error(`${slot.producers.join(', ')} went on although another instance has its id`);
    };
    const zombie = noticed();
    // The run awaits it at its end; until then a failure is no unhandled one.
    zombie.catch(() => undefined);
    this.#zombies.push(zombie);
  }

  async #letTimeOut(slot: Slot, victim: TransactionProcess): Promise<void> {
    this.blows.timeouts++;
    await victim.kill();
    slot.process = undefined;
    const later = async (): Promise<void> => {
      await sleep(UNTIL_TIMED_OUT_MS);
      this.#startInstance(slot);
    };
    this.#dead.push(later());
  }

  #startInstance(slot: Slot): void {
    const firstNumber = slot.instances++ * NUMBERS_PER_INSTANCE;
    const seed = Math.floor(this.#random() * 2 ** 31);
    const command = slot.kind.command(this.#topics, slot.producers, firstNumber, seed);
    slot.process = new TransactionProcess(command, this.ledger);
  }

  #requireHealth(): void {
    const { broker } = this.#options;
    if (!broker.isRunning) throw new Error(`the broker ended by itself\n${broker.output}`);
    for (const slot of this.#slots) {
      const { process: producer, producers } = slot;
      if (producer === undefined || producer.isRunning) continue;
      if (producer.failure !== undefined || producer.fencedBy === undefined) {
        throw new Error(`${producers.join(', ')} ended: ${producer.failure ?? 'without a reason'}`);
      }
      // Its transaction has timed out, or what it asked for when the broker was killed cannot be told from another instance's doing.
      this.#options.report?.(`${producers.join(', ')} lost its id: ${producer.fencedBy}`);
      this.blows.fencedAlone++;
      this.#startInstance(slot);
    }
  }
}

/** What is committed for the producers' groups at the end is the last word about their transactions. */
async function settle(
  { address, groupTopic }: Topics,
  producers: readonly string[],
  ledger: TransactionLedger,
): Promise<void> {
  const admin = new Admin({ clientId: 'chaos', bootstrapBrokers: [address] });
  for (const producer of producers) {
    const groups = [{ groupId: producer, topics: [{ name: groupTopic, partitionIndexes: [0] }] }];
    const [answer] = await admin.listConsumerGroupOffsets({ groups, requireStable: true });
    const offset = Number(answer?.topics[0]?.partitions[0]?.committedOffset ?? -1);
    ledger.resumed(producer, Number.MAX_SAFE_INTEGER, Math.max(0, offset));
  }
  await admin.close();
}

async function createTopics({ address, topics, partitions, groupTopic }: Topics): Promise<void> {
  const admin = new Admin({ clientId: 'chaos', bootstrapBrokers: [address] });
  const configs = [{ name: 'segment.bytes', value: String(SEGMENT_BYTES) }];
  await admin.createTopics({ topics: [...topics], partitions, replicas: 1, configs });
  await admin.createTopics({ topics: [groupTopic], partitions: 1, replicas: 1 });
  await admin.close();
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:transactions',
    summary:
      'Kills a broker and transactional producers; no transaction may be torn, lost, or read though aborted.',
    options: {
      transactions: integer('to be made', { default: 100_000, min: 1 }),
      seed: seedOption('of the chance in the program'),
      java: integer('producers of the Java client', { default: 4 }),
      librdkafka: integer('producers of librdkafka', { default: 8 }),
      pause: integer('longest pause between two blows, in ms', { default: 3000 }),
      peer: oneOf('the broker that is asked', { values: ['polylog', 'kafka'], default: 'polylog' }),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { skip } = await requirePeer('python3-confluent-kafka', 'java', 'kafka-jars');
  if (skip !== false) throw new Error(skip);
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-transactions-'));
  console.log(`seed ${values.seed}, data in ${folder}`);
  const isKafka = values.peer === 'kafka';
  const broker: KillableBroker = isKafka
    ? await ApacheKafkaProcess.create(folder)
    : await BrokerProcess.create({ data: path.join(folder, 'data') });
  const { violations, ...figures } = await runTransactionChaos({
    broker,
    transactions: values.transactions,
    seed: values.seed,
    blowsMin: 1,
    pauseMsMax: values.pause,
    librdkafkaProducers: values.librdkafka,
    javaProducers: values.java,
    timeouts: true,
    report: (line) => console.log(line),
  });
  const stopCode = await broker.stop();
  console.log(JSON.stringify(figures, undefined, 2));
  console.log(`violations: ${violations.length}`);
  for (const { kind, detail } of violations.slice(0, 20)) console.log(`  ${kind}: ${detail}`);
  const complaints = isKafka ? [] : reportDump(await dumpLogSegments(path.join(folder, 'data')));
  const passed = violations.length === 0 && complaints.length === 0 && (isKafka || stopCode === 0);
  if (passed && !values.keep) rmSync(folder, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

function reportDump({ complaints, ...files }: DumpReport): readonly string[] {
  console.log(`DumpLogSegments read ${JSON.stringify(files)}; complaints: ${complaints.length}`);
  for (const complaint of complaints.slice(0, 20)) console.log(`  ${complaint}`);
  return complaints;
}

if (import.meta.main) await main();

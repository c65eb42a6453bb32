/**
 * A Connect worker (distributed, exactly-once source) carries the lines of a file through a topic into another file, while it and the broker are
 * killed with SIGKILL: at the end of each round no line is lost, and the topic has each of them once, in order.
 * Usage: npm run chaos:connect -- [--rounds 10] [--seed N] [--peer kafka] [--keep]
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { commandOptions, flag, integer, oneOf, seedOption } from '../../scripts/options.ts';
import { kcatRead } from '../clients/kcat.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { CONNECT_PEERS, CONNECT_SETTINGS, ConnectWorker } from './connect-worker.ts';
import { judgeTransfer, type TransferViolation } from './line-transfer.ts';
import { randomOf, type RandomNumber } from './random.ts';
import { ApacheKafkaProcess, type KillableBroker } from './transactions/brokers.ts';

const TOPIC = 'lines';
const FEED_MS = 12_000;
const FEED_PAUSE_MS = 50;
const LINES_PER_PAUSE_MAX = 10;
const KILLS_MAX = 2;
/** How long what was killed is away. */
const AWAY_MS_MAX = 1_000;
const COMPLETE_DEADLINE_MS = 180_000;
const POLL_MS = 250;

export interface ChaosConnectOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly folder: string;
  /** In each round at most; 0: nothing is killed. */
  readonly killsMax?: number;
  readonly feedMs?: number;
  readonly peer?: 'polylog' | 'kafka';
  readonly report?: (line: string) => void;
}

export interface ChaosConnectReport {
  readonly rounds: number;
  readonly brokerKills: number;
  readonly workerKills: number;
  readonly lines: number;
  /** Lines in the second file beyond the first time: its connector is at-least-once. */
  readonly repeatedInSink: number;
  /** Tasks that failed and were started again. */
  readonly taskRestarts: number;
  /** From the end of a round's input to its last line in the second file. */
  readonly completeMsMax: number;
  readonly violations: readonly TransferViolation[];
}

/** One run. Needs {@link CONNECT_PEERS}. */
export async function runChaosConnect(options: ChaosConnectOptions): Promise<ChaosConnectReport> {
  const broker = await createBroker(options);
  await broker.start();
  const chaos = await ConnectRun.create(broker, options);
  try {
    await chaos.start();
    for (let round = 1; round <= options.rounds; round++) await chaos.round(round);
    return chaos.result;
  } finally {
    await chaos.dispose();
    await broker.kill();
  }
}

function createBroker({ folder, peer }: ChaosConnectOptions): Promise<KillableBroker> {
  const data = path.join(folder, 'broker');
  return peer === 'kafka'
    ? ApacheKafkaProcess.create(data, CONNECT_SETTINGS)
    : BrokerProcess.create({ data, settings: CONNECT_SETTINGS });
}

class ConnectRun {
  readonly #broker: KillableBroker;
  readonly #options: ChaosConnectOptions;
  readonly #worker: ConnectWorker;
  readonly #random: RandomNumber;
  readonly #source: string;
  readonly #sink: string;
  readonly #given: string[] = [];
  #violations: TransferViolation[] = [];
  #brokerKills = 0;
  #workerKills = 0;
  #completeMsMax = 0;

  private constructor(
    broker: KillableBroker,
    options: ChaosConnectOptions,
    parts: { readonly worker: ConnectWorker; readonly source: string; readonly sink: string },
  ) {
    this.#broker = broker;
    this.#options = options;
    this.#worker = parts.worker;
    this.#source = parts.source;
    this.#sink = parts.sink;
    this.#random = randomOf(options.seed);
  }

  static async create(broker: KillableBroker, options: ChaosConnectOptions): Promise<ConnectRun> {
    const { folder } = options;
    const [source, sink] = ['source.txt', 'sink.txt'].map((name) => path.join(folder, name)) as [
      string,
      string,
    ];
    writeFileSync(source, '');
    const worker = await ConnectWorker.create(broker.kafkaAddress, folder, { source, sink, topic: TOPIC });
    return new ConnectRun(broker, options, { worker, source, sink });
  }

  async start(): Promise<void> {
    const admin = new Admin({ clientId: 'chaos', bootstrapBrokers: [this.#broker.kafkaAddress] });
    await admin.createTopics({ topics: [TOPIC], partitions: 1, replicas: 1 });
    await admin.close();
    await this.#worker.start();
  }

  /** Lines come, the worker and the broker are killed meanwhile, and then all lines have to arrive. */
  async round(round: number): Promise<void> {
    const { rounds, report, feedMs = FEED_MS } = this.#options;
    const [told] = await Promise.all([this.#killSome(feedMs), this.#feed(feedMs)]);
    const completeMs = await this.#complete();
    this.#completeMsMax = Math.max(this.#completeMsMax, completeMs);
    await this.#judge();
    report?.(
      `round ${round}/${rounds}: ${told}; ${this.#given.length} lines carried ${completeMs.toFixed(0)} ms after the last one; ` +
        `${this.#violations.length} violations`,
    );
  }

  get result(): ChaosConnectReport {
    const sink = this.#sinkLines();
    return {
      rounds: this.#options.rounds,
      brokerKills: this.#brokerKills,
      workerKills: this.#workerKills,
      lines: this.#given.length,
      repeatedInSink: sink.length - new Set(sink).size,
      taskRestarts: this.#worker.restarts.length,
      completeMsMax: this.#completeMsMax,
      violations: this.#violations,
    };
  }

  async dispose(): Promise<void> {
    await this.#worker.program.dispose();
  }

  async #feed(durationMs: number): Promise<void> {
    const untilMs = performance.now() + durationMs;
    while (performance.now() < untilMs) {
      const count = Math.ceil(this.#random() * LINES_PER_PAUSE_MAX);
      const lines = Array.from(
        { length: count },
        (_, index) => `line ${this.#given.length + index} of the source`,
      );
      this.#given.push(...lines);
      appendFileSync(this.#source, lines.map((line) => `${line}\n`).join(''));
      await sleep(FEED_PAUSE_MS);
    }
  }

  async #killSome(durationMs: number): Promise<string> {
    const { killsMax = KILLS_MAX } = this.#options;
    const count = Math.ceil(this.#random() * killsMax);
    const told: string[] = [];
    for (let kill = 0; kill < count; kill++) {
      await sleep((this.#random() * durationMs) / count);
      const awayMs = this.#random() * AWAY_MS_MAX;
      if (this.#random() < 0.5) {
        this.#brokerKills++;
        told.push('broker');
        await this.#broker.kill();
        await sleep(awayMs);
        await this.#broker.start();
      } else {
        this.#workerKills++;
        told.push('worker');
        await this.#worker.program.kill();
        await sleep(awayMs);
        this.#worker.program.start();
      }
    }
    return count === 0 ? 'nothing killed' : `killed ${told.join(', ')}`;
  }

  #sinkLines(): string[] {
    if (!existsSync(this.#sink)) return [];
    return readFileSync(this.#sink, 'utf8').split('\n').slice(0, -1);
  }

  /** Waits until all lines are in the second file; how long that took. */
  async #complete(): Promise<number> {
    const startedMs = performance.now();
    for (;;) {
      const arrived = new Set(this.#sinkLines());
      if (this.#given.every((line) => arrived.has(line))) return performance.now() - startedMs;
      if (performance.now() - startedMs > COMPLETE_DEADLINE_MS) {
        const { restarts, program } = this.#worker;
        throw new Error(
          `only ${arrived.size} of ${this.#given.length} lines have arrived after ${COMPLETE_DEADLINE_MS} ms\n` +
            `${restarts.join('\n')}\n${program.lines.slice(-60).join('\n')}\n${this.#broker.output}`,
        );
      }
      await this.#worker.isRunning();
      await sleep(POLL_MS);
    }
  }

  async #judge(): Promise<void> {
    const settings = { 'isolation.level': 'read_committed' };
    const records = await kcatRead(this.#broker.kafkaAddress, TOPIC, { settings });
    const topic = records.map(({ value }) => value ?? '');
    this.#violations = judgeTransfer({ given: this.#given, topic, sink: this.#sinkLines() });
  }
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:connect',
    summary:
      'Kills a Connect worker and the broker between a file and its copy; no line may be lost, nor be in the topic twice.',
    options: {
      rounds: integer('rounds of kills', { default: 10, min: 1 }),
      seed: seedOption('of the chance in the program'),
      peer: oneOf('the broker that is asked', { values: ['polylog', 'kafka'], default: 'polylog' }),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { peer } = values;
  const { skip } = await requirePeer(...CONNECT_PEERS);
  if (skip !== false) throw new Error(skip);
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-connect-'));
  console.log(`seed ${values.seed}, data in ${folder}`);
  const startedMs = performance.now();
  const { violations, ...figures } = await runChaosConnect({
    rounds: values.rounds,
    seed: values.seed,
    peer,
    folder,
    report: (line) => console.log(line),
  });
  console.log(JSON.stringify(figures, undefined, 2));
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  console.log(`violations: ${violations.length}`);
  for (const violation of violations.slice(0, 20)) console.log(`  ${JSON.stringify(violation)}`);
  const passed = violations.length === 0;
  if (passed && !values.keep) rmSync(folder, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();

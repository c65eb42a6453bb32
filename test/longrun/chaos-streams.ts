/**
 * Kafka Streams counts words exactly once (exactly_once_v2) while the application and the broker are killed with SIGKILL: at the end of each round
 * every word has been counted as often as it was given, and the output has each of its counts once, in order.
 * Usage: npm run chaos:streams -- [--rounds 20] [--seed N] [--instances 1] [--transactions 1] [--peer kafka] [--keep]
 * `--transactions 1`: the protocol of transactions before KIP-890.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandOptions, flag, integer, oneOf, seedOption } from '../../scripts/options.ts';
import { runKafkaTool } from '../peers/kafka.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { randomOf, type RandomNumber } from './random.ts';
import { ApacheKafkaProcess, type KillableBroker } from './transactions/brokers.ts';
import type { CountViolation } from './word-counts.ts';
import { WORD_COUNT_PEERS, WORD_COUNT_SETTINGS, WordCountRun } from './word-count-run.ts';

const FEED_MS = 8_000;
const KILLS_MAX = 3;
/** How long what was killed is away. */
const AWAY_MS_MAX = 1_000;

export interface ChaosStreamsOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly folder: string;
  readonly instances?: number;
  /** In each round at most; 0: nothing is killed. */
  readonly killsMax?: number;
  readonly feedMs?: number;
  /** The broker's `transaction.version`; its own if left out. */
  readonly transactionVersion?: number;
  readonly peer?: 'polylog' | 'kafka';
  readonly report?: (line: string) => void;
}

export interface ChaosStreamsReport {
  readonly rounds: number;
  readonly brokerKills: number;
  readonly applicationKills: number;
  /** Threads that gave up, and were replaced, by what they said. */
  readonly died: Readonly<Record<string, number>>;
  readonly lines: number;
  readonly words: number;
  /** From the end of a round's input to its last count. */
  readonly completeMsMax: number;
  readonly violations: readonly CountViolation[];
  /** What a reader that begins anew finds after an orderly restart of the broker. */
  readonly violationsAgain: readonly CountViolation[];
  /** The applications ended when they were told to. */
  readonly stopped: boolean;
}

/** One run. Needs {@link WORD_COUNT_PEERS}. */
export async function runChaosStreams(options: ChaosStreamsOptions): Promise<ChaosStreamsReport> {
  const { folder, rounds, report = () => undefined } = options;
  const random = randomOf(options.seed);
  const broker = await createBroker(options);
  await broker.start();
  const { instances = 1, feedMs = FEED_MS, transactionVersion } = options;
  let run: WordCountRun | undefined;
  const died: Record<string, number> = {};
  const onDied = (reason: string): void => {
    const [name = ''] = reason.split(':', 1);
    died[name] = (died[name] ?? 0) + 1;
    report(`a thread died: ${reason}`);
  };
  const kills = { broker: 0, application: 0 };
  let completeMsMax = 0;
  try {
    if (transactionVersion !== undefined) await downgradeTransactions(broker, transactionVersion);
    run = await WordCountRun.start({ broker, folder, instances, random, onDied });
    const kill = killer(broker, run, { ...options, random, kills });
    for (let round = 1; round <= rounds; round++) {
      const [told] = await Promise.all([kill(feedMs), run.feed(feedMs)]);
      const completeMs = await run.complete();
      completeMsMax = Math.max(completeMsMax, completeMs);
      report(
        `round ${round}/${rounds}: ${told}; ${run.wordsGiven} words counted ${completeMs.toFixed(0)} ms after the last one; ` +
          `${run.violations.length} violations`,
      );
    }
    const stopped = await run.stop();
    await broker.stop();
    await broker.start();
    const violationsAgain = await run.judgeAgain();
    return {
      rounds,
      brokerKills: kills.broker,
      applicationKills: kills.application,
      died,
      lines: run.linesGiven,
      words: run.wordsGiven,
      completeMsMax,
      violations: run.violations,
      violationsAgain,
      stopped,
    };
  } finally {
    await run?.dispose();
    await broker.kill();
  }
}

function createBroker({ folder, peer }: ChaosStreamsOptions): Promise<KillableBroker> {
  const data = path.join(folder, 'broker');
  return peer === 'kafka'
    ? ApacheKafkaProcess.create(data, WORD_COUNT_SETTINGS)
    : BrokerProcess.create({ data, settings: WORD_COUNT_SETTINGS });
}

async function downgradeTransactions({ kafkaAddress }: KillableBroker, version: number): Promise<void> {
  const args = [
    '--bootstrap-server',
    kafkaAddress,
    'downgrade',
    '--feature',
    `transaction.version=${version}`,
  ];
  const { code, stdout, stderr } = await runKafkaTool('features', args);
  if (code !== 0) throw new Error(`transaction.version=${version}: ${stdout}${stderr}`);
}

/** Returns a function that kills something now and then for so long, and tells what. */
function killer(
  broker: KillableBroker,
  { instances }: WordCountRun,
  options: {
    readonly killsMax?: number;
    readonly random: RandomNumber;
    readonly kills: { broker: number; application: number };
  },
): (durationMs: number) => Promise<string> {
  const { killsMax = KILLS_MAX, random, kills } = options;
  return async (durationMs) => {
    const count = Math.ceil(random() * killsMax);
    const told: string[] = [];
    for (let kill = 0; kill < count; kill++) {
      await sleep((random() * durationMs) / count);
      const awayMs = random() * AWAY_MS_MAX;
      if (random() < 0.5) {
        kills.broker++;
        told.push('broker');
        await broker.kill();
        await sleep(awayMs);
        await broker.start();
      } else {
        kills.application++;
        const index = Math.floor(random() * instances.length);
        told.push(`application ${index}`);
        await instances[index]!.kill();
        await sleep(awayMs);
        instances[index]!.start();
      }
    }
    return count === 0 ? 'nothing killed' : `killed ${told.join(', ')}`;
  };
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:streams',
    summary:
      'Kills a Kafka Streams application (exactly-once) and its broker; its word counts have to be exact.',
    options: {
      rounds: integer('rounds of kills', { default: 20, min: 1 }),
      seed: seedOption('of the chance in the program'),
      instances: integer('of the application', { default: 1, min: 1 }),
      transactions: integer('version of the protocol of transactions; 1: that before KIP-890', { max: 2 }),
      peer: oneOf('the broker that is asked', { values: ['polylog', 'kafka'], default: 'polylog' }),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { peer } = values;
  const { skip } = await requirePeer(...WORD_COUNT_PEERS);
  if (skip !== false) throw new Error(skip);
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-streams-'));
  console.log(`seed ${values.seed}, data in ${folder}`);
  const startedMs = performance.now();
  const { violations, violationsAgain, ...figures } = await runChaosStreams({
    rounds: values.rounds,
    seed: values.seed,
    instances: values.instances,
    ...(values.transactions === undefined ? {} : { transactionVersion: values.transactions }),
    peer,
    folder,
    report: (line) => console.log(line),
  });
  console.log(JSON.stringify(figures, undefined, 2));
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  console.log(`violations: ${violations.length}, to a reader that begins anew: ${violationsAgain.length}`);
  for (const violation of [...violations, ...violationsAgain].slice(0, 20))
    console.log(`  ${JSON.stringify(violation)}`);
  const passed = violations.length === 0 && violationsAgain.length === 0 && figures.stopped;
  if (passed && !values.keep) rmSync(folder, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();

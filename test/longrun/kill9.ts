/**
 * Kills a broker with SIGKILL again and again while stock clients write with acks=all, and then asks whether everything that
 * was acknowledged is there. Usage: npm run chaos:kill9 -- [--rounds 100] [--seed N] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { commandOptions, flag, integer, seedOption } from '../../scripts/options.ts';
import { platformaticRead } from '../clients/platformatic.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { dumpLogSegments, type DumpReport } from './dump-log-segments.ts';
import { checkHistory, type StoredPartition, type Violation } from './history.ts';
import { startKafkaJsLoad, startLibrdkafkaLoad, type Load } from './load.ts';
import { randomOf } from './random.ts';

const PARTITIONS = 20;
const SEGMENT_BYTES = 1024 * 1024;
const ACKNOWLEDGEMENTS_PER_ROUND = 1_000;
const ROUND_DEADLINE_MS = 120_000;
/** A recovery is killed up to so long after it has opened its first file. */
const KILL_IN_RECOVERY_AFTER_MS_MAX = 40;

export interface Kill9Options {
  readonly rounds: number;
  /** Of them so many also kill the recovery that follows. */
  readonly recoveryKills: number;
  readonly seed: number;
  readonly data: string;
  readonly report?: (line: string) => void;
}

export interface Kill9Report {
  readonly rounds: number;
  readonly kills: number;
  readonly killsInRecovery: number;
  /** The fewest that one client got in one round. */
  readonly acknowledgementsPerRoundMin: number;
  readonly acknowledgements: number;
  readonly stored: number;
  readonly recoveryMsMax: number;
  readonly violations: readonly Violation[];
  readonly stopCode: number | null;
  readonly dump: DumpReport;
}

/** One run. Needs the peers `python3-confluent-kafka`, `java` and `kafka-jars`. */
export async function runKill9(options: Kill9Options): Promise<Kill9Report> {
  const { rounds, data, report = () => undefined } = options;
  const random = randomOf(options.seed);
  const broker = await BrokerProcess.create({ data, settings: { 'log-level': 'info' } });
  await broker.start();
  await createTopics(broker.kafkaAddress, ['plain', 'idempotent']);
  const address = broker.kafkaAddress;
  const loads = new Map<string, Load>([
    ['plain', await startKafkaJsLoad({ address, topic: 'plain', partitions: PARTITIONS })],
    ['idempotent', startLibrdkafkaLoad({ address, topic: 'idempotent', partitions: PARTITIONS })],
  ]);
  const all = [...loads.values()];
  let kills = 0;
  let killsInRecovery = 0;
  let acknowledgementsPerRoundMin = Number.POSITIVE_INFINITY;
  let recoveryMsMax = 0;
  for (let round = 1; round <= rounds; round++) {
    const acknowledged = await oneRound(all, broker, random);
    acknowledgementsPerRoundMin = Math.min(acknowledgementsPerRoundMin, ...acknowledged);
    await broker.kill();
    kills++;
    // Spread over the run: the log grows, and so does what there is to recover.
    const due = Math.ceil((options.recoveryKills * round) / rounds);
    while (killsInRecovery < due) {
      kills++;
      if (await broker.startAndKillInRecovery(random() * KILL_IN_RECOVERY_AFTER_MS_MAX)) killsInRecovery++;
    }
    const recoveryMs = await broker.start();
    recoveryMsMax = Math.max(recoveryMsMax, recoveryMs);
    report(
      `round ${round}/${rounds}: ${acknowledged.join(' + ')} acknowledgements, ` +
        `${kills} kills (${killsInRecovery} in recovery), up again after ${recoveryMs.toFixed(0)} ms`,
    );
  }
  await Promise.all(all.map((load) => load.stop()));
  const violations: Violation[] = [];
  let stored = 0;
  for (const [topic, load] of loads) {
    const partitions = await readTopic(address, topic);
    stored += partitions.reduce((sum, { records }) => sum + records.length, 0);
    violations.push(...checkHistory({ ...load, wasSent: (value) => load.wasSent(value), partitions }));
  }
  const stopCode = await broker.stop();
  return {
    rounds,
    kills,
    killsInRecovery,
    acknowledgementsPerRoundMin,
    acknowledgements: all.reduce((sum, load) => sum + load.acknowledged.length, 0),
    stored,
    recoveryMsMax,
    violations,
    stopCode,
    dump: await dumpLogSegments(data),
  };
}

/** Until every client has its acknowledgements, and a random moment longer; how many each got. */
async function oneRound(
  loads: readonly Load[],
  broker: BrokerProcess,
  random: () => number,
): Promise<number[]> {
  const before = loads.map((load) => load.acknowledged.length);
  const gained = (): number[] => loads.map((load, index) => load.acknowledged.length - (before[index] ?? 0));
  const startedMs = performance.now();
  while (gained().some((count) => count < ACKNOWLEDGEMENTS_PER_ROUND)) {
    if (!broker.isRunning) throw new Error(`the broker ended by itself\n${broker.output}`);
    if (performance.now() - startedMs > ROUND_DEADLINE_MS) {
      throw new Error(
        `only ${gained().join(' + ')} acknowledgements in ${ROUND_DEADLINE_MS} ms\n${broker.output}`,
      );
    }
    await sleep(5);
  }
  await sleep(random() * 50);
  return gained();
}

async function createTopics(address: string, topics: string[]): Promise<void> {
  const admin = new Admin({ clientId: 'kill9', bootstrapBrokers: [address] });
  const configs = [{ name: 'segment.bytes', value: String(SEGMENT_BYTES) }];
  await admin.createTopics({ topics, partitions: PARTITIONS, replicas: 1, configs });
  await admin.close();
}

async function readTopic(address: string, topic: string): Promise<StoredPartition[]> {
  const admin = new Admin({ clientId: 'kill9', bootstrapBrokers: [address] });
  const offsetsAt = async (timestamp: bigint): Promise<Map<number, number>> => {
    const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp,
    }));
    const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
    return new Map(listed?.partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]));
  };
  const starts = await offsetsAt(-2n);
  const ends = await offsetsAt(-1n);
  await admin.close();
  const stored: StoredPartition[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const logStartOffset = starts.get(partition) ?? 0;
    const records = await platformaticRead(address, topic, { partition, from: logStartOffset });
    stored.push({ partition, logStartOffset, endOffset: ends.get(partition) ?? 0, records });
  }
  return stored;
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:kill9',
    summary: 'Kills a broker under load with SIGKILL, again and again, and looks for what was acknowledged.',
    options: {
      rounds: integer('times that it is killed', { default: 100, min: 1 }),
      seed: seedOption('of the chance in the program'),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { skip } = await requirePeer('python3-confluent-kafka', 'java', 'kafka-jars');
  if (skip !== false) throw new Error(skip);
  const rounds = values.rounds;
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-kill9-'));
  console.log(`seed ${values.seed}, data in ${data}`);
  const report = await runKill9({
    rounds,
    recoveryKills: Math.max(10, Math.ceil(rounds / 8)),
    seed: values.seed,
    data,
    report: (line) => console.log(line),
  });
  const { violations, dump, ...figures } = report;
  console.log(JSON.stringify(figures, undefined, 2));
  const { complaints, ...files } = dump;
  console.log(`DumpLogSegments read ${JSON.stringify(files)}; complaints: ${complaints.length}`);
  for (const complaint of complaints.slice(0, 20)) console.log(`  ${complaint}`);
  console.log(`violations: ${violations.length}`);
  for (const { kind, partition, offset, detail } of violations.slice(0, 20)) {
    console.log(`  ${kind} at ${partition}/${offset}: ${detail}`);
  }
  const passed = violations.length === 0 && complaints.length === 0 && report.stopCode === 0;
  if (passed && !values.keep) rmSync(data, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();

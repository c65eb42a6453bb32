import { setTimeout as sleep } from 'node:timers/promises';

import { attack, noCounts, type AttackCounts } from './attacker.ts';
import { BrokerProcess } from './broker-process.ts';
import { KafkaClient } from './client.ts';
import { Findings } from './findings.ts';
import { FrameSource } from './frames.ts';
import { footprintOf, type Footprint } from './growth.ts';
import { describeHealth, HealthyClient, type HealthyReport } from './healthy.ts';
import { createTopics, refreshWorld, schemasOf, servedVersions } from './setup.ts';
import { newWorld, type World } from './world.ts';

/** Low, so that a flood that exceeds it needs few descriptors. */
export const CONNECTIONS_PER_ADDRESS_MAX = 1500;
const ATTACKERS = 32;
/** After so many frames topics that are gone come back. */
const REFRESH_FRAMES = 10_000;
const HEALTHY_TOPIC = 'steady';
const PROGRESS_MS = 15_000;

export interface FuzzResult {
  readonly counts: AttackCounts;
  readonly findings: Findings;
  readonly errorLines: readonly string[];
  readonly warm: Footprint;
  readonly end: Footprint;
  readonly before: HealthyReport;
  readonly during: HealthyReport;
  readonly exit: string | undefined;
}

export interface FuzzRunOptions {
  readonly frames: number;
  readonly warmUpFrames: number;
  readonly seed: number;
  /** How long the healthy client is alone first. */
  readonly aloneMs: number;
  /** How long the broker is left alone before its memory is measured: connections close, timers fire, retention runs. */
  readonly idleMs: number;
  readonly print: (line: string) => void;
  /** Runs under the same checks. */
  readonly afterFrames?: (session: FuzzSession) => Promise<void>;
}

/** A broker under attack with its healthy client. */
export interface FuzzSession {
  readonly broker: BrokerProcess;
  readonly healthy: HealthyClient;
  readonly findings: Findings;
  readonly print: (line: string) => void;
}

/** Starts a broker, fuzzes it, and says how it fared. What must not be is in `findings`. */
export async function fuzz(options: FuzzRunOptions): Promise<FuzzResult> {
  const { print } = options;
  const broker = await BrokerProcess.start({
    collectable: true,
    settings: {
      'log.retention.check.interval.ms': 5000,
      'max.connections.per.ip': CONNECTIONS_PER_ADDRESS_MAX,
    },
  });
  const client = await KafkaClient.open(broker.port);
  const findings = new Findings();
  const world = newWorld();
  try {
    await createTopics(client, [{ name: HEALTHY_TOPIC }]);
    await refreshWorld(client, world);
    const served = await servedVersions(client);
    const source = new FrameSource({ seed: options.seed, world, served, apis: schemasOf(served) });
    print(`${source.targetCount} APIs x versions, seed ${options.seed}, broker pid ${broker.child.pid}`);
    const healthy = new HealthyClient(broker.port, HEALTHY_TOPIC);
    await sleep(options.aloneMs);
    const before = await healthy.report();
    print(describeHealth('alone', before));
    const counts = noCounts();
    const shared = { broker, client, source, findings, counts, world, print };
    await sendFrames({ ...shared, frames: options.warmUpFrames });
    const warm = await idleFootprint(broker, counts.frames, options.idleMs);
    print(`after ${counts.frames} frames of warm-up: ${describeMemory(warm)}`);
    await healthy.report();
    await sendFrames({ ...shared, frames: options.frames - options.warmUpFrames });
    const during = await healthy.report();
    print(describeHealth('beside the frames', during));
    const end = await idleFootprint(broker, counts.frames, options.idleMs);
    print(`after ${counts.frames} frames: ${describeMemory(end)}`);
    await crossCheck(broker, counts, findings, print);
    printCounts(source, counts, print);
    await healthy.report();
    await options.afterFrames?.({ broker, healthy, findings, print });
    const last = await healthy.stop();
    print(describeHealth('at the end', last));
    for (const fault of last.faults) findings.add({ what: 'healthy client', title: fault, hex: '' });
    if (broker.exit !== undefined) findings.add({ what: 'the broker is gone', title: broker.exit, hex: '' });
    for (const line of broker.errors) findings.add({ what: "the broker's log", title: line, hex: '' });
    return { counts, findings, errorLines: broker.errors, warm, end, before, during, exit: broker.exit };
  } catch (error) {
    // What fails first, without a broker, is seldom the cause.
    for (const line of broker.errors) print(`BROKER ${line}`);
    if (broker.exit !== undefined) throw new Error(`the broker is gone: ${broker.exit}`, { cause: error });
    throw error;
  } finally {
    client.close();
    await broker.remove();
  }
}

async function sendFrames(options: {
  readonly broker: BrokerProcess;
  readonly client: KafkaClient;
  readonly source: FrameSource;
  readonly findings: Findings;
  readonly counts: AttackCounts;
  readonly world: World;
  readonly frames: number;
  readonly print: (line: string) => void;
}): Promise<void> {
  const { broker, client, source, findings, counts, world, print } = options;
  const startedMs = performance.now();
  const progress = setInterval(() => {
    const perSecond = Math.round(sent / ((performance.now() - startedMs) / 1000));
    void broker.resident().then(({ rssMib }) => {
      print(`  ${counts.frames} frames, ${perSecond}/s, ${rssMib.toFixed(0)} MiB resident`);
    });
  }, PROGRESS_MS);
  let sent = 0;
  try {
    while (sent < options.frames && broker.exit === undefined) {
      const until = Math.min(options.frames, sent + REFRESH_FRAMES);
      const take = (wanted: number): number => {
        const granted = broker.exit === undefined ? Math.min(wanted, until - sent) : 0;
        sent += granted;
        return granted;
      };
      const attacking = { port: broker.port, source, findings, counts, take };
      await Promise.all(Array.from({ length: ATTACKERS }, () => attack(attacking)));
      await refreshWorld(client, world);
    }
  } finally {
    clearInterval(progress);
  }
}

async function idleFootprint(broker: BrokerProcess, frames: number, idleMs: number): Promise<Footprint> {
  await sleep(idleMs);
  await broker.memory();
  await sleep(idleMs / 4);
  return footprintOf(broker, frames);
}

function describeMemory({ memory }: Footprint): string {
  const { rssMib, privateMib, heapUsedMib, externalMib } = memory;
  return (
    `${rssMib.toFixed(1)} MiB resident, ${privateMib.toFixed(1)} of its own, ${heapUsedMib.toFixed(1)} heap, ` +
    `${externalMib.toFixed(1)} external`
  );
}

/** The broker counts the requests that it answered, so those that decoded: it must not have seen fewer than came back. */
async function crossCheck(
  broker: BrokerProcess,
  counts: AttackCounts,
  findings: Findings,
  print: (line: string) => void,
): Promise<void> {
  const answered = await broker.answeredRequests();
  print(`answers: ${counts.answers} received; ${answered} by the broker's count, with the healthy client's`);
  if (answered < counts.answers) {
    findings.add({ what: 'the broker counts fewer answers than came', title: String(answered), hex: '' });
  }
}

function printCounts(source: FrameSource, counts: AttackCounts, print: (line: string) => void): void {
  const share = ((counts.reachedBody / counts.frames) * 100).toFixed(1);
  print(
    `${counts.frames} frames, ${counts.reachedBody} (${share} %) to a body decoder, ${counts.connections} connections, ` +
      `${counts.closes} closed by the broker; ${source.strayTopics} topics under mutated names`,
  );
  const perTarget = [...source.counts].filter(([title]) => title !== '').map(([, count]) => count);
  print(`frames per API and version: ${Math.min(...perTarget)} to ${Math.max(...perTarget)}`);
}

import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { BrokerProcess } from './broker-process.ts';
import { freeBytesOf, requireFreeBytes, settleDisk } from './disk-probe.ts';
import { createTopic } from './generator/admin.ts';
import { residentBytesOf } from './generator/process-stats.ts';
import { fill, type MeasureOptions, type Round, type Side } from './measure.ts';
import type { Peer } from './peers/peer.ts';
import type { ProcessWork } from './workloads.ts';

const FILLED = { name: 'filled', partitions: 10 };
/** Written after each clean stop, of what was there: what a broker that is killed has to look at again. */
const MORE_PART = 1 / 40;
/** Of the disk, beside the data of all rounds: indexes, journals, preallocated files. */
const BYTES_BESIDE = 1024 ** 3;

/** A peer's processes where the process alone is measured, started for each round or for all of them. */
export function processSide(work: ProcessWork, peer: Peer, options: MeasureOptions): Side {
  return work.kind === 'start' ? new StartSide(work, peer, options) : new RestartSide(work, peer, options);
}

/**
 * Says whether the peers' data fit on the disk at the same time.
 * @throws Error if not even one peer's do
 */
export function fitTogether(work: ProcessWork, peerCount: number, options: RestartOptions): boolean {
  if (work.kind !== 'restart') return true;
  const { bulkBytes, rounds } = options;
  const bytes = bulkBytes * (1 + MORE_PART * rounds) + BYTES_BESIDE;
  requireFreeBytes(tmpdir(), bytes, 'restart');
  return freeBytesOf(tmpdir()) >= bytes * peerCount;
}

type RestartOptions = Pick<MeasureOptions, 'bulkBytes'> & { readonly rounds: number };

function launchOptions({ pin }: MeasureOptions): Parameters<typeof BrokerProcess.prepare>[1] {
  return { settings: {}, pin, profileFolder: undefined };
}

/**
 * Each round launches on an empty folder twice: once to the first acknowledged message, and once to look at the memory of a broker to
 * which nothing is said.
 */
class StartSide implements Side {
  readonly peer: Peer;
  readonly #work: Extract<ProcessWork, { kind: 'start' }>;
  readonly #options: MeasureOptions;
  #broker: BrokerProcess | undefined;
  #idleRounds = 0;

  constructor(work: Extract<ProcessWork, { kind: 'start' }>, peer: Peer, options: MeasureOptions) {
    this.peer = peer;
    this.#work = work;
    this.#options = options;
  }

  async turn(): Promise<Round> {
    const broker = (this.#broker ??= await this.#prepared());
    broker.renew();
    const startMs = await broker.launchToFirstMessage('first');
    await broker.kill();
    if (this.#idleRounds++ >= this.#options.idleRoundsMax) return { startMs };
    broker.renew();
    await broker.launchSilently();
    await sleep(this.#work.idleMs);
    const { pid } = broker.target;
    const residentIdleBytes = pid === undefined ? undefined : residentBytesOf(pid)?.now;
    await broker.kill();
    return { startMs, residentIdleBytes };
  }

  async end(): Promise<void> {
    await this.#broker?.discard();
  }

  async #prepared(): Promise<BrokerProcess> {
    const broker = await BrokerProcess.prepare(this.peer, launchOptions(this.#options));
    broker.keepFolder();
    return broker;
  }
}

/** Filled once. Each round stops it and launches it again, writes some more, kills it, and launches it again. */
class RestartSide implements Side {
  readonly peer: Peer;
  readonly #work: Extract<ProcessWork, { kind: 'restart' }>;
  readonly #options: MeasureOptions;
  #broker: BrokerProcess | undefined;
  #rounds = 0;

  constructor(work: Extract<ProcessWork, { kind: 'restart' }>, peer: Peer, options: MeasureOptions) {
    this.peer = peer;
    this.#work = work;
    this.#options = options;
  }

  async turn(): Promise<Round> {
    const { bulkBytes } = this.#options;
    const broker = (this.#broker ??= await this.#filled());
    const round = ++this.#rounds;
    await broker.stop();
    await settleDisk();
    const restartMs = await broker.launchToFirstMessage(`after-stop-${round}`);
    await this.#fill(broker, bulkBytes * MORE_PART);
    await broker.kill();
    await settleDisk();
    const restartKilledMs = await broker.launchToFirstMessage(`after-kill-${round}`);
    return { restartMs, restartKilledMs };
  }

  async end(): Promise<void> {
    await this.#broker?.discard();
  }

  async #filled(): Promise<BrokerProcess> {
    const broker = await BrokerProcess.start(this.peer, launchOptions(this.#options));
    this.#broker = broker;
    await createTopic(broker.target, { ...FILLED, config: this.peer.topicConfig('os') });
    await this.#fill(broker, this.#options.bulkBytes);
    return broker;
  }

  async #fill({ target }: BrokerProcess, bytes: number): Promise<void> {
    const { batch } = this.#work;
    const batchCount = Math.ceil(bytes / batch.batchBytes);
    await fill(target, { topic: FILLED, batch, batchCount, pin: this.#options.pin });
  }
}

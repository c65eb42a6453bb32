import { Engine } from '../../packages/broker/src/engine.ts';
import type { BrokerConfig, StepsPerTurn } from '../../packages/broker/src/config/broker-config.ts';
import { resolveConfig, type RawSetting } from '../../packages/broker/src/config/load.ts';
import type { Platform } from '../../packages/broker/src/platform/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { CrashKind, SimNode, SimWorld } from '../platform/world.ts';

export const DATA_DIRECTORY = '/data';
export const PORT = 9092;
const START_ATTEMPTS_MAX = 60;
const START_MS_MAX = 120_000;
const DISK_FULL_SPARE_BYTES = 120_000;
const RESERVE_BYTES = 64 * 1024;

const SETTINGS: Readonly<Record<string, string>> = {
  data: DATA_DIRECTORY,
  kafka: `127.0.0.1:${PORT}`,
  'log.flush.offset.checkpoint.interval.ms': '700',
  'log.retention.check.interval.ms': '900',
  'log.segment.delete.delay.ms': '100',
  'log.roll.ms': '3000',
  'log.index.interval.bytes': '512',
  'log.index.size.max.bytes': '256',
  'hot.bytes': '16384',
  'disk.reserve.bytes': String(RESERVE_BYTES),
  'files.open.max': '16',
  'journal.batch.max.bytes': '2048',
  'max.incremental.fetch.session.cache.slots': '3',
};
/** Below what an operator may choose, so that files of the journal are reused all the time. */
const JOURNAL_FILE_BYTES = 16 * 1024;
const JOURNAL_FILES_MAX = 3;

/** What a broker may die of, or fail to start with: each has been injected. */
const FATAL_FAULTS = [
  'disk.datasync-error',
  'disk.write-eio',
  'disk.write-enospc',
  'disk.full',
  'disk.read-eio',
];

/** Small files, short intervals; and what the scenario asks for. */
export function brokerConfig(
  others: Readonly<Record<string, string>> = {},
  stepsPerTurn?: StepsPerTurn,
): BrokerConfig {
  const settings = Object.entries({ ...SETTINGS, ...others }).map(([name, text]): RawSetting => ({
    name,
    text,
    source: 'option',
    where: `option ${name}`,
  }));
  const config = resolveConfig(settings);
  return {
    ...config,
    stepsPerTurn,
    settings: {
      ...config.settings,
      'journal.file.bytes': JOURNAL_FILE_BYTES,
      'journal.files.max': JOURNAL_FILES_MAX,
    },
  };
}

/** What the machine tells the scenario, and asks of it. */
export interface MachineHooks {
  /** Whether clients have begun: a start may be cut short then. */
  readonly begun: () => boolean;
  /** The broker was not stopped cleanly. */
  readonly crashed: () => void;
  readonly powerLost: () => void;
  /** Lets time pass. */
  readonly advance: (durationMs: number) => Promise<void>;
  /** Throws what a client has found. */
  readonly check: () => void;
  readonly fail: (error: Error) => void;
}

/** A machine with a broker on it that is stopped, killed and loses its power, also within a start, while its disk and network fail in every way. */
export class BrokerMachine {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly node: SimNode;
  readonly config: BrokerConfig;
  crashes = 0;
  readonly #hooks: MachineHooks;
  #engine: Engine | undefined;
  #platform: Platform | undefined;
  #boots = 0;
  #armedKind: CrashKind | undefined;
  #stoppedCleanly = false;
  #faultsAtBoot = 0;

  constructor(world: SimWorld, random: SimRandom, config: BrokerConfig, hooks: MachineHooks) {
    this.world = world;
    this.random = random;
    this.node = world.node('broker');
    this.config = config;
    this.#hooks = hooks;
  }

  /** Counts the broker's starts. */
  get boots(): number {
    return this.#boots;
  }

  // Life and death of the broker

  async start(): Promise<void> {
    for (let attempt = 0; attempt < START_ATTEMPTS_MAX; attempt++) {
      if (await this.#startOnce(attempt)) return;
      this.#hooks.check();
    }
    throw new Violation('unavailable', 'the broker does not start');
  }

  async #startOnce(attempt: number): Promise<boolean> {
    const { node, random, world } = this;
    const platform = node.boot();
    // As an installation leaves it: the folder itself is nobody's to lose.
    platform.disk.makeDirectory(DATA_DIRECTORY);
    platform.disk.syncDirectory('/');
    this.#boots++;
    this.#platform = platform;
    this.#faultsAtBoot = this.#injected();
    const killing = attempt < 3 && this.#hooks.begun() && random.chance(0.25);
    if (killing) node.killWithin(random.pick([4, 40]), this.#armKind());
    const clean = this.#stoppedCleanly;
    this.#stoppedCleanly = false;
    if (!clean) this.#hooks.crashed();
    let engine: Engine | undefined;
    try {
      engine = await world.attempt(
        platform,
        Engine.start(platform, this.config, { dataDirectory: DATA_DIRECTORY, hostname: 'broker' }),
        START_MS_MAX,
      );
    } catch (error) {
      if (node.isUp && this.#injected() === this.#faultsAtBoot) throw error;
      world.count('start.failed');
      engine = undefined;
    }
    node.disk.disarmKill();
    if (node.isUp && engine !== undefined) {
      this.#armedKind = undefined;
      this.#started(engine, clean);
      return true;
    }
    if (node.isUp) {
      // It did not start for an injected error: its process ends.
      this.#armedKind = undefined;
      this.crash('process');
    } else {
      world.count('start.killed');
      this.#died();
    }
    this.calm();
    return false;
  }

  #started(engine: Engine, clean: boolean): void {
    const { recovery } = engine;
    this.world.count(`recovery.${recovery.kind}`);
    if (recovery.cutBytes > 0) this.world.count('recovery.torn-tail-cut');
    if (recovery.journalBatches > 0) this.world.count('recovery.journal-replay');
    if (recovery.corruptRanges > 0) {
      throw new Violation('corruption', 'recovery found damage where no bit was flipped');
    }
    if (clean && recovery.kind !== 'clean') {
      throw new Violation('clean-restart', `recovery was ${JSON.stringify(recovery)}`);
    }
    this.#engine = engine;
    const boot = this.#boots;
    void engine.failed.then((error) => {
      if (boot !== this.#boots || !this.node.isUp) return;
      if (this.#injected() === this.#faultsAtBoot) {
        this.#hooks.fail(new Violation('died', `nothing was injected: ${error.message}`));
      }
      this.world.count('storage.fatal');
      this.node.crash({ kind: 'process' });
    });
  }

  #injected(): number {
    return FATAL_FAULTS.reduce((sum, fault) => sum + (this.world.faults.get(fault) ?? 0), 0);
  }

  #died(kind = this.#armedKind): void {
    if (kind === 'power') this.#hooks.powerLost();
    this.#armedKind = undefined;
    this.#forget();
    this.crashes++;
  }

  #forget(): void {
    if (this.#engine !== undefined) this.world.count('cleaner.passes', this.#engine.cleaning.passes);
    this.#engine = undefined;
  }

  crash(kind: CrashKind): void {
    this.node.crash({ kind });
    this.#died(kind);
  }

  /** It died by itself: inside a disk operation, or because a sync failed. */
  async afterDeath(): Promise<void> {
    this.#died();
    this.calm();
    await this.#hooks.advance(this.random.fraction() * 50);
    await this.start();
  }

  #armKind(): CrashKind {
    this.#armedKind = this.random.chance(0.5) ? 'power' : 'process';
    return this.#armedKind;
  }

  async #cleanRestart(): Promise<void> {
    const engine = this.#engine;
    if (engine === undefined || !this.node.isUp) return;
    const calm = this.random.chance(0.7);
    if (calm) {
      this.calm();
      // A log that went offline by an earlier fault, or a failing sync under way, ends with this process.
      if (this.#injected() > this.#faultsAtBoot) {
        this.crash('process');
        await this.start();
        return;
      }
    }
    const before = this.#injected();
    try {
      await this.world.attempt(this.#platform!, engine.stop(), START_MS_MAX);
    } catch (error) {
      if (this.node.isUp && this.#injected() === before) throw error;
      this.world.count('stop.failed');
      if (this.node.isUp) this.crash('process');
      else this.#died();
      this.calm();
      await this.start();
      return;
    }
    if (!this.node.isUp) return;
    this.world.count('restart.clean');
    const kind = this.random.chance(0.3) ? 'power' : 'process';
    this.#stoppedCleanly = this.#injected() === this.#faultsAtBoot;
    this.node.crash({ kind });
    if (kind === 'power') this.#hooks.powerLost();
    this.#forget();
    this.calm();
    await this.start();
  }

  // Faults

  calm(): void {
    const { disk } = this.node;
    disk.faults.writeError = 0;
    disk.faults.readError = 0;
    disk.faults.datasyncError = 0;
    disk.faults.slow = 0;
    disk.setCapacity(undefined);
    this.world.network.faults.drop = 0;
    this.world.network.faults.slow = 0;
  }

  async disturb(): Promise<void> {
    const { random, node, world } = this;
    if (!node.isUp) return;
    const dice = random.fraction();
    if (dice < 0.06) this.#setFaults();
    else if (dice < 0.09) this.calm();
    else if (dice < 0.1) node.killWithin(random.between(1, 60), this.#armKind());
    else if (dice < 0.11) {
      this.crash(random.chance(0.5) ? 'power' : 'process');
      this.calm();
      await this.start();
    } else if (dice < 0.12) await this.#cleanRestart();
    else if (dice < 0.16) world.network.dropRandomConnection();
    this.#hooks.check();
  }

  #setFaults(): void {
    const { random, world } = this;
    this.calm();
    const { disk } = this.node;
    const dice = random.fraction();
    if (dice < 0.2) disk.faults.writeError = random.pick([0.02, 0.1, 0.4]);
    else if (dice < 0.3) disk.faults.readError = 0.1;
    else if (dice < 0.45) disk.faults.slow = 0.1;
    else if (dice < 0.52) disk.faults.datasyncError = 0.03;
    else if (dice < 0.7) {
      disk.setCapacity(disk.usedBytes() + random.integer(DISK_FULL_SPARE_BYTES + RESERVE_BYTES));
      world.count('fault.disk-full');
    } else if (dice < 0.85) world.network.faults.slow = 0.1;
    else world.network.faults.drop = 0.01;
  }
}

import { openLogStore } from '../../packages/broker/src/storage/log-store.ts';
import type {
  Log,
  LogConfig,
  LogId,
  LogStore,
  StorageConfig,
} from '../../packages/broker/src/storage/types.ts';
import type { Platform } from '../../packages/broker/src/platform/index.ts';
import { verifyLog } from '../../packages/broker/src/storage/verify.ts';
import { buildBatch, patchBaseOffset, patchLeaderEpoch } from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { CrashKind } from '../platform/disk.ts';
import { isProcessDead, SimWorld, type SimNode } from '../platform/world.ts';
import { COMPACTED_CONFIG, CompactedLog } from '../workload/compacted-log.ts';
import { type ModelBatch, ModelLog } from './model-log.ts';

const DATA_DIRECTORY = '/data';
const PARTITIONS = 5;
const COMPACTED_PARTITION = 5;
const TOPIC_ID = 'c3RvcmFnZS10b3BpYy1pZA';

/** Small, so that rolls, journal reuse, evictions and checkpoints happen all the time. */
const STORAGE: Partial<StorageConfig> = {
  openFilesMax: 6,
  hotBytes: 8 * 1024,
  journalFileBytes: 32 * 1024,
  journalFilesMax: 3,
  journalBatchBytesMax: 2 * 1024,
  checkpointMs: 60,
  retentionCheckMs: 90,
  freeSpaceReserveBytes: 0,
  freeSpacePollMs: 50,
  verifiedTrustMs: 100,
  cleanerBackoffMs: 25,
  cleanerDedupeBytes: 24 * 16,
};

function configOf(partition: number): LogConfig {
  if (partition === COMPACTED_PARTITION) return COMPACTED_CONFIG;
  return {
    segmentBytes: 6 * 1024,
    segmentMs: 60_000,
    segmentIndexBytes: 200,
    indexIntervalBytes: 400,
    retentionMs: -1,
    retentionBytes: partition === 3 ? 20 * 1024 : -1,
    deleteOldSegments: true,
    fileDeleteDelayMs: 20,
    flush: partition === 1 ? 'os' : 'fsync',
  };
}

export interface StorageScenarioResult {
  readonly counts: ReadonlyMap<string, number>;
  readonly digest: string;
}

/**
 * One data folder, several logs, random appends, cuts, resets, deletions, retention, faults of the disk, kills and losses of power, also within
 * operations and within recovery; all compared with lists of batches. Throws Violation.
 */
export async function runStorageScenario(options: {
  readonly seed: number;
  readonly operations: number;
}): Promise<StorageScenarioResult> {
  const scenario = new StorageScenario(options.seed);
  await scenario.run(options.operations);
  return { counts: scenario.counts, digest: scenario.world.trace.hash };
}

class StorageScenario {
  readonly world: SimWorld;
  readonly counts: Map<string, number>;
  readonly #random: SimRandom;
  readonly #node: SimNode;
  readonly #models: ModelLog[] = [];
  readonly #compacted: CompactedLog;
  #store: LogStore | undefined;
  #platform: Platform | undefined;
  #values = 0;
  #epoch = 0;
  #crashKind: CrashKind = 'process';
  /** Since the last start. */
  #hadFaults = false;

  constructor(seed: number) {
    this.world = new SimWorld({ seed });
    this.#random = this.world.random.fork('storage');
    this.#node = this.world.node('n');
    this.counts = this.world.faults;
    for (let partition = 0; partition < PARTITIONS; partition++)
      this.#models.push(new ModelLog(`p-${partition}`, configOf(partition)));
    this.#models[3]!.startMax = Infinity;
    this.#compacted = new CompactedLog({
      random: this.#random.fork('compacted'),
      count: (path) => this.world.count(path),
      nowMs: () => Math.floor(this.world.startMs + this.world.nowMs),
      mayFail: () => this.#hadFaults,
    });
  }

  async run(operations: number): Promise<void> {
    await this.#start();
    for (let done = 0; done < operations; done++) {
      await this.#operate();
      if (!this.#node.isUp) await this.#restart();
    }
    this.#quietDisk();
    this.#node.disk.disarmKill();
    await this.#crash('power');
    this.#checkAll();
    this.#check();
  }

  // Starting

  async #start(): Promise<void> {
    const platform = this.#node.boot();
    this.#platform = platform;
    this.#hadFaults = false;
    const opening = openLogStore({
      ...platform,
      dataDirectory: DATA_DIRECTORY,
      config: STORAGE,
      logConfigOf: (id) => configOf(id.partition),
    });
    this.#store = await this.world.attempt(platform, opening);
    if (this.#store === undefined) return;
    this.#store.onFatal = () => {
      this.world.count('storage.fatal');
      this.#crashKind = 'power';
      this.#node.crash({ kind: 'power' });
    };
    this.world.count(`recovered.${this.#store.recovery.kind}`);
    this.world.count('recovery.journal-batches', this.#store.recovery.journalBatches);
    this.world.count('recovery.cut-bytes', this.#store.recovery.cutBytes);
    if (this.#store.recovery.corruptRanges > 0) throw new Violation('storage', 'damage without bit rot');
    for (const [partition, model] of this.#models.entries()) this.#adopt(partition, model);
    this.#compacted.open(this.#log(COMPACTED_PARTITION));
  }

  #adopt(partition: number, model: ModelLog): void {
    const log = this.#log(partition);
    log.retentionBound = () => log.durableOffset;
    model.adopt(log, { cacheSurvived: this.#crashKind === 'process' });
    // Under flush=os durable means the page cache.
    if (model.config.flush === 'os') return;
    log.onDurable = (offset) => {
      model.durableOffset = Math.max(model.durableOffset, offset);
    };
  }

  /** Brings the process up again; now and then it dies once more in the middle of that. */
  async #restart(): Promise<void> {
    this.#quietDisk();
    this.#node.disk.disarmKill();
    for (let attempts = 0; !this.#node.isUp || this.#store === undefined; attempts++) {
      if (this.#node.isUp) throw new Violation('storage', 'the store did not open');
      if (attempts < 3 && this.#random.chance(0.5)) {
        const kind = this.#kind();
        if (kind === 'power') this.#crashKind = 'power';
        this.#node.killWithin(60, kind);
      }
      await this.#start();
      if (this.#node.isUp) this.#node.disk.disarmKill();
      else {
        this.#store = undefined;
        this.world.count('crash.in-recovery');
      }
    }
    this.#crashKind = 'process';
  }

  #kind(): CrashKind {
    return this.#random.chance(0.6) ? 'power' : 'process';
  }

  #quietDisk(): void {
    Object.assign(this.#node.disk.faults, { writeError: 0, readError: 0, datasyncError: 0, slow: 0 });
    this.#node.disk.setCapacity(undefined);
  }

  async #crash(kind: CrashKind): Promise<void> {
    this.#crashKind = kind;
    if (this.#node.isUp) this.#node.crash({ kind });
    this.#store = undefined;
    await this.#restart();
  }

  #log(partition: number): Log {
    const id: LogId = { topic: 'p', topicId: TOPIC_ID, partition };
    return this.#store!.get('p', partition) ?? this.#store!.create(id, configOf(partition));
  }

  // Operations

  async #operate(): Promise<void> {
    const dice = this.#random.fraction();
    try {
      if (this.#random.chance(0.4)) this.#compacted.operate(this.#store!);
      if (dice < 0.55) this.#turn();
      else if (dice < 0.75) await this.world.advance(this.#random.fraction() * 8);
      else if (dice < 0.79) this.#truncate();
      else if (dice < 0.8) this.#reset();
      else if (dice < 0.82) this.#advanceStart();
      else if (dice < 0.9) this.#checkOne();
      else if (dice < 0.91) await this.#delete();
      else if (dice < 0.94) this.#changeFaults();
      else if (dice < 0.96) await this.#stopCleanly();
      else await this.#strike();
    } catch (error) {
      if (!isProcessDead(error)) throw error;
    }
    if (!this.#node.isUp) this.#store = undefined;
  }

  #turn(): void {
    for (let more = this.#random.between(1, 3); more > 0; more--) {
      const partition = this.#random.integer(PARTITIONS);
      this.#append(this.#log(partition), this.#models[partition]!);
    }
    this.#store!.flushTurn();
  }

  #append(log: Log, model: ModelLog): void {
    if (log.offline || this.#store!.diskFull) return;
    if (this.#random.chance(0.05)) this.#epoch++;
    const added: ModelBatch[] = [];
    let offset = log.endOffset;
    for (let more = this.#random.between(1, 4); more > 0; more--) {
      const records = this.#random.between(1, 3);
      const valueBytes = this.#random.pick([8, 60, 60, 300, 900, 2500]);
      const bytes = this.#batch(offset, records, valueBytes);
      added.push({ baseOffset: offset, endOffset: offset + records, epoch: this.#epoch, bytes });
      offset += records;
    }
    this.#note(log, `append to ${offset}`);
    const before = [log.endOffset, log.sizeBytes, log.epochs.entries, log.durableOffset];
    // Should the process die in it, any part of it may be there.
    model.maybe = added;
    model.attempted(added);
    try {
      log.append(
        added.map(({ bytes }) => bytes.slice()),
        this.world.startMs + this.world.nowMs,
      );
      model.batches.push(...added);
      model.maybe = [];
      this.world.count('append');
    } catch (error) {
      if (isProcessDead(error)) throw error;
      if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
      this.world.count(log.offline ? 'append.offline' : 'append.failed');
      if (!log.offline) model.maybe = [];
      const after = [log.endOffset, log.sizeBytes, log.epochs.entries, log.durableOffset];
      if (!log.offline && before.some((value, index) => value !== after[index]))
        throw new Violation(
          'storage',
          `a failed append changed ${JSON.stringify(before)} to ${JSON.stringify(after)}`,
        );
    }
  }

  #batch(offset: number, records: number, valueBytes: number): Uint8Array {
    const timestamp = 1000 + Math.floor(this.world.nowMs) + this.#random.integer(50);
    const bytes = buildBatch({
      records: Array.from({ length: records }, () => ({
        key: null,
        value: new Uint8Array(valueBytes).fill(++this.#values % 251),
        timestamp,
      })),
    });
    patchBaseOffset(bytes, 0, offset);
    patchLeaderEpoch(bytes, 0, this.#epoch);
    return bytes;
  }

  #note(log: Log, what: string): void {
    const { startOffset, endOffset, durableOffset, recoveryPoint } = log;
    const state = `[${startOffset}, ${recoveryPoint}, ${durableOffset}, ${endOffset})`;
    this.world.trace.add(`${this.world.nowMs.toFixed(3)} p-${log.id.partition} ${state} ${what}`);
  }

  #pick(): { readonly log: Log; readonly model: ModelLog } {
    const partition = this.#random.integer(PARTITIONS);
    return { log: this.#log(partition), model: this.#models[partition]! };
  }

  #truncate(): void {
    const { log, model } = this.#pick();
    if (log.offline || log.endOffset === log.startOffset) return;
    const live = model.batches.filter((batch) => batch.baseOffset >= log.startOffset);
    if (live.length === 0) return;
    const offset = live[Math.floor(live.length * (0.5 + this.#random.fraction() / 2))]!.baseOffset;
    this.#note(log, `truncate to ${offset}`);
    // Should the process die in it, either state is right.
    model.durableOffset = Math.min(model.durableOffset, offset);
    model.maybe = [];
    this.#guarded(() => {
      log.truncate(offset);
      model.cut(offset);
      this.world.count('truncate');
    });
  }

  /** A cut that failed for the disk's sake: the process would stop. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isProcessDead(error) && error instanceof Error && error.name === 'DiskError') {
        this.world.count('cut.failed');
        this.#crashKind = 'power';
        this.#node.crash({ kind: 'power' });
        return;
      }
      throw error;
    }
  }

  #reset(): void {
    const { log, model } = this.#pick();
    if (log.offline) return;
    const offset = this.#random.chance(0.5)
      ? log.endOffset + this.#random.integer(10)
      : this.#random.integer(log.endOffset + 1);
    this.#note(log, `reset to ${offset}`);
    model.maybeResetTo = offset;
    model.durableOffset = 0;
    model.startOffset = 0;
    model.startMax = Math.max(model.startMax, offset);
    this.#guarded(() => {
      log.reset(offset);
      model.wasReset();
      model.startOffset = model.durableOffset = offset;
      if (model.startMax !== Infinity) model.startMax = offset;
      model.maybeResetTo = undefined;
      this.world.count('reset');
    });
  }

  #advanceStart(): void {
    const { log, model } = this.#pick();
    const offset = this.#random.between(log.startOffset, log.durableOffset);
    model.startMax = Math.max(model.startMax, offset);
    this.#note(log, `start at ${offset}`);
    log.advanceStartOffset(offset);
    this.world.count('advance-start');
  }

  async #delete(): Promise<void> {
    const partition = this.#random.integer(PARTITIONS);
    const log = this.#log(partition);
    const model = this.#models[partition]!;
    if (log.endOffset === 0) return;
    this.#note(log, 'delete');
    this.world.count('delete');
    // Until it resolves the log may come back, as a whole or in part; then never again.
    const { durableOffset, startOffset } = model;
    model.durableOffset = 0;
    model.startOffset = 0;
    model.deletionBegins();
    try {
      await this.world.attempt(this.#platform!, this.#store!.delete(log));
    } catch (error) {
      // No room for the checkpoint.
      if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
      model.startOffset = startOffset;
      model.durableOffset = Math.max(model.durableOffset, durableOffset);
      return;
    }
    if (!this.#node.isUp) {
      model.maybeResetTo = 0;
      model.startMax = Math.max(model.startMax, log.endOffset);
      return;
    }
    const fresh = new ModelLog(model.name, model.config);
    this.#models[partition] = fresh;
    if (partition === 3) fresh.startMax = Infinity;
    this.#adopt(partition, fresh);
  }

  #changeFaults(): void {
    const { faults } = this.#node.disk;
    this.#hadFaults = true;
    this.#quietDisk();
    const dice = this.#random.fraction();
    if (dice < 0.3) faults.writeError = 0.03;
    else if (dice < 0.4) faults.datasyncError = 0.02;
    else if (dice < 0.6) faults.slow = 0.1;
    else if (dice < 0.75)
      this.#node.disk.setCapacity(this.#node.disk.usedBytes() + 8192 * this.#random.integer(6));
  }

  async #stopCleanly(): Promise<void> {
    this.#quietDisk();
    const store = this.#store!;
    const offline = this.#models.some((_, partition) => this.#log(partition).offline);
    await this.world.attempt(this.#platform!, store.close());
    if (!this.#node.isUp) return;
    this.world.count('cleaner.passes', store.cleaning.passes);
    this.world.count('stop.clean');
    if (!offline) for (const model of this.#models) model.durableOffset = model.endOffset;
    this.#compacted.closedCleanly();
    this.#node.crash({ kind: this.#random.chance(0.5) ? 'power' : 'process' });
    this.#crashKind = 'power';
  }

  async #strike(): Promise<void> {
    const kind = this.#kind();
    this.#crashKind = kind;
    if (this.#random.chance(0.4)) {
      this.#node.crash({ kind });
      return;
    }
    this.#node.killWithin(30, kind);
    for (let tries = 0; tries < 20 && this.#node.isUp; tries++) {
      this.#turn();
      await this.world.advance(this.#random.fraction() * 4);
    }
    if (this.#node.isUp) this.#node.crash({ kind });
  }

  // Checks

  #checkOne(): void {
    const { log, model } = this.#pick();
    if (log.offline) return;
    this.world.count('check.batches', model.check(log));
  }

  #check(): void {
    for (const key of ['append', 'truncate', 'recovered.power-loss'])
      if ((this.counts.get(key) ?? 0) === 0) throw new Violation('storage', `nothing of ${key}`);
  }

  #checkAll(): void {
    for (const [partition, model] of this.#models.entries()) {
      const log = this.#log(partition);
      model.check(log);
      const faults = verifyLog(log);
      if (faults.length > 0) throw new Violation('storage', `${model.name}: ${faults[0]}`);
      this.world.count('verify');
    }
    this.#compacted.check();
    const [fault] = verifyLog(this.#log(COMPACTED_PARTITION));
    if (fault !== undefined) throw new Violation('storage', `compacted: ${fault}`);
  }
}

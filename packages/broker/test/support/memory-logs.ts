import { DiskError } from '../../src/platform/disk.ts';
import type {
  CleaningReport,
  Log,
  LogConfig,
  LogId,
  LogStore,
  RecoveryReport,
} from '../../src/storage/types.ts';
import { FakeLog } from '../replication/fake-log.ts';

class NamedLog extends FakeLog {
  override readonly id: LogId;

  constructor(id: LogId) {
    super();
    this.id = id;
  }
}

/** Logs in memory. Appends become durable at `flushTurn`, or, with `manual`, when the test syncs. */
export class MemoryLogs implements LogStore {
  readonly dataDirectory = '/memory';
  readonly recovery: RecoveryReport = {
    kind: 'fresh',
    logs: 0,
    scannedBytes: 0,
    cutBytes: 0,
    journalBatches: 0,
    corruptRanges: 0,
  };
  diskFull = false;
  onFatal: ((error: Error) => void) | undefined;
  manual = false;
  flushes = 0;
  /** Held back deletions, when `holdDeletions`. */
  readonly held: (() => void)[] = [];
  holdDeletions = false;
  /** So many deletions fail, as on a full disk. */
  failDeletions = 0;
  readonly #logs = new Map<string, NamedLog>();

  statistics(): never {
    throw new Error('not used here');
  }

  get(topic: string, partition: number): NamedLog | undefined {
    return this.#logs.get(`${topic}-${partition}`);
  }

  logs(): Iterable<Log> {
    return this.#logs.values();
  }

  create(id: LogId, config: LogConfig): NamedLog {
    const name = `${id.topic}-${id.partition}`;
    if (this.#logs.has(name)) throw new Error(`${name} exists`);
    const log = new NamedLog(id);
    log.configure(config);
    this.#logs.set(name, log);
    return log;
  }

  async delete(log: Log): Promise<void> {
    if (this.failDeletions > 0) {
      this.failDeletions--;
      throw new DiskError({
        code: 'ENOSPC',
        operation: 'rename',
        path: log.id.topic,
        detail: 'no space left',
      });
    }
    if (this.holdDeletions) await new Promise<void>((resolve) => this.held.push(resolve));
    this.#logs.delete(`${log.id.topic}-${log.id.partition}`);
  }

  flushTurn(): void {
    this.flushes++;
    if (!this.manual) void Promise.resolve().then(() => this.sync());
  }

  sync(): void {
    for (const log of this.#logs.values()) log.sync();
  }

  /** What a loss of power leaves: the durable prefix of every log, without its owner. */
  crash(): void {
    for (const log of this.#logs.values()) {
      log.truncate(log.durableOffset);
      log.onDurable = undefined;
    }
  }

  retentionPass(): Promise<void> {
    return Promise.resolve();
  }

  readonly cleaning: CleaningReport = {
    passes: 0,
    failures: 0,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsRetained: 0,
    undecodableBatches: 0,
    isRunning: false,
    sinceLastMs: undefined,
    uncleanableLogs: 0,
    dirtyRatioMax: 0,
    lateMsMax: 0,
  };

  configureCleaner(): void {}
  cleaningPass(): Promise<void> {
    return Promise.resolve();
  }

  checkpoint(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

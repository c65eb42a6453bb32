import type { Disk } from '../platform/disk.ts';
import { LOG_START_FILE, replaceOffsetCheckpoint, writeOffsetCheckpoint } from './checkpoint-files.ts';
import type { PartitionLog } from './log.ts';

/** Writes `log-start-offset-checkpoint`: at once with a checkpoint, and off the event loop for who waits for a start to be durable. */
export class StartOffsets {
  readonly #disk: Disk;
  readonly #path: string;
  /** Those that have something to be written. */
  readonly #logs: () => readonly PartitionLog[];
  /** Counts the writes that were made at once. */
  #writes = 0;
  #running: Promise<void> = Promise.resolve();
  /** One that has not begun: whoever comes now is served by it. */
  #next: Promise<void> | undefined;

  constructor(options: {
    readonly disk: Disk;
    readonly dataDirectory: string;
    readonly logs: () => readonly PartitionLog[];
  }) {
    this.#disk = options.disk;
    this.#path = `${options.dataDirectory}/${LOG_START_FILE}`;
    this.#logs = options.logs;
  }

  /** Durable when it returns. Throws DiskError. */
  write(): void {
    const starts = this.#starts();
    writeOffsetCheckpoint(this.#disk, this.#path, starts.entries);
    this.#writes++;
    starts.saved();
  }

  /** Makes the present starts durable; calls of one turn share a write. Rejects with DiskError. */
  persist(): Promise<void> {
    this.#next ??= this.#afterRunning().then(() => {
      this.#next = undefined;
      this.#running = this.#persist();
      return this.#running;
    });
    return this.#next;
  }

  /** Resolves when no write is under way. */
  async settled(): Promise<void> {
    await this.#next?.catch(() => undefined);
    await this.#afterRunning();
  }

  /** Whatever became of it: who waited for it has heard. */
  async #afterRunning(): Promise<void> {
    await this.#running.catch(() => undefined);
  }

  async #persist(): Promise<void> {
    const writes = this.#writes;
    // A write that was made at once meanwhile says more: it has all starts as they were then, and logs may have been deleted or reset.
    const isCurrent = (): boolean => writes === this.#writes;
    const starts = this.#starts();
    await replaceOffsetCheckpoint(this.#disk, this.#path, starts.entries, isCurrent);
    if (isCurrent()) starts.saved();
  }

  #starts() {
    const entries = this.#logs().map((log) => {
      const { topic, partition } = log.id;
      return { log, topic, partition, offset: log.startOffset };
    });
    const saved = (): void => {
      for (const { log, offset } of entries) log.savedStartOffset = Math.max(log.savedStartOffset, offset);
    };
    return { entries, saved };
  }
}

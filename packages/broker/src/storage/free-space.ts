import { DiskError, type Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/log.ts';
import type { StorageConfig } from './types.ts';

/** Twice the reserve must be free again before writing goes on, so that it does not flicker. */
const RELEASE_FACTOR = 2;

/**
 * Whether the free space has fallen below the reserve. Between polls what is appended counts against it, since a fast producer fills a disk
 * between two of them.
 */
export class FreeSpaceWatch {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #reserveBytes: number;
  readonly #logger: Logger;
  #freeBytes = Infinity;
  #totalBytes = 0;
  isFull = false;

  constructor(disk: Disk, path: string, config: StorageConfig, logger: Logger) {
    this.#disk = disk;
    this.#path = path;
    this.#reserveBytes = config.freeSpaceReserveBytes;
    this.#logger = logger;
  }

  /** As far as known: from the last poll, less what was appended since. Infinite while nothing is known. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get releaseBytes(): number {
    return this.#reserveBytes * RELEASE_FACTOR;
  }

  get reserveBytes(): number {
    return this.#reserveBytes;
  }

  spent(bytes: number): void {
    this.#freeBytes -= bytes;
    if (!this.isFull && this.#freeBytes < this.#reserveBytes) this.poll();
  }

  poll(): void {
    try {
      const { freeBytes, totalBytes } = this.#disk.freeSpace(this.#path);
      this.#freeBytes = freeBytes;
      this.#totalBytes = totalBytes;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#logger.warn({ error }, 'The free space is unknown');
      return;
    }
    const { isFull } = this;
    this.isFull = this.#freeBytes < (isFull ? this.releaseBytes : this.#reserveBytes);
    if (this.isFull === isFull) return;
    const fields = { path: this.#path, freeBytes: this.#freeBytes, reserveBytes: this.#reserveBytes };
    if (this.isFull) this.#logger.error(fields, 'The disk is full: produce requests are refused');
    else this.#logger.info(fields, 'The disk has room again');
  }
}

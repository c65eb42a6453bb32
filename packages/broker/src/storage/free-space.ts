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
  isFull = false;

  constructor(disk: Disk, path: string, config: StorageConfig, logger: Logger) {
    this.#disk = disk;
    this.#path = path;
    this.#reserveBytes = config.freeSpaceReserveBytes;
    this.#logger = logger;
  }

  spent(bytes: number): void {
    this.#freeBytes -= bytes;
    if (!this.isFull && this.#freeBytes < this.#reserveBytes) this.poll();
  }

  poll(): void {
    try {
      this.#freeBytes = this.#disk.freeSpace(this.#path).freeBytes;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#logger.warn({ error }, 'The free space is unknown');
      return;
    }
    const { isFull } = this;
    this.isFull = this.#freeBytes < this.#reserveBytes * (isFull ? RELEASE_FACTOR : 1);
    if (this.isFull === isFull) return;
    const fields = { path: this.#path, freeBytes: this.#freeBytes, reserveBytes: this.#reserveBytes };
    if (this.isFull) this.#logger.error(fields, 'The disk is full: produce requests are refused');
    else this.#logger.info(fields, 'The disk has room again');
  }
}

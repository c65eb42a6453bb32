/**
 * Files, as the broker needs them. What the disk does NOT promise, so that nobody relies on it:
 *
 * - Written bytes are in the page cache. They survive a kill of the process, not a loss of power: only what was written
 *   before the start of a `datasync` that succeeded is durable. Before that, any subset of the written pages may be on the
 *   disk after a power loss, in any order, with zeros or old bytes in the rest; a file's length may be durable without its bytes.
 * - A created, renamed or removed directory entry is durable only after `syncDirectory` of its parent.
 * - A write may fail half-way and leave a prefix of its bytes.
 * - After an error of `datasync` the unsynced bytes are in an unknown state, even if a later call succeeds: the process must
 *   stop and recover. Never retry it.
 * - Bytes that were durable may come back changed (bit rot): readers check CRCs.
 *
 * Paths are absolute or relative to the process, with `/`. All methods throw {@link DiskError}. Asynchronous calls on one file
 * may be done in any order: who needs one awaits it.
 */
export interface Disk {
  /** `read`: must exist. `write`: must exist, read and write. `create`: read and write, created if missing. */
  open(path: string, mode: 'read' | 'write' | 'create'): DiskFile;
  /** Creates missing parents too; no error if it exists. Each new entry is durable only after `syncDirectory` of its own parent. */
  makeDirectory(path: string): void;
  /** Names only, unsorted. */
  list(path: string): string[];
  stat(path: string): FileStat | undefined;
  /** Replaces the target atomically (after a power loss: the old or the new one). */
  rename(from: string, to: string): void;
  /** No error if it is missing. Open descriptors keep working. */
  remove(path: string): void;
  /** Removes a folder and all that is in it; no error if it is missing. */
  removeTree(path: string): void;
  /** The same off the event loop, for large files. */
  removeAsync(path: string): Promise<void>;
  syncDirectory(path: string): void;
  /** The same off the event loop: what was changed before it was called is durable when it resolves. */
  syncDirectoryAsync(path: string): Promise<void>;
  freeSpace(path: string): { readonly freeBytes: number; readonly totalBytes: number };
  /** Identifies this boot of the operating system: a page cache that was not synced is intact only while it stays the same. */
  bootId(): string;
  /**
   * Takes a folder for this broker alone, across the processes and containers of one host and within one process; freed when
   * the process ends, however it ends. Between hosts that share a network file system it protects nothing. Leaves a folder
   * `.lock` in it.
   * Rejects with a DiskError of code `LOCKED`, whose message says who holds it as far as known.
   */
  lock(directory: string): Promise<DirectoryLock>;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

export interface FileStat {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
}

/** An open file. Positions and lengths are bytes. Reads and writes are complete or throw; only a read at the end is short. */
export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Gathers all buffers into one write at `position`. On an error a prefix may have been written. */
  write(buffers: readonly Uint8Array[], position: number): void;
  /** The same off the event loop; the buffers must stay unchanged until it settles. */
  writeAsync(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** Fills `target` from `position`; returns the bytes read, less than asked only at the end of the file. */
  read(target: Uint8Array, position: number): number;
  readAsync(target: Uint8Array, position: number): Promise<number>;
  /** Makes all bytes written before the call durable, with the length needed to read them. */
  datasync(): void;
  datasyncAsync(): Promise<void>;
  truncate(sizeBytes: number): void;
  /**
   * Reserves disk blocks from the end of the file up to `sizeBytes` and extends it with zeros, so that later overwrites do not
   * change its metadata. On an error the file keeps its size.
   */
  preallocate(sizeBytes: number): void;
  /** Idempotent. What is under way is finished first; later calls throw a DiskError of code `OTHER`. */
  close(): void;
}

/** The entry in a locked folder that the lock is kept in, where an implementation needs one. */
export const LOCK_ENTRY = '.lock';

/** `LOCKED`: another broker has the folder. The others are the system's own codes; `OTHER` has them in the message. */
export type DiskErrorCode =
  | 'ENOENT'
  | 'ENOSPC'
  | 'EIO'
  | 'EMFILE'
  | 'EACCES'
  | 'EEXIST'
  | 'ENOTDIR'
  | 'LOCKED'
  | 'OTHER';

export class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly code: DiskErrorCode;
  readonly operation: string;
  readonly path: string;

  constructor(options: {
    code: DiskErrorCode;
    operation: string;
    path: string;
    detail: string;
    cause?: unknown;
  }) {
    super(`${options.operation} ${options.path}: ${options.detail}`, { cause: options.cause });
    this.code = options.code;
    this.operation = options.operation;
    this.path = options.path;
  }
}

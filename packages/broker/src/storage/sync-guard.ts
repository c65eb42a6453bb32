import type { Disk, DiskFile } from '../platform/disk.ts';

/**
 * A disk whose failed syncs are reported wherever they happen, before the caller sees the error: after one nobody knows what is on the
 * disk, the kernel may count the lost pages as clean, and no later sync brings them back. Only a restart, which writes anew
 * what it relies on, is safe; so no caller may treat it as an error that passes.
 */
export function guardSyncs(disk: Disk, failed: (error: Error) => void): Disk {
  const report = (error: unknown): never => {
    failed(error as Error);
    throw error;
  };
  return {
    open: (path, mode) => new GuardedFile(disk.open(path, mode), report),
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    stat: (path) => disk.stat(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeTree: (path) => disk.removeTree(path),
    removeAsync: (path) => disk.removeAsync(path),
    syncDirectory: (path) => {
      try {
        disk.syncDirectory(path);
      } catch (error) {
        report(error);
      }
    },
    syncDirectoryAsync: (path) => disk.syncDirectoryAsync(path).catch(report),
    freeSpace: (path) => disk.freeSpace(path),
    bootId: () => disk.bootId(),
    lock: (directory) => disk.lock(directory),
  };
}

class GuardedFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #report: (error: unknown) => never;

  constructor(file: DiskFile, report: (error: unknown) => never) {
    this.path = file.path;
    this.#file = file;
    this.#report = report;
  }

  size(): number {
    return this.#file.size();
  }

  write(buffers: readonly Uint8Array[], position: number): void {
    this.#file.write(buffers, position);
  }

  writeAsync(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#file.writeAsync(buffers, position);
  }

  read(target: Uint8Array, position: number): number {
    return this.#file.read(target, position);
  }

  readAsync(target: Uint8Array, position: number): Promise<number> {
    return this.#file.readAsync(target, position);
  }

  datasync(): void {
    try {
      this.#file.datasync();
    } catch (error) {
      this.#report(error);
    }
  }

  datasyncAsync(): Promise<void> {
    return this.#file.datasyncAsync().catch(this.#report);
  }

  truncate(sizeBytes: number): void {
    this.#file.truncate(sizeBytes);
  }

  preallocate(sizeBytes: number): void {
    this.#file.preallocate(sizeBytes);
  }

  close(): void {
    this.#file.close();
  }
}

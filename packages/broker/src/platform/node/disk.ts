import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import type { DirectoryLock, Disk, DiskFile, FileStat } from '../disk.ts';
import { bootId } from './boot-id.ts';
import { lockDirectory } from './directory-lock.ts';
import { diskErrorOf, guarded, isMissing } from './disk-errors.ts';
import { NodeDiskFile } from './disk-file.ts';

const OPEN_FLAGS = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
} as const;

const FILE_MODE = 0o644;

export class NodeDisk implements Disk {
  open(path: string, mode: 'read' | 'write' | 'create'): DiskFile {
    return guarded('open', path, () => new NodeDiskFile(openSync(path, OPEN_FLAGS[mode], FILE_MODE), path));
  }

  makeDirectory(path: string): void {
    guarded('makeDirectory', path, () => mkdirSync(path, { recursive: true }));
  }

  list(path: string): string[] {
    return guarded('list', path, () => readdirSync(path));
  }

  stat(path: string): FileStat | undefined {
    const stat = guarded('stat', path, () => statSync(path, { throwIfNoEntry: false }));
    if (stat === undefined) return undefined;
    return { sizeBytes: stat.size, modifiedMs: stat.mtimeMs, isDirectory: stat.isDirectory() };
  }

  rename(from: string, to: string): void {
    guarded('rename', from, () => renameSync(from, to));
  }

  remove(path: string): void {
    try {
      unlinkSync(path);
    } catch (error) {
      if (!isMissing(error)) throw diskErrorOf(error, 'remove', path);
    }
  }

  removeTree(path: string): void {
    guarded('removeTree', path, () => rmSync(path, { recursive: true, force: true }));
  }

  async removeAsync(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (!isMissing(error)) throw diskErrorOf(error, 'remove', path);
    }
  }

  syncDirectory(path: string): void {
    guarded('syncDirectory', path, () => {
      const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  async syncDirectoryAsync(path: string): Promise<void> {
    try {
      const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (error) {
      throw diskErrorOf(error, 'syncDirectory', path);
    }
  }

  freeSpace(path: string): { readonly freeBytes: number; readonly totalBytes: number } {
    const { bavail, blocks, bsize } = guarded('freeSpace', path, () => statfsSync(path));
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }

  bootId(): string {
    return bootId();
  }

  lock(directory: string): Promise<DirectoryLock> {
    return lockDirectory(directory);
  }
}

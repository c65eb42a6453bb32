import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  read,
  readSync,
  writeSync,
  writev,
  writevSync,
} from 'node:fs';
import { DiskError, type DiskFile } from '../disk.ts';
import { diskErrorOf } from './disk-errors.ts';

/** IOV_MAX of Linux and macOS: the system takes no more buffers in one gathered write. */
export const GATHERED_BUFFERS_MAX = 1024;

const PREALLOCATE_BLOCK_BYTES = 1024 * 1024;

let zeros: Uint8Array | undefined;

/**
 * A file over a descriptor of node:fs. The descriptor is closed only when no call of the thread pool uses it any more: its number
 * could otherwise name another file by the time the call runs.
 */
export class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;
  #pendingCalls = 0;
  #closed = false;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  size(): number {
    return this.#guarded('stat', () => fstatSync(this.#fd).size);
  }

  write(buffers: readonly Uint8Array[], position: number): void {
    this.#guarded('write', () => {
      if (buffers.length === 1) return this.#writeOne(buffers[0]!, position);
      for (let first = 0; first < buffers.length; first += GATHERED_BUFFERS_MAX) {
        position = this.#writeGathered(slice(buffers, first), position);
      }
    });
  }

  #writeOne(buffer: Uint8Array, position: number): void {
    let written = 0;
    while (written < buffer.length) {
      const bytes = writeSync(this.#fd, buffer, written, buffer.length - written, position + written);
      if (bytes === 0) throw stalled('write', this.path);
      written += bytes;
    }
  }

  /** Returns the position after the last byte. */
  #writeGathered(buffers: readonly Uint8Array[], position: number): number {
    let rest = buffers;
    let restBytes = bytesIn(buffers);
    while (restBytes > 0) {
      const bytes = writevSync(this.#fd, rest, position);
      if (bytes === 0) throw stalled('write', this.path);
      position += bytes;
      restBytes -= bytes;
      if (restBytes > 0) rest = without(rest, bytes);
    }
    return position;
  }

  async writeAsync(buffers: readonly Uint8Array[], position: number): Promise<void> {
    for (let first = 0; first < buffers.length; first += GATHERED_BUFFERS_MAX) {
      let rest = slice(buffers, first);
      let restBytes = bytesIn(rest);
      while (restBytes > 0) {
        const bytes = await this.#pooled<number>('write', (done) => writev(this.#fd, rest, position, done));
        if (bytes === 0) throw stalled('write', this.path);
        position += bytes;
        restBytes -= bytes;
        if (restBytes > 0) rest = without(rest, bytes);
      }
    }
  }

  read(target: Uint8Array, position: number): number {
    this.#assertOpen('read');
    try {
      let filled = 0;
      while (filled < target.length) {
        const bytes = readSync(this.#fd, target, filled, target.length - filled, position + filled);
        if (bytes === 0) break;
        filled += bytes;
      }
      return filled;
    } catch (error) {
      throw diskErrorOf(error, 'read', this.path);
    }
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const bytes = await this.#pooled<number>('read', (done) =>
        read(this.#fd, target, filled, target.length - filled, position + filled, done),
      );
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }

  datasync(): void {
    this.#guarded('datasync', () => fdatasyncSync(this.#fd));
  }

  datasyncAsync(): Promise<void> {
    return this.#pooled<void>('datasync', (done) => fdatasync(this.#fd, done));
  }

  truncate(sizeBytes: number): void {
    this.#guarded('truncate', () => ftruncateSync(this.#fd, sizeBytes));
  }

  preallocate(sizeBytes: number): void {
    const oldSizeBytes = this.size();
    zeros ??= new Uint8Array(PREALLOCATE_BLOCK_BYTES);
    try {
      for (let position = oldSizeBytes; position < sizeBytes; position += PREALLOCATE_BLOCK_BYTES) {
        this.write([zeros.subarray(0, sizeBytes - position)], position);
      }
    } catch (error) {
      this.truncate(oldSizeBytes);
      throw error;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#pendingCalls === 0) this.#closeDescriptor();
  }

  #closeDescriptor(): void {
    try {
      closeSync(this.#fd);
    } catch (error) {
      throw diskErrorOf(error, 'close', this.path);
    }
  }

  #guarded<T>(operation: string, call: () => T): T {
    this.#assertOpen(operation);
    try {
      return call();
    } catch (error) {
      throw diskErrorOf(error, operation, this.path);
    }
  }

  #assertOpen(operation: string): void {
    if (!this.#closed) return;
    throw new DiskError({ code: 'OTHER', operation, path: this.path, detail: 'the file is closed' });
  }

  /** A call on the thread pool, which keeps the descriptor open until it has ended. */
  #pooled<T>(
    operation: string,
    call: (done: (error: NodeJS.ErrnoException | null, result?: T) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#assertOpen(operation);
      this.#pendingCalls++;
      call((error, result) => {
        this.#pendingCalls--;
        try {
          if (this.#closed && this.#pendingCalls === 0) this.#closeDescriptor();
        } catch (closeError) {
          error ??= closeError as NodeJS.ErrnoException;
        }
        if (error) reject(diskErrorOf(error, operation, this.path));
        else resolve(result as T);
      });
    });
  }
}

function slice(buffers: readonly Uint8Array[], first: number): readonly Uint8Array[] {
  return buffers.length <= GATHERED_BUFFERS_MAX
    ? buffers
    : buffers.slice(first, first + GATHERED_BUFFERS_MAX);
}

function bytesIn(buffers: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  return bytes;
}

/** What is left of the buffers after their first bytes. */
function without(buffers: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let index = 0;
  while (bytes >= buffers[index]!.length) bytes -= buffers[index++]!.length;
  return [buffers[index]!.subarray(bytes), ...buffers.slice(index + 1)];
}

function stalled(operation: string, path: string): DiskError {
  return new DiskError({
    code: 'OTHER',
    operation,
    path,
    detail: 'the system wrote nothing and named no error',
  });
}

import type { DiskFile } from '../../packages/broker/src/platform/disk.ts';
import type { SimDisk } from './disk.ts';
import { diskError } from './disk-error.ts';
import { PAGE_BYTES, type FileNode } from './inode.ts';
import { assertAlive, type SimProcess } from './process.ts';

/** A handle of one process; it dies with it. */
export class SimDiskFile implements DiskFile {
  readonly path: string;
  readonly #disk: SimDisk;
  readonly #process: SimProcess;
  readonly #node: FileNode;
  readonly #writable: boolean;
  #closed = false;
  #pendingCalls = 0;

  constructor(disk: SimDisk, process: SimProcess, node: FileNode, path: string, writable: boolean) {
    this.#disk = disk;
    this.#process = process;
    this.#node = node;
    this.path = path;
    this.#writable = writable;
  }

  size(): number {
    this.#assertUsable('stat');
    return this.#node.content.sizeBytes;
  }

  write(buffers: readonly Uint8Array[], position: number): void {
    this.#assertUsable('write');
    this.#writeNow(buffers, position);
  }

  /** The bytes move at the end of the time that it takes: a buffer that changes before is written as changed. */
  writeAsync(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#later('write', () => this.#writeNow(buffers, position));
  }

  #writeNow(buffers: readonly Uint8Array[], position: number): void {
    this.#assertWritable('write');
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.length;
    if (bytes === 0) return;
    const { random, faults, world } = this.#disk;
    this.#disk.beforeOperation(this.#process, () => this.#put(buffers, position, random.integer(bytes + 1)));
    if (random.chance(faults.writeError)) {
      const full = random.chance(0.5);
      this.#put(buffers, position, random.integer(bytes));
      world.count(full ? 'disk.write-enospc' : 'disk.write-eio');
      throw diskError(full ? 'ENOSPC' : 'EIO', 'write', this.path, 'simulated: the write ended half-way');
    }
    const fittingBytes = this.#fittingBytes(position, bytes);
    this.#put(buffers, position, fittingBytes);
    if (random.chance(faults.writeBack) && this.#node.content.writeBackOne(random))
      world.count('disk.write-back');
    if (fittingBytes < bytes) this.#throwFull('write');
  }

  /** How much of a write has room on the disk. */
  #fittingBytes(position: number, bytes: number): number {
    const freePages = this.#disk.freePages();
    if (freePages === Infinity || this.#node.content.newPages(position, bytes) <= freePages) return bytes;
    let fitting = 0;
    for (let pages = 0; fitting < bytes;) {
      const step = Math.min(PAGE_BYTES - ((position + fitting) % PAGE_BYTES), bytes - fitting);
      pages += this.#node.content.newPages(position + fitting, step);
      if (pages > freePages) break;
      fitting += step;
    }
    return fitting;
  }

  #throwFull(operation: string): never {
    this.#disk.world.count('disk.full');
    throw diskError('ENOSPC', operation, this.path, 'no space left on the simulated disk');
  }

  /** Writes the first bytes of the buffers. */
  #put(buffers: readonly Uint8Array[], position: number, bytes: number): void {
    for (const buffer of buffers) {
      if (bytes <= 0) break;
      const part = buffer.length <= bytes ? buffer : buffer.subarray(0, bytes);
      this.#node.content.write(part, position);
      position += part.length;
      bytes -= part.length;
    }
    this.#node.modifiedMs = this.#disk.wallMs();
  }

  read(target: Uint8Array, position: number): number {
    this.#assertUsable('read');
    return this.#readNow(target, position);
  }

  readAsync(target: Uint8Array, position: number): Promise<number> {
    return this.#later('read', () => this.#readNow(target, position));
  }

  #readNow(target: Uint8Array, position: number): number {
    const { random, faults, world } = this.#disk;
    if (random.chance(faults.readError)) {
      world.count('disk.read-eio');
      throw diskError('EIO', 'read', this.path, 'simulated: the medium cannot be read');
    }
    return this.#node.content.read(target, position);
  }

  datasync(): void {
    this.#assertUsable('datasync');
    this.#disk.beforeOperation(this.#process);
    this.#sync(this.#node.content.snapshot());
  }

  datasyncAsync(): Promise<void> {
    try {
      this.#assertUsable('datasync');
      this.#disk.beforeOperation(this.#process);
    } catch (error) {
      return Promise.reject(error);
    }
    const atStart = this.#node.content.snapshot();
    return this.#later('datasync', () => this.#sync(atStart));
  }

  #sync(atStart: ReturnType<FileNode['content']['snapshot']>): void {
    const { random, faults, world } = this.#disk;
    if (random.chance(faults.datasyncError)) {
      this.#node.content.forgetDirty(random);
      world.count('disk.datasync-error');
      throw diskError('EIO', 'datasync', this.path, 'simulated: unsynced bytes are in an unknown state');
    }
    if (atStart.pages.length > 0 && random.chance(faults.datasyncLie)) {
      world.count('disk.datasync-lie');
      return;
    }
    this.#node.content.makeDurable(atStart);
  }

  truncate(sizeBytes: number): void {
    this.#assertUsable('truncate');
    this.#assertWritable('truncate');
    this.#disk.beforeOperation(this.#process);
    this.#node.content.truncate(sizeBytes);
    this.#node.modifiedMs = this.#disk.wallMs();
  }

  preallocate(sizeBytes: number): void {
    this.#assertUsable('preallocate');
    this.#assertWritable('preallocate');
    this.#disk.beforeOperation(this.#process);
    const oldBytes = this.#node.content.sizeBytes;
    if (sizeBytes <= oldBytes) return;
    if (this.#node.content.newPages(oldBytes, sizeBytes - oldBytes) > this.#disk.freePages())
      this.#throwFull('preallocate');
    this.#node.content.preallocate(sizeBytes);
    this.#node.modifiedMs = this.#disk.wallMs();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#pendingCalls === 0 && this.#process.alive) this.#disk.handleClosed(this.#node);
  }

  #assertUsable(operation: string): void {
    assertAlive(this.#process);
    if (this.#closed) throw diskError('OTHER', operation, this.path, 'the file is closed');
  }

  #assertWritable(operation: string): void {
    if (!this.#writable)
      throw diskError('OTHER', operation, this.path, 'EBADF: the file is open for reading only');
  }

  /** Does the work after a while; a closed handle lives on until its work is done, and a dead process never hears of it. */
  #later<T>(operation: string, work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#assertUsable(operation);
      this.#pendingCalls++;
      const run = (): void => {
        try {
          resolve(work());
        } catch (error) {
          if (this.#process.alive) reject(error);
        } finally {
          this.#pendingCalls--;
          if (this.#closed && this.#pendingCalls === 0 && this.#process.alive)
            this.#disk.handleClosed(this.#node);
        }
      };
      this.#disk.world.after(this.#disk.latencyMs(), run, this.#process);
    });
  }
}

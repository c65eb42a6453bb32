import type { Disk, DirectoryLock, DiskFile, FileStat } from '../../packages/broker/src/platform/disk.ts';
import { diskError } from './disk-error.ts';
import { SimDiskFile } from './disk-file.ts';
import { FileContent, PAGE_BYTES, type DirectoryNode, type FileNode, type Node } from './inode.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

/** `process`: kill -9, the page cache survives. `power`: what was not synced is lost, kept or torn. */
export type CrashKind = 'process' | 'power';

/** Probabilities per operation. A scenario sets and resets them as it goes. */
export interface DiskFaults {
  /** A write ends half-way, with EIO or ENOSPC. */
  writeError: number;
  readError: number;
  /** A datasync fails, and some of what was unsynced is never written, though later ones succeed. */
  datasyncError: number;
  /** A datasync reports success and does nothing. */
  datasyncLie: number;
  /** An asynchronous operation takes up to {@link SLOW_MS_MAX}. */
  slow: number;
  /** At each write, the kernel brings one unsynced page of that file to the disk. */
  writeBack: number;
}

const OPERATION_MS_MIN = 0.02;
const OPERATION_MS_MAX = 1.5;
export const SLOW_MS_MAX = 800;
const WRITE_BACK_PROBABILITY = 0.05;
/** Reported while no capacity is set. */
const DEFAULT_CAPACITY_BYTES = 2 ** 40;

/** A change of directory entries that is not synced: what it does to the durable ones, and which it touches. */
interface EntryChange {
  readonly directories: readonly DirectoryNode[];
  /** The name that is made or goes; of a renaming the later one. */
  readonly name: string;
  readonly apply: () => void;
}

/** The disk of one machine. It outlives the processes, each of which sees it through its own {@link Disk}. */
export class SimDisk {
  readonly world: SimWorld;
  readonly faults: DiskFaults = {
    writeError: 0,
    readError: 0,
    datasyncError: 0,
    datasyncLie: 0,
    slow: 0,
    writeBack: WRITE_BACK_PROBABILITY,
  };
  /** The names whose unsynced changes a loss of power takes, while all others arrive. Undefined: chance decides. */
  losesEntry: ((name: string) => boolean) | undefined;
  readonly random: SimRandom;
  readonly wallMs: () => number;
  readonly #name: string;
  #root: DirectoryNode;
  #nodeIds = 0;
  #boots = 1;
  #changes: EntryChange[] = [];
  #capacityBytes: number | undefined;
  /** Files without a name that are still open. */
  readonly #orphans = new Set<FileNode>();
  #locks = new Map<DirectoryNode, SimProcess>();
  #kill: { operations: number; readonly kind: CrashKind } | undefined;

  constructor(world: SimWorld, name: string, wallMs: () => number) {
    this.world = world;
    this.#name = name;
    this.wallMs = wallMs;
    this.random = world.random.fork(`disk of ${name}`);
    this.#root = this.#newDirectory();
  }

  forProcess(process: SimProcess): Disk {
    return new ProcessDisk(this, process);
  }

  get bootId(): string {
    return `${this.#name}-boot-${this.#boots}`;
  }

  // Faults and what a scenario asks for

  /** Makes the disk full at this many bytes (whole pages); undefined: no limit. */
  setCapacity(bytes: number | undefined): void {
    this.#capacityBytes = bytes;
  }

  /** Kills the process inside its n-th operation from now that changes or syncs something. */
  killAtOperation(operations: number, kind: CrashKind): void {
    this.#kill = { operations, kind };
  }

  disarmKill(): void {
    this.#kill = undefined;
  }

  /** Changes one bit of a file, as bit rot does. */
  flipBit(path: string, offset: number, bit: number): void {
    const node = this.#file(path, 'flipBit');
    if (offset >= node.content.sizeBytes) throw new RangeError(`${path} ends before ${offset}`);
    node.content.flipBit(offset, bit);
    this.world.count('disk.bit-flip');
    this.world.trace.add(`${this.#name} bit ${bit} of byte ${offset} of ${path} flips`);
  }

  /** Flips one bit of the durable bytes of one of the files that the filter lets pass; false if there is none. */
  flipRandomBit(filter: (path: string) => boolean = () => true): boolean {
    const files = this.files().filter(({ path, node }) => node.content.durableSizeBytes > 0 && filter(path));
    if (files.length === 0) return false;
    const { path, node } = this.random.pick(files);
    const bytes = Math.min(node.content.durableSizeBytes, node.content.sizeBytes);
    this.flipBit(path, this.random.integer(bytes), this.random.integer(8));
    return true;
  }

  /** All files, by path. */
  files(): { readonly path: string; readonly node: FileNode }[] {
    const found: { path: string; node: FileNode }[] = [];
    const visit = (directory: DirectoryNode, prefix: string): void => {
      for (const [name, node] of directory.entries) {
        if (node.kind === 'file') found.push({ path: `${prefix}/${name}`, node });
        else visit(node, `${prefix}/${name}`);
      }
    };
    visit(this.#root, '');
    return found;
  }

  /** The bytes of a file that a loss of power could not take, not regarding its directory entry. */
  durableBytes(path: string): Uint8Array {
    return this.#file(path, 'durableBytes').content.durableBytes();
  }

  crash(kind: CrashKind): void {
    this.#locks.clear();
    this.#kill = undefined;
    if (kind === 'power') {
      this.#boots++;
      this.#loseEntries();
      const counts = { lost: 0, kept: 0, torn: 0, lengthCut: 0, zeroTail: 0 };
      for (const { node } of this.files()) node.content.losePower(this.random, counts);
      this.#count('disk.page-lost', counts.lost);
      this.#count('disk.page-kept', counts.kept);
      this.#count('disk.page-torn', counts.torn);
      this.#count('disk.length-cut', counts.lengthCut);
      this.#count('disk.tail-zeros', counts.zeroTail);
    }
    for (const { node } of this.files()) node.openHandles = 0;
    this.#orphans.clear();
  }

  #count(fault: string, times: number): void {
    if (times > 0) this.world.count(fault, times);
  }

  /** Unsynced changes of entries: a prefix arrives, as in a journal, or any subset. */
  #loseEntries(): void {
    const prefix = this.random.chance(0.5) ? this.random.between(0, this.#changes.length) : undefined;
    for (const [index, change] of this.#changes.entries()) {
      let keeps = prefix === undefined ? this.random.chance(0.5) : index < prefix;
      if (this.losesEntry !== undefined) keeps = !this.losesEntry(change.name);
      if (keeps) change.apply();
      this.world.count(keeps ? 'disk.entry-kept' : 'disk.entry-lost');
    }
    this.#changes = [];
    const restore = (directory: DirectoryNode): void => {
      directory.entries = new Map(directory.durableEntries);
      for (const node of directory.entries.values()) {
        if (node.kind === 'directory') restore(node);
        else node.linked = true;
      }
    };
    restore(this.#root);
  }

  /** Called before each operation that changes or syncs something; `partly` does a part of it when the process dies there. */
  beforeOperation(process: SimProcess, partly: () => void = () => undefined): void {
    assertAlive(process);
    if (this.#kill === undefined || --this.#kill.operations > 0) return;
    const { kind } = this.#kill;
    this.#kill = undefined;
    partly();
    this.world.count(`disk.killed-in-operation`);
    process.kill(kind);
    assertAlive(process);
  }

  /** How long an asynchronous operation takes. */
  latencyMs(): number {
    if (this.random.chance(this.faults.slow)) {
      this.world.count('disk.slow');
      return this.random.fraction() * SLOW_MS_MAX;
    }
    return OPERATION_MS_MIN + this.random.fraction() * (OPERATION_MS_MAX - OPERATION_MS_MIN);
  }

  // Space

  usedBytes(): number {
    let pages = 0;
    for (const node of this.#orphans) pages += node.content.pageCount;
    for (const { node } of this.files()) pages += node.content.pageCount;
    return pages * PAGE_BYTES;
  }

  /** New pages that still fit; Infinity without a capacity. */
  freePages(): number {
    if (this.#capacityBytes === undefined) return Infinity;
    return Math.max(0, Math.floor((this.#capacityBytes - this.usedBytes()) / PAGE_BYTES));
  }

  freeSpace(): { readonly freeBytes: number; readonly totalBytes: number } {
    const totalBytes = this.#capacityBytes ?? DEFAULT_CAPACITY_BYTES;
    return { freeBytes: Math.max(0, totalBytes - this.usedBytes()), totalBytes };
  }

  // Entries

  lookup(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (node?.kind !== 'directory') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  #file(path: string, operation: string): FileNode {
    const node = this.lookup(path);
    if (node?.kind !== 'file') throw diskError('ENOENT', operation, path, 'no such file');
    return node;
  }

  directory(path: string, operation: string, blamed = path): DirectoryNode {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (node.kind !== 'directory') throw diskError('ENOTDIR', operation, blamed, 'not a directory');
      node = node.entries.get(name);
      if (node === undefined) throw diskError('ENOENT', operation, blamed, 'no such file or directory');
    }
    if (node.kind !== 'directory') throw diskError('ENOTDIR', operation, blamed, 'not a directory');
    return node;
  }

  /** The folder that a path's entry is in, and the entry's name. */
  parentOf(path: string, operation: string): { readonly parent: DirectoryNode; readonly name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw diskError('OTHER', operation, path, 'the root cannot be changed');
    return { parent: this.directory(parts.join('/'), operation, path), name };
  }

  createFile(parent: DirectoryNode, name: string): FileNode {
    const node: FileNode = {
      kind: 'file',
      id: ++this.#nodeIds,
      content: new FileContent(),
      modifiedMs: this.wallMs(),
      openHandles: 0,
      linked: true,
    };
    this.#setEntry(parent, name, node);
    return node;
  }

  createDirectory(parent: DirectoryNode, name: string): DirectoryNode {
    const node = this.#newDirectory();
    this.#setEntry(parent, name, node);
    return node;
  }

  #newDirectory(): DirectoryNode {
    return {
      kind: 'directory',
      id: ++this.#nodeIds,
      entries: new Map(),
      durableEntries: new Map(),
      modifiedMs: this.wallMs(),
    };
  }

  #setEntry(parent: DirectoryNode, name: string, node: Node): void {
    parent.entries.set(name, node);
    parent.modifiedMs = this.wallMs();
    this.#changes.push({ directories: [parent], name, apply: () => parent.durableEntries.set(name, node) });
  }

  unlink(parent: DirectoryNode, name: string): void {
    this.#unlinkNode(parent.entries.get(name));
    parent.entries.delete(name);
    parent.modifiedMs = this.wallMs();
    this.#changes.push({ directories: [parent], name, apply: () => parent.durableEntries.delete(name) });
  }

  /** A file without a name keeps its space until its last handle closes. */
  #unlinkNode(node: Node | undefined): void {
    if (node === undefined) return;
    if (node.kind === 'directory') {
      for (const child of node.entries.values()) this.#unlinkNode(child);
      return;
    }
    node.linked = false;
    if (node.openHandles > 0) this.#orphans.add(node);
  }

  handleClosed(node: FileNode): void {
    node.openHandles--;
    if (node.openHandles === 0) this.#orphans.delete(node);
  }

  move(from: DirectoryNode, fromName: string, to: DirectoryNode, toName: string): void {
    const node = from.entries.get(fromName)!;
    const replaced = to.entries.get(toName);
    if (replaced !== node) this.#unlinkNode(replaced);
    from.entries.delete(fromName);
    to.entries.set(toName, node);
    from.modifiedMs = to.modifiedMs = this.wallMs();
    this.#changes.push({
      directories: from === to ? [from] : [from, to],
      name: toName,
      apply: () => {
        from.durableEntries.delete(fromName);
        to.durableEntries.set(toName, node);
      },
    });
  }

  /** Makes the entries durable; with them those of folders from or to which something was moved. */
  syncEntries(directory: DirectoryNode): void {
    const touched = new Set([directory]);
    for (let before = 0; before !== touched.size;) {
      before = touched.size;
      for (const { directories } of this.#changes) {
        if (directories.some((one) => touched.has(one))) for (const one of directories) touched.add(one);
      }
    }
    this.#changes = this.#changes.filter((change) => {
      if (!change.directories.some((one) => touched.has(one))) return true;
      change.apply();
      return false;
    });
  }

  lock(directory: DirectoryNode, process: SimProcess, path: string): () => void {
    const holder = this.#locks.get(directory);
    if (holder !== undefined) {
      throw diskError(
        'LOCKED',
        'lock',
        path,
        `the folder is in use by another broker (process ${holder.name})`,
      );
    }
    this.#locks.set(directory, process);
    return () => {
      if (this.#locks.get(directory) === process) this.#locks.delete(directory);
    };
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** The disk as one process sees it. */
class ProcessDisk implements Disk {
  readonly #disk: SimDisk;
  readonly #process: SimProcess;

  constructor(disk: SimDisk, process: SimProcess) {
    this.#disk = disk;
    this.#process = process;
  }

  open(path: string, mode: 'read' | 'write' | 'create'): DiskFile {
    assertAlive(this.#process);
    const { parent, name } = this.#disk.parentOf(path, 'open');
    let node = parent.entries.get(name);
    if (node?.kind === 'directory') throw diskError('OTHER', 'open', path, 'EISDIR: it is a directory');
    if (node === undefined) {
      if (mode !== 'create') throw diskError('ENOENT', 'open', path, 'no such file');
      this.#disk.beforeOperation(this.#process);
      node = this.#disk.createFile(parent, name);
    }
    node.openHandles++;
    return new SimDiskFile(this.#disk, this.#process, node, path, mode !== 'read');
  }

  makeDirectory(path: string): void {
    this.#disk.beforeOperation(this.#process);
    const parts = partsOf(path);
    for (let depth = 1; depth <= parts.length; depth++) {
      const { parent, name } = this.#disk.parentOf(parts.slice(0, depth).join('/'), 'makeDirectory');
      const node = parent.entries.get(name);
      if (node === undefined) this.#disk.createDirectory(parent, name);
      else if (node.kind === 'file') {
        const code = depth === parts.length ? 'EEXIST' : 'ENOTDIR';
        throw diskError(code, 'makeDirectory', path, 'a file is in the way');
      }
    }
  }

  list(path: string): string[] {
    assertAlive(this.#process);
    return [...this.#disk.directory(path, 'list').entries.keys()];
  }

  stat(path: string): FileStat | undefined {
    assertAlive(this.#process);
    const node = this.#disk.lookup(path);
    if (node === undefined) return undefined;
    const isDirectory = node.kind === 'directory';
    return {
      sizeBytes: isDirectory ? PAGE_BYTES : node.content.sizeBytes,
      modifiedMs: node.modifiedMs,
      isDirectory,
    };
  }

  rename(from: string, to: string): void {
    this.#disk.beforeOperation(this.#process);
    const source = this.#disk.parentOf(from, 'rename');
    const node = source.parent.entries.get(source.name);
    if (node === undefined) throw diskError('ENOENT', 'rename', from, 'no such file or directory');
    const target = this.#disk.parentOf(to, 'rename');
    const replaced = target.parent.entries.get(target.name);
    if (replaced?.kind === 'directory') {
      if (node.kind === 'file') throw diskError('OTHER', 'rename', from, 'EISDIR: the target is a directory');
      if (replaced.entries.size > 0)
        throw diskError('OTHER', 'rename', from, 'ENOTEMPTY: the target is not empty');
    } else if (replaced !== undefined && node.kind === 'directory') {
      throw diskError('ENOTDIR', 'rename', from, 'the target is not a directory');
    }
    this.#disk.move(source.parent, source.name, target.parent, target.name);
  }

  remove(path: string): void {
    this.#disk.beforeOperation(this.#process);
    const node = this.#disk.lookup(path);
    if (node === undefined) return;
    if (node.kind === 'directory') throw diskError('OTHER', 'remove', path, 'EISDIR: it is a directory');
    const { parent, name } = this.#disk.parentOf(path, 'remove');
    this.#disk.unlink(parent, name);
  }

  removeTree(path: string): void {
    this.#disk.beforeOperation(this.#process);
    if (this.#disk.lookup(path) === undefined) return;
    const { parent, name } = this.#disk.parentOf(path, 'removeTree');
    this.#disk.unlink(parent, name);
  }

  removeAsync(path: string): Promise<void> {
    return this.#later(() => this.remove(path));
  }

  #later(work: () => void): Promise<void> {
    assertAlive(this.#process);
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          work();
          resolve();
        } catch (error) {
          if (this.#process.alive) reject(error);
        }
      };
      this.#disk.world.after(this.#disk.latencyMs(), run, this.#process);
    });
  }

  syncDirectory(path: string): void {
    this.#disk.beforeOperation(this.#process);
    this.#disk.syncEntries(this.#disk.directory(path, 'syncDirectory'));
  }

  /** At the end of the time that it takes: what is changed meanwhile may become durable too, but nobody can know it. */
  syncDirectoryAsync(path: string): Promise<void> {
    return this.#later(() => this.syncDirectory(path));
  }

  freeSpace(path: string): { readonly freeBytes: number; readonly totalBytes: number } {
    assertAlive(this.#process);
    if (this.#disk.lookup(path) === undefined)
      throw diskError('ENOENT', 'freeSpace', path, 'no such file or directory');
    return this.#disk.freeSpace();
  }

  bootId(): string {
    return this.#disk.bootId;
  }

  async lock(directory: string): Promise<DirectoryLock> {
    assertAlive(this.#process);
    const free = this.#disk.lock(this.#disk.directory(directory, 'lock'), this.#process, directory);
    return { release: async () => free() };
  }
}

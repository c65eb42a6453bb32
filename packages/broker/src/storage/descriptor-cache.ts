import { Bag, type BagEntry } from '../bag.ts';
import type { Disk, DiskFile } from '../platform/disk.ts';
import { IndexPageCache } from './index-pages.ts';

/**
 * Keeps at most `openFilesMax` files open, by the clock algorithm: a file that was used since the hand last passed is spared once.
 * Asynchronous calls pin their file, so that what they use is never closed under them; pinned files may exceed the limit.
 */
export class DescriptorCache {
  readonly disk: Disk;
  /** What was read of the index files among them. */
  readonly indexPages = new IndexPageCache();
  readonly #openFilesMax: number;
  readonly #open = new Bag<FileHandle>();
  #hand = 0;
  #removals = 0;

  constructor(disk: Disk, openFilesMax: number) {
    this.disk = disk;
    this.#openFilesMax = openFilesMax;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  get openFilesMax(): number {
    return this.#openFilesMax;
  }

  /** Called by a handle before it opens its file. */
  admit(handle: FileHandle): void {
    if (this.#open.size >= this.#openFilesMax) this.#evictOne();
    this.#open.add(handle);
  }

  /** Called by a handle that has closed its file. */
  forget(handle: FileHandle): void {
    this.#open.delete(handle);
  }

  /** A number for the name of a removed file. */
  nextRemoval(): number {
    return ++this.#removals;
  }

  closeAll(): void {
    for (const handle of this.#open.entries.slice()) handle.close();
  }

  #evictOne(): void {
    // Two rounds: the first may only clear marks.
    const handles = this.#open.entries;
    for (let steps = 2 * handles.length; steps > 0; steps--) {
      this.#hand = (this.#hand + 1) % handles.length;
      const handle = handles[this.#hand]!;
      if (!handle.spared()) return handle.close();
    }
  }
}

/** A file that is opened when it is needed, and may be closed at any time in between. */
export class FileHandle implements BagEntry {
  /** Among the open ones. */
  bagIndex = -1;
  readonly #cache: DescriptorCache;
  #path: string;
  #file: DiskFile | undefined;
  #pins = 0;
  #used = false;

  constructor(cache: DescriptorCache, path: string) {
    this.#cache = cache;
    this.#path = path;
  }

  get path(): string {
    return this.#path;
  }

  get disk(): Disk {
    return this.#cache.disk;
  }

  get indexPages(): IndexPageCache {
    return this.#cache.indexPages;
  }

  /** The open file: to be used at once, or pinned. Throws DiskError. */
  file(): DiskFile {
    this.#used = true;
    return this.#file ?? this.#openAs('write');
  }

  /** Creates the file, or empties one that is left from before a crash. */
  create(): DiskFile {
    this.close();
    const file = this.#openAs('create');
    if (file.size() > 0) file.truncate(0);
    return file;
  }

  #openAs(mode: 'write' | 'create'): DiskFile {
    const file = this.#cache.disk.open(this.#path, mode);
    this.#file = file;
    this.#cache.admit(this);
    return file;
  }

  /** Runs an asynchronous call on the file, which stays open until it has settled. */
  async pinned<T>(call: (file: DiskFile) => Promise<T>): Promise<T> {
    const file = this.file();
    this.#pins++;
    try {
      return await call(file);
    } finally {
      this.#pins--;
    }
  }

  /** True if the cache must not close it now; takes away the mark of its last use. */
  spared(): boolean {
    const used = this.#used;
    this.#used = false;
    return used || this.#pins > 0;
  }

  close(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    this.#cache.forget(this);
    file.close();
  }

  /** The file has, or is about to get, another name; an open descriptor goes on to serve. */
  renamed(path: string): void {
    this.#path = path;
  }
}

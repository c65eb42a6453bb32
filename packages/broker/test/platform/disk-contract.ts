import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { DiskError, type Disk } from '../../src/platform/disk.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** An empty folder. */
  readonly root: string;
  /** Lets the time pass in which the promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): void;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (array: Uint8Array): string => Buffer.from(array).toString();

/** What every Disk keeps to. */
export function testDisk(name: string, make: () => DiskUnderTest): void {
  describe(`${name}, as a disk`, () => {
    let under: DiskUnderTest;
    let disk: Disk;
    let path: (name: string) => string;

    beforeEach(() => {
      under = make();
      disk = under.disk;
      path = (entry) => `${under.root}/${entry}`;
    });
    afterEach(() => under.close());

    const readAll = (entry: string): string => {
      const file = disk.open(path(entry), 'read');
      const content = new Uint8Array(file.size());
      assert.equal(file.read(content, 0), content.length);
      file.close();
      return text(content);
    };

    const create = (entry: string, content: string): void => {
      const file = disk.open(path(entry), 'create');
      file.write([bytes(content)], 0);
      file.close();
    };

    it('opens what is there, and creates only when asked', () => {
      assert.throws(() => disk.open(path('f'), 'read'), {
        name: 'DiskError',
        code: 'ENOENT',
        operation: 'open',
      });
      assert.throws(() => disk.open(path('f'), 'write'), { code: 'ENOENT' });
      assert.throws(() => disk.open(path('none/f'), 'create'), { code: 'ENOENT' });
      disk.open(path('f'), 'create').close();
      disk.open(path('f'), 'create').close();
      assert.equal(disk.open(path('f'), 'read').size(), 0);
      assert.throws(() => disk.open(under.root, 'write'), DiskError);
    });

    it('gathers buffers into one write, empty ones among them', () => {
      const file = disk.open(path('f'), 'create');
      file.write([bytes('ab'), bytes(''), bytes('cd'), bytes('')], 0);
      file.write([bytes('XY')], 3);
      file.write([], 0);
      file.write([bytes('')], 100);
      assert.equal(readAll('f'), 'abcXY');
    });

    it('writes more buffers than the system takes at once', async () => {
      const buffers = Array.from({ length: 2500 }, (_, index) => bytes(String(index % 10)));
      const expected = text(Buffer.concat(buffers));
      const file = disk.open(path('f'), 'create');
      file.write(buffers, 0);
      assert.equal(readAll('f'), expected);
      await under.settle(file.writeAsync(buffers, 2500));
      assert.equal(readAll('f'), expected + expected);
    });

    it('reads short only at the end', async () => {
      create('f', '0123456789');
      const file = disk.open(path('f'), 'read');
      for (const read of [
        file.read.bind(file),
        (t: Uint8Array, p: number) => under.settle(file.readAsync(t, p)),
      ]) {
        const target = new Uint8Array(4);
        assert.equal(await read(target, 3), 4);
        assert.equal(text(target), '3456');
        assert.equal(await read(target, 8), 2);
        assert.equal(text(target), '8956');
        assert.equal(await read(target, 10), 0);
        assert.equal(await read(target, 1000), 0);
      }
    });

    it('fills a gap with zeros', () => {
      const file = disk.open(path('f'), 'create');
      file.write([bytes('x')], 5000);
      const content = new Uint8Array(6000).fill(1);
      assert.equal(file.read(content, 0), 5001);
      assert.ok(content.subarray(0, 5000).every((byte) => byte === 0));
    });

    it('does not write to what is open for reading', async () => {
      create('f', 'abc');
      const file = disk.open(path('f'), 'read');
      assert.throws(() => file.write([bytes('x')], 0), { code: 'OTHER', operation: 'write' });
      await assert.rejects(under.settle(file.writeAsync([bytes('x')], 0)), {
        code: 'OTHER',
        operation: 'write',
      });
      assert.equal(readAll('f'), 'abc');
    });

    it('truncates, and shows zeros when the file grows again', () => {
      create('f', 'abcdef');
      const file = disk.open(path('f'), 'write');
      file.truncate(2);
      file.truncate(4);
      assert.equal(readAll('f'), 'ab\0\0');
    });

    it('preallocates zeros behind what is there', () => {
      create('f', 'abc');
      const file = disk.open(path('f'), 'write');
      file.preallocate(2_500_000);
      assert.equal(file.size(), 2_500_000);
      const content = new Uint8Array(2_500_000);
      file.read(content, 0);
      assert.equal(text(content.subarray(0, 3)), 'abc');
      assert.ok(content.subarray(3).every((byte) => byte === 0));
      file.preallocate(10);
      assert.equal(file.size(), 2_500_000);
    });

    it('syncs files and folders', async () => {
      create('f', 'abc');
      const file = disk.open(path('f'), 'write');
      file.datasync();
      await under.settle(file.datasyncAsync());
      disk.syncDirectory(under.root);
      assert.throws(() => disk.syncDirectory(path('none')), { code: 'ENOENT' });
      assert.throws(() => disk.syncDirectory(path('f')), { code: 'ENOTDIR' });
    });

    it('finishes what was under way when a file is closed, and refuses what comes later', async () => {
      const file = disk.open(path('f'), 'create');
      const written = file.writeAsync([bytes('abc')], 0);
      file.close();
      file.close();
      await under.settle(written);
      assert.equal(readAll('f'), 'abc');
      assert.throws(() => file.size(), { code: 'OTHER' });
      assert.throws(() => file.write([bytes('x')], 0), { code: 'OTHER' });
      await assert.rejects(under.settle(file.readAsync(new Uint8Array(1), 0)), { code: 'OTHER' });
      await assert.rejects(under.settle(file.datasyncAsync()), { code: 'OTHER' });
    });

    it('makes folders with their parents, again without complaint, but not over a file', () => {
      disk.makeDirectory(path('a/b/c'));
      disk.makeDirectory(path('a/b/c'));
      create('a/f', '');
      assert.throws(() => disk.makeDirectory(path('a/f')), { code: 'EEXIST' });
      assert.throws(() => disk.makeDirectory(path('a/f/g')), { code: 'ENOTDIR' });
      assert.deepEqual(disk.list(path('a')).sort(), ['b', 'f']);
      assert.throws(() => disk.list(path('none')), { code: 'ENOENT' });
      assert.throws(() => disk.list(path('a/f')), { code: 'ENOTDIR' });
    });

    it('says what a path is', () => {
      create('f', 'abc');
      assert.equal(disk.stat(path('f'))?.sizeBytes, 3);
      assert.equal(disk.stat(path('f'))?.isDirectory, false);
      assert.equal(disk.stat(under.root)?.isDirectory, true);
      assert.equal(disk.stat(path('none')), undefined);
      assert.ok(disk.stat(path('f'))!.modifiedMs > Date.UTC(2020, 0, 1));
    });

    it('renames over a file, moves folders with what is in them, and refuses to replace a full one', () => {
      create('a', 'new');
      create('b', 'old');
      const old = disk.open(path('b'), 'read');
      disk.rename(path('a'), path('b'));
      assert.equal(readAll('b'), 'new');
      assert.equal(disk.stat(path('a')), undefined);
      assert.equal(old.size(), 3);
      assert.throws(() => disk.rename(path('a'), path('c')), { code: 'ENOENT' });
      disk.makeDirectory(path('d'));
      create('d/f', 'inside');
      disk.rename(path('d'), path('e'));
      assert.equal(readAll('e/f'), 'inside');
      disk.makeDirectory(path('g'));
      assert.throws(() => disk.rename(path('g'), path('e')), DiskError);
      assert.throws(() => disk.rename(path('b'), path('e')), DiskError);
    });

    it('removes files, whose open descriptors keep working, and missing ones', async () => {
      create('f', 'abc');
      const file = disk.open(path('f'), 'write');
      disk.remove(path('f'));
      disk.remove(path('f'));
      file.write([bytes('d')], 3);
      assert.equal(file.size(), 4);
      assert.deepEqual(disk.list(under.root), []);
      create('g', '');
      await under.settle(disk.removeAsync(path('g')));
      await under.settle(disk.removeAsync(path('g')));
      assert.deepEqual(disk.list(under.root), []);
      disk.makeDirectory(path('d'));
      assert.throws(() => disk.remove(path('d')), DiskError);
    });

    it('removes whole trees', () => {
      disk.makeDirectory(path('a/b'));
      create('a/b/f', 'x');
      disk.removeTree(path('a'));
      disk.removeTree(path('a'));
      assert.deepEqual(disk.list(under.root), []);
    });

    it('knows its space and its boot', () => {
      const { freeBytes, totalBytes } = disk.freeSpace(under.root);
      assert.ok(freeBytes > 0 && freeBytes <= totalBytes);
      assert.throws(() => disk.freeSpace(path('none')), { code: 'ENOENT' });
      assert.ok(disk.bootId().length > 0);
      assert.equal(disk.bootId(), disk.bootId());
    });

    it('lets one in per folder, and the next when it is released', async () => {
      disk.makeDirectory(path('a'));
      disk.makeDirectory(path('b'));
      const lock = await under.settle(disk.lock(path('a')));
      const other = await under.settle(disk.lock(path('b')));
      await assert.rejects(under.settle(disk.lock(path('a'))), (error: DiskError) => {
        assert.equal(error.code, 'LOCKED');
        assert.match(error.message, /in use by another broker \(process \S+/);
        return true;
      });
      await under.settle(lock.release());
      await under.settle((await under.settle(disk.lock(path('a')))).release());
      await under.settle(other.release());
      await assert.rejects(under.settle(disk.lock(path('none'))), { code: 'ENOENT' });
    });

    it('lets exactly one in of many at the same time', async () => {
      const attempts = Array.from({ length: 6 }, () => disk.lock(under.root));
      const results = await under.settle(Promise.allSettled(attempts));
      const winners = results.filter((result) => result.status === 'fulfilled');
      assert.equal(winners.length, 1);
      await under.settle(winners[0]!.value.release());
    });

    it('holds what a plain array of bytes would hold, whatever is written and cut', () => {
      const position = fc.nat({ max: 10_000 });
      const step = fc.oneof(
        fc.record({ write: fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 4 }), at: position }),
        fc.record({ truncate: position }),
        fc.record({ preallocate: position }),
      );
      let files = 0;
      const property = fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const file = disk.open(path(`f${files++}`), 'create');
        let model = Buffer.alloc(0);
        const grow = (size: number): void => {
          if (size > model.length) model = Buffer.concat([model, Buffer.alloc(size - model.length)]);
        };
        for (const one of steps) {
          if ('truncate' in one) {
            file.truncate(one.truncate);
            model = model.subarray(0, one.truncate);
            grow(one.truncate);
          } else if ('preallocate' in one) {
            file.preallocate(one.preallocate);
            grow(one.preallocate);
          } else {
            file.write(one.write, one.at);
            const joined = Buffer.concat(one.write);
            if (joined.length > 0) grow(one.at + joined.length);
            model = Buffer.from(model);
            joined.copy(model, one.at);
          }
        }
        const content = new Uint8Array(file.size() + 1);
        assert.equal(file.read(content, 0), model.length);
        assert.ok(model.equals(content.subarray(0, model.length)));
        file.close();
      });
      fc.assert(property, { numRuns: 60 });
    });
  });
}

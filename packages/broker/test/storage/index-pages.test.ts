import assert from 'node:assert/strict';
import { test } from 'node:test';
import { int32At, putInt32 } from '../../src/storage/index-file.ts';
import { IndexPageCache, IndexPages } from '../../src/storage/index-pages.ts';

const ENTRY_BYTES = [8, 12];

/** A file of entries whose first field is their value. */
class FakeIndex {
  readonly values: number[] = [];
  readonly entryBytes: number;
  readonly pages: IndexPages;
  reads = 0;

  constructor(cache: IndexPageCache, entryBytes: number) {
    this.entryBytes = entryBytes;
    this.pages = new IndexPages(cache, entryBytes, (target, first) => {
      this.reads++;
      const count = Math.min(target.length / entryBytes, this.values.length - first);
      for (let index = 0; index < count; index++)
        putInt32(target, index * entryBytes, this.values[first + index]!);
      return count;
    });
  }

  at(index: number): number {
    const { bytes, at } = this.pages.find(index, this.values.length);
    return int32At(bytes, at);
  }

  cut(entries: number): void {
    this.values.length = entries;
    this.pages.forgetFrom(entries);
  }
}

/** A fixed sequence of numbers below `bound`. */
function sequence(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % bound;
  };
}

test('entries are as they are in the file, over growth, cuts and more pages than are kept', () => {
  const cache = new IndexPageCache();
  const next = sequence(7);
  const files = Array.from({ length: 60 }, (_, index) => new FakeIndex(cache, ENTRY_BYTES[index % 2]!));
  let value = 0;
  for (let step = 0; step < 60_000; step++) {
    const file = files[next(files.length)]!;
    const action = next(10);
    if (action < 3) for (let count = next(300); count >= 0; count--) file.values.push(++value);
    else if (action === 3 && next(4) === 0) file.cut(next(file.values.length + 1));
    else if (file.values.length > 0) {
      const index = next(file.values.length);
      assert.equal(file.at(index), file.values[index]);
    }
  }
  const pages = files.reduce((sum, { values }) => sum + Math.ceil(values.length / 512), 0);
  assert.ok(pages > 300, `only ${pages} pages: nothing had to go`);
});

test('a search in pages that are in memory reads nothing', () => {
  const file = new FakeIndex(new IndexPageCache(), 8);
  for (let index = 0; index < 10_000; index++) file.values.push(index);
  for (let index = 0; index < 10_000; index++) file.at(index);
  assert.equal(file.reads, Math.ceil(10_000 / 512));
  for (let index = 0; index < 10_000; index++) file.at(index);
  assert.equal(file.reads, Math.ceil(10_000 / 512));
});

test('what is missing in a file that was cut from outside counts as zeros, and is looked for again', () => {
  const file = new FakeIndex(new IndexPageCache(), 8);
  for (let index = 1; index <= 100; index++) file.values.push(index);
  const missing = file.values.splice(50);
  assert.equal(int32At(file.pages.find(60, 100).bytes, file.pages.find(60, 100).at), 0);
  file.values.push(...missing);
  assert.equal(file.at(60), 61);
});

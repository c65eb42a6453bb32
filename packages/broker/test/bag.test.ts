import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';

import { Bag, type BagEntry } from '../src/bag.ts';

const MIB = 1024 * 1024;

class Entry implements BagEntry {
  bagIndex = -1;
  readonly payload = new Array<number>(100).fill(0);
}

test('a bag holds what a set would hold', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(7)));
  fc.assert(
    fc.property(steps, (all) => {
      const entries = Array.from({ length: 8 }, () => new Entry());
      const bag = new Bag<Entry>();
      const model = new Set<Entry>();
      for (const [adds, index] of all) {
        const entry = entries[index]!;
        if (!adds) assert.equal(bag.delete(entry), model.delete(entry));
        else if (model.has(entry)) assert.throws(() => bag.add(entry), /already/);
        else {
          bag.add(entry);
          model.add(entry);
        }
        assert.equal(bag.size, model.size);
        assert.deepEqual(new Set(bag.entries), model);
        for (const one of entries) assert.equal(one.bagIndex >= 0, model.has(one));
      }
    }),
  );
});

test('what has left a bag is gone with the next collection of the young generation', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  const bag = new Bag<Entry>();
  const inside: Entry[] = [];
  collect();
  for (let round = 0; round < 60; round++) {
    for (let count = 0; count < 500; count++) {
      const entry = new Entry();
      bag.add(entry);
      inside.push(entry);
      if (inside.length > 20) bag.delete(inside.shift()!);
    }
    collect({ type: 'minor' });
  }
  // Twice: what survives once is still young.
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  const afterMinor = process.memoryUsage().heapUsed;
  collect();
  const keptForNothing = afterMinor - process.memoryUsage().heapUsed;
  // 30,000 entries of about 900 bytes came and went; in a Set 12 MiB of them outlive their use.
  assert.ok(keptForNothing < 2 * MIB, `${keptForNothing} bytes of entries outlived them`);
});

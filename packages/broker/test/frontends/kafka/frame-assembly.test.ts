import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { BufferPool } from '../../../src/frontends/kafka/buffer-pool.ts';
import { ByteBudget } from '../../../src/frontends/kafka/byte-budget.ts';
import {
  FIRST_STEP_BYTES,
  FrameMemory,
  type FrameAssembly,
} from '../../../src/frontends/kafka/frame-assembly.ts';

const MIB = 1024 * 1024;

function memoryOf(bytesMax: number) {
  const budget = new ByteBudget(bytesMax);
  return { budget, memory: new FrameMemory(budget, new BufferPool({ retainedBytesMax: 32 * MIB })) };
}

/** Feeds all of `bytes`; asserts that there was room. */
function feed(frame: FrameAssembly, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    assert.ok(frame.hasRoom(() => assert.fail('it had room')));
    at += frame.fill(bytes, at);
  }
}

test('a frame holds memory for what has come of it, not for what it announces', () => {
  const { budget, memory } = memoryOf(256 * MIB);
  const frame = memory.begin(100 * MIB, 0);
  assert.equal(budget.usedBytes, 0);
  feed(frame, new Uint8Array(1));
  assert.equal(budget.usedBytes, FIRST_STEP_BYTES);
  feed(frame, new Uint8Array(FIRST_STEP_BYTES));
  assert.equal(budget.usedBytes, 4 * FIRST_STEP_BYTES);
  frame.release();
  frame.release();
  assert.equal(budget.usedBytes, 0);
});

test('a connection that has sent as large a frame gets all of the next at once, and no more than the frame', () => {
  const { budget, memory } = memoryOf(256 * MIB);
  const frame = memory.begin(MIB, MIB);
  feed(frame, new Uint8Array(1));
  assert.equal(budget.usedBytes, MIB);
  const small = memory.begin(1000, MIB);
  feed(small, new Uint8Array(1000));
  assert.equal(budget.usedBytes, MIB + 1000);
  assert.equal(small.isWhole, true);
});

test('a frame keeps its bytes over all steps', () => {
  const { memory } = memoryOf(256 * MIB);
  const bytes = Uint8Array.from({ length: 3 * MIB }, (_, index) => index % 251);
  const frame = memory.begin(bytes.length, 0);
  for (let at = 0; at < bytes.length; at += 10_007) feed(frame, bytes.subarray(at, at + 10_007));
  assert.deepEqual(Buffer.from(frame.bytes.subarray(0, bytes.length)).equals(bytes), true);
});

test('one that leaves the line while it waits leaves nothing behind', () => {
  const { budget, memory } = memoryOf(2 * FIRST_STEP_BYTES);
  const frames = [1, 2, 3].map(() => memory.begin(MIB, 0));
  for (const frame of frames.slice(0, 2)) feed(frame, new Uint8Array(FIRST_STEP_BYTES));
  assert.equal(
    frames[2]!.hasRoom(() => assert.fail('it has left')),
    false,
  );
  assert.equal(frames[0]!.hasRoom(assert.fail), true, 'one of them goes beyond the budget');
  assert.equal(
    frames[1]!.hasRoom(() => assert.fail('it has left')),
    false,
  );
  assert.equal(memory.underPressure, true);
  frames[2]!.release();
  frames[1]!.release();
  frames[0]!.release();
  assert.deepEqual([budget.usedBytes, budget.waiting, memory.underPressure], [0, 0, false]);
});

test('whatever frames come together, each becomes whole, and the budget is exceeded by one frame at most', () => {
  const frame = fc.record({
    bytes: fc.integer({ min: 1, max: 20 * FIRST_STEP_BYTES }),
    chunk: fc.integer({ min: 1000, max: 5 * FIRST_STEP_BYTES }),
    known: fc.constantFrom(0, MIB),
    aborts: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 24 }),
      fc.infiniteStream(fc.nat()),
      (wanted, steps, choose) => {
        const bytesMax = steps * FIRST_STEP_BYTES;
        const { budget, memory } = memoryOf(bytesMax);
        const largest = Math.max(...wanted.map(({ bytes }) => bytes));
        const open = wanted.map((spec) => ({
          ...spec,
          frame: memory.begin(spec.bytes, spec.known),
          waits: false,
        }));
        const ready: (typeof open)[number][] = [...open];
        let left = open.length;
        while (left > 0) {
          assert.ok(ready.length > 0, 'all wait for each other');
          const index = choose.next().value % ready.length;
          const one = ready[index]!;
          const finish = (): void => {
            ready.splice(ready.indexOf(one), 1);
            left--;
            one.frame.release();
          };
          const hasRoom = one.frame.hasRoom(() => void ready.push(one));
          assert.ok(budget.usedBytes <= bytesMax + largest);
          if (!hasRoom) {
            ready.splice(index, 1);
            continue;
          }
          one.frame.fill(new Uint8Array(Math.min(one.chunk, one.bytes - one.frame.filledBytes)), 0);
          if (one.frame.isWhole || (one.aborts && one.frame.filledBytes > one.bytes / 2)) finish();
        }
        assert.deepEqual([budget.usedBytes, budget.waiting], [0, 0]);
      },
    ),
  );
});

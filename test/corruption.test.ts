import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Broker } from 'polylog';
import { kcatOffset, kcatProduce, kcatRead } from './clients/kcat.ts';
import { requirePeer } from './peers/peers.ts';
import { run } from './peers/process.ts';

const { skip } = await requirePeer('kcat');

/** baseOffset (8 bytes) and batchLength (4) precede what batchLength counts. */
const BATCH_LENGTH_AT = 8;
const BATCH_OVERHEAD_BYTES = 12;

const DAMAGED_READ_MS = 2500;

describe('a bit that flipped on the disk', { skip }, () => {
  test('makes its batch unreadable, with error 56; the rest is served, and nothing is cut', async () => {
    const data = await mkdtemp(path.join(tmpdir(), 'polylog-flip-'));
    try {
      let broker = await Broker.start({ data });
      for (const value of ['a', 'b', 'c']) await kcatProduce(broker.kafkaAddress, 'flip', [value]);
      await broker.stop();

      const file = path.join(data, 'flip-0', '00000000000000000000.log');
      const bytes = await readFile(file);
      const second = bytes.readInt32BE(BATCH_LENGTH_AT) + BATCH_OVERHEAD_BYTES;
      const lastOfSecond = second + bytes.readInt32BE(second + BATCH_LENGTH_AT) + BATCH_OVERHEAD_BYTES - 1;
      bytes[lastOfSecond]! ^= 1;
      await writeFile(file, bytes);

      broker = await Broker.start({ data, logLevel: 'silent' });
      const address = broker.kafkaAddress;
      const first = await run('kcat', ['-C', '-q', '-b', address, '-t', 'flip', '-o', '0', '-c', '1']);
      assert.equal(first.stdout, 'a\n');
      // librdkafka asks again and again: what it is told stands in its debug output.
      await assert.rejects(
        run('kcat', ['-C', '-b', address, '-t', 'flip', '-o', '1', '-c', '1', '-d', 'fetch,topic'], {
          deadlineMs: DAMAGED_READ_MS,
        }),
        /Disk error when trying to access log file/,
      );
      const after = await kcatRead(address, 'flip', { from: '2' });
      assert.deepEqual(
        after.map(({ offset, value }) => [offset, value]),
        [[2, 'c']],
      );

      await kcatProduce(address, 'flip', ['d']);
      assert.equal(await kcatOffset(address, 'flip', -1), 4);
      await broker.stop();
      const kept = await readFile(file);
      assert.ok(kept.length > bytes.length && kept.subarray(0, bytes.length).equals(bytes));
    } finally {
      await rm(data, { recursive: true, force: true });
    }
  });
});

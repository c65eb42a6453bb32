import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DecompressionLimitError, MalformedError } from '@polylog/bytes';
import { buildBatch, readBatchHeader, type NewRecord } from '@polylog/record';
import type { Compute } from '../../src/platform/compute.ts';

export interface ComputeUnderTest {
  readonly compute: Compute;
  settle<T>(promise: Promise<T>): Promise<T>;
}

export const BYTES_MAX = 10_000_000;

export function recordsOf(
  count: number,
  valueBytes: number,
  key: Uint8Array | null = Buffer.from('k'),
): NewRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    key,
    value: Buffer.alloc(valueBytes, index),
    timestamp: 1000 + index,
  }));
}

/** What every Compute keeps to, for batches done in place and in a worker. */
export function testCompute(name: string, make: () => ComputeUnderTest): void {
  describe(`${name}, as compute`, () => {
    let under: ComputeUnderTest;
    beforeEach(() => {
      under = make();
    });
    afterEach(() => under.settle(under.compute.close()));

    it('names the records whose timestamps are out of bounds', async () => {
      const batch = buildBatch({ records: recordsOf(4, 100) });
      const options = { requireKeys: true, bytesMax: BYTES_MAX, timestampMin: 1001, timestampMax: 1002 };
      const verdict = await under.settle(under.compute.checkRecords(batch, options));
      assert.equal(verdict.ok, false);
      assert.deepEqual([verdict.reason, verdict.failedIndexes], ['timestamp', [0, 3]]);
    });

    const sizes = { 'a small batch': recordsOf(3, 100), 'a large batch': recordsOf(300, 1000) };

    for (const [what, records] of Object.entries(sizes)) {
      it(`rewrites ${what}, and leaves the original as it was`, async () => {
        const batch = Buffer.from(buildBatch({ records }));
        const before = Buffer.from(batch);
        const working = under.compute.rewriteBatch(batch, {
          codec: 'zstd',
          logAppendTimeMs: 5555,
          bytesMax: BYTES_MAX,
        });
        assert.ok(batch.equals(before));
        batch.fill(0xdb);
        const rewritten = await under.settle(working);
        assert.ok(rewritten.length < before.length);
        assert.equal(readBatchHeader(rewritten).maxTimestamp, 5555);
        const plain = { codec: 'none', bytesMax: BYTES_MAX } as const;
        const again = await under.settle(under.compute.rewriteBatch(rewritten, plain));
        assert.equal(readBatchHeader(again).recordCount, records.length);
        assert.equal(again.length, before.length);
      });

      it(`checks the records of ${what}`, async () => {
        const options = { requireKeys: true, bytesMax: BYTES_MAX };
        const good = buildBatch({ records, codec: 'gzip' });
        assert.deepEqual(await under.settle(under.compute.checkRecords(good, options)), { ok: true });
        const last = { key: null, value: Buffer.alloc(1), timestamp: 1 };
        const verdict = await under.settle(
          under.compute.checkRecords(buildBatch({ records: [...records, last] }), options),
        );
        assert.deepEqual(verdict.ok || [verdict.reason, verdict.failedIndexes], [
          'missing-key',
          [records.length],
        ]);
        const broken = buildBatch({ records });
        broken.fill(0xff, 61, 71);
        const second = await under.settle(under.compute.checkRecords(broken, options));
        assert.equal(second.ok || second.reason, 'malformed');
      });

      it(`rejects with the error of the job, for ${what}`, async () => {
        const batch = buildBatch({ records, codec: 'gzip' });
        const limited = under.compute.rewriteBatch(batch, { codec: 'none', bytesMax: 50 });
        await assert.rejects(under.settle(limited), DecompressionLimitError);
        const check = under.compute.checkRecords(batch, { requireKeys: false, bytesMax: 50 });
        const verdict = await under.settle(check);
        assert.equal(verdict.ok || verdict.reason, 'too-large');
        batch.fill(0xff, 61);
        const broken = under.compute.rewriteBatch(batch, { codec: 'none', bytesMax: BYTES_MAX });
        await assert.rejects(under.settle(broken), MalformedError);
      });
    }

    it('does not stumble over a small batch that expands a thousandfold', async () => {
      const bomb = buildBatch({ records: recordsOf(1, 9_000_000), codec: 'zstd' });
      assert.ok(bomb.length < 16 * 1024);
      const checked = under.compute.checkRecords(bomb, { requireKeys: true, bytesMax: BYTES_MAX });
      assert.deepEqual(await under.settle(checked), { ok: true });
      const limited = under.compute.checkRecords(bomb, { requireKeys: true, bytesMax: 1_000_000 });
      const verdict = await under.settle(limited);
      assert.equal(verdict.ok || verdict.reason, 'too-large');
    });

    it('refuses work after its close', async () => {
      const batch = buildBatch({ records: recordsOf(300, 1000) });
      const working = under.compute.rewriteBatch(batch, { codec: 'zstd', bytesMax: BYTES_MAX });
      const rejected = assert.rejects(under.settle(Promise.resolve(working)), {
        name: 'ComputeError',
        code: 'CLOSED',
      });
      await under.compute.close();
      await rejected;
      const late = under.compute.rewriteBatch(batch, { codec: 'zstd', bytesMax: BYTES_MAX });
      await assert.rejects(under.settle(late), { name: 'ComputeError', code: 'CLOSED' });
    });
  });
}

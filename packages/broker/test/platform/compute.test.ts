import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildBatch } from '@polylog/record';
import { NodeCompute } from '../../src/platform/node/compute.ts';
import { BYTES_MAX, recordsOf, testCompute } from './compute-contract.ts';

testCompute('Node', () => ({ compute: new NodeCompute(), settle: (promise) => promise }));

/** A worker that dies over its first job. */
const CRASHING = new URL(
  `data:text/javascript,${encodeURIComponent("import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => { throw new Error('a bug'); });")}`,
);

describe('compute on Node', () => {
  it('rejects what a crashed worker had, and goes on with another', async () => {
    const compute = new NodeCompute({ workerUrl: CRASHING });
    const batch = buildBatch({ records: recordsOf(300, 1000) });
    for (let round = 0; round < 2; round++) {
      const jobs = [1, 2].map(() => compute.checkRecords(batch, { requireKeys: true, bytesMax: BYTES_MAX }));
      for (const result of await Promise.allSettled(jobs)) {
        assert.equal(result.status, 'rejected');
        assert.equal((result.reason as { code: string }).code, 'CRASHED');
        assert.match(String((result.reason as Error).cause), /a bug/);
      }
    }
    await compute.close();
  });

  it('refuses more than may wait', async () => {
    const compute = new NodeCompute({ waitingBytesMax: 400_000 });
    const batch = buildBatch({ records: recordsOf(100, 1000) });
    const options = { requireKeys: true, bytesMax: BYTES_MAX };
    const jobs = [1, 2, 3, 4].map(() => compute.checkRecords(batch, options));
    const results = await Promise.allSettled(jobs);
    const codes = results.map((one) =>
      one.status === 'fulfilled' ? 'ok' : (one.reason as { code: string }).code,
    );
    assert.deepEqual(codes, ['ok', 'ok', 'ok', 'BUSY']);
    await compute.close();
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis } from '@polylog/kafka-protocol';

import { batchOf, fetchBody, produceBody, world } from './harness.ts';

test('a batch that was produced is fetched', async () => {
  const { connect, broker, errors } = await world();
  broker.add('orders');
  const client = await connect();
  const produced = await client.call(apis.produce, 9, produceBody('orders', batchOf(['a', 'b'])));
  assert.equal(produced.responses[0]!.partitionResponses[0]!.errorCode, 0);
  assert.equal(produced.responses[0]!.partitionResponses[0]!.baseOffset, 0);
  const fetched = await client.call(apis.fetch, 12, fetchBody([{ topic: 'orders', offset: 0 }]));
  const partition = fetched.responses[0]!.partitions[0]!;
  assert.equal(partition.highWatermark, 2);
  assert.ok(Buffer.from(partition.records!).includes('a'));
  assert.deepEqual(errors, []);
});

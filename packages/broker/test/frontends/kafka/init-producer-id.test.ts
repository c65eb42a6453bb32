import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { initProducerId } from '@polylog/kafka-protocol';

import { AdminClient } from './admin-client.ts';

describe('InitProducerId', () => {
  it('gives ids that nobody had, also to those who have one', async () => {
    const client = await AdminClient.connect();
    const ids = new Set<number>();
    for (let version = 0; version <= 5; version++) {
      const known = version >= 3 ? { producerId: 7, producerEpoch: 3 } : {};
      const body = await client.call(initProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 1,
        ...known,
      });
      assert.deepEqual([body.errorCode, body.producerEpoch], [0, 0]);
      ids.add(body.producerId);
    }
    assert.equal(ids.size, 6);
  });

  it('refuses halves of an identity', async () => {
    const client = await AdminClient.connect();
    const code = async (body: object): Promise<number> => {
      const response = await client.call(initProducerId, 4, {
        transactionalId: null,
        transactionTimeoutMs: 1,
        ...body,
      });
      assert.equal(response.producerId, -1);
      return response.errorCode;
    };
    assert.equal(await code({ transactionalId: 'tx', producerId: 5 }), 42);
    assert.equal(await code({ producerId: 5 }), 42);
    assert.equal(await code({ producerEpoch: 5 }), 42);
    assert.equal(await code({ producerId: -2, producerEpoch: -2 }), 42);
  });
});

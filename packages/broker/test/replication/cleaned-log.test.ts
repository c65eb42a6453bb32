import assert from 'node:assert/strict';
import { it } from 'node:test';
import { buildBatch, fillerBatch, readBatchHeader } from '@polylog/record';
import { FakeLog } from './fake-log.ts';
import { bench } from './helpers.ts';

it('a follower that lags gets what follows its end, also where the leader has one filler over it', () => {
  const log = new FakeLog();
  const last = buildBatch({
    baseOffset: 10,
    leaderEpoch: 3,
    records: [{ key: null, value: null, timestamp: 1 }],
  });
  log.append([fillerBatch({ baseOffset: 0, lastOffset: 9, leaderEpoch: 3 }), last], 0);
  log.sync();
  const { partition } = bench(log);
  partition.applyRecord({
    leader: 1,
    leaderEpoch: 3,
    partitionEpoch: 2,
    replicas: [1, 2],
    isr: [{ id: 1, brokerEpoch: 1 }],
    elr: [],
  });
  const response = partition.replicaFetch({
    topicId: partition.topicId,
    partition: partition.index,
    replicaId: 2,
    brokerEpoch: 1,
    leaderEpoch: 3,
    fetchOffset: 4,
    lastFetchedEpoch: -1,
    durableOffset: 4,
    logStartOffset: 0,
    bytesMax: 10_000,
    waitMsMax: 0,
  });
  assert.equal(response.kind, 'records');
  if (response.kind !== 'records') return;
  const first = readBatchHeader(response.bytes);
  assert.deepEqual([first.baseOffset, first.lastOffsetDelta, first.partitionLeaderEpoch], [4, 5, 3]);
  assert.equal(readBatchHeader(response.bytes, 61).baseOffset, 10);
});

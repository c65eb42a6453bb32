import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { emptyBatchHeader } from '@polylog/record';
import { type FollowerFetch, PartitionCore } from '../../src/replication/partition.core.ts';
import type { IsrProposal, PartitionRecord } from '../../src/replication/partition-record.core.ts';
import type { EpochEntry, LeaderEpochs } from '../../src/storage/types.ts';

const LAG_MS = 100;
const CLIENT = { requiredAcks: -1, origin: 'client', nowMs: 0 } as const;

function epochs(entries: readonly EpochEntry[]): LeaderEpochs {
  return {
    entries,
    latest: entries.at(-1)?.epoch,
    endOffsetOf(epoch, logEndOffset) {
      const at = entries.findLastIndex((entry) => entry.epoch <= epoch);
      if (at < 0 || epoch > entries.at(-1)!.epoch) return undefined;
      return { epoch: entries[at]!.epoch, endOffset: entries[at + 1]?.startOffset ?? logEndOffset };
    },
    epochAt: () => undefined,
  };
}

describe('the leader of three replicas', () => {
  let proposals: IsrProposal[];
  let log: { epochs: LeaderEpochs };
  let core: PartitionCore;
  const member = (id: number, brokerEpoch = 1) => ({ id, brokerEpoch });
  const record = (change: Partial<PartitionRecord> = {}): PartitionRecord => ({
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 1,
    replicas: [1, 2, 3],
    isr: [member(1), member(2), member(3)],
    elr: [],
    ...change,
  });
  const fetch = (change: Partial<FollowerFetch> & { replicaId: number }, nowMs = 0): string => {
    const fetchOffset = change.fetchOffset ?? 0;
    const verdict = core.followerFetch(
      {
        brokerEpoch: 1,
        leaderEpoch: 5,
        fetchOffset,
        durableOffset: fetchOffset,
        lastFetchedEpoch: -1,
        logStartOffset: 0,
        ...change,
      },
      0,
      nowMs,
    );
    return verdict.kind === 'error' ? verdict.error : verdict.kind;
  };
  const append = (records: number): void => {
    const header = { ...emptyBatchHeader(), producerId: -1, lastOffsetDelta: records - 1 };
    assert.equal(core.reserve(header, CLIENT), undefined);
    core.commitTurn();
    core.durable(core.writtenEnd);
  };

  beforeEach(() => {
    proposals = [];
    log = { epochs: epochs([{ epoch: 4, startOffset: 0 }]) };
    core = new PartitionCore({
      brokerId: 1,
      sink: {
        highWatermarkMoved: () => undefined,
        proposeIsr: (proposal) => proposals.push(proposal),
      },
      log,
      minInsyncReplicas: 2,
      replicaLagTimeMaxMs: LAG_MS,
      producerIdExpirationMs: 1000,
    });
    core.load({ startOffset: 0, endOffset: 10, durableOffset: 10 }, 0);
    core.applyRecord(record(), 0);
  });

  it('moves its HW to what every member of the ISR has on its disk and has fetched in this epoch', () => {
    assert.equal(core.highWatermark, 0);
    fetch({ replicaId: 2, fetchOffset: 10 });
    assert.equal(core.highWatermark, 0);
    fetch({ replicaId: 3, fetchOffset: 10, durableOffset: 7 });
    assert.equal(core.highWatermark, 7);
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.equal(core.highWatermark, 10);
  });

  it('does not count what the follower merely fetched ahead of its own disk', () => {
    append(5);
    fetch({ replicaId: 2, fetchOffset: 15, durableOffset: 12 });
    fetch({ replicaId: 3, fetchOffset: 15, durableOffset: 15 });
    assert.equal(core.highWatermark, 12);
  });

  it('calls nothing stable before its HW has passed the snapshot from which it was loaded', () => {
    core.load({ startOffset: 0, endOffset: 10, durableOffset: 10 }, 8);
    const fetchAll = (fetchOffset: number): number => {
      for (const replicaId of [2, 3]) fetch({ replicaId, fetchOffset });
      return core.lastStableOffset;
    };
    // A marker at 6, which the snapshot has left out, may be lost: what its transaction wrote at 3 is not stable.
    assert.deepEqual([fetchAll(5), core.highWatermark], [0, 5]);
    assert.equal(fetchAll(7), 0);
    assert.equal(fetchAll(8), 8);
    assert.equal(fetchAll(10), 10);
  });

  it('knows that its HW may be stale until it has reached the start of the epoch', () => {
    assert.equal(core.highWatermarkIsCurrent, false);
    fetch({ replicaId: 2, fetchOffset: 10 });
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.equal(core.highWatermarkIsCurrent, true);
  });

  it('refuses fetches of other epochs, of older registrations, and of strangers', () => {
    assert.equal(fetch({ replicaId: 2, leaderEpoch: 4 }), 'FENCED_LEADER_EPOCH');
    assert.equal(fetch({ replicaId: 2, leaderEpoch: 6 }), 'UNKNOWN_LEADER_EPOCH');
    assert.equal(fetch({ replicaId: 2, brokerEpoch: 3 }), 'ok');
    assert.equal(fetch({ replicaId: 2, brokerEpoch: 2 }), 'FENCED_LEADER_EPOCH');
    assert.equal(fetch({ replicaId: 9 }), 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.equal(fetch({ replicaId: 3, fetchOffset: 11 }), 'OFFSET_OUT_OF_RANGE');
  });

  it('answers a diverging follower with the end of the largest epoch that both may share', () => {
    log.epochs = epochs([
      { epoch: 2, startOffset: 0 },
      { epoch: 4, startOffset: 6 },
    ]);
    const diverging = (lastFetchedEpoch: number, fetchOffset: number) => {
      const position = { replicaId: 2, brokerEpoch: 1, leaderEpoch: 5, durableOffset: 0, logStartOffset: 0 };
      return core.followerFetch({ ...position, lastFetchedEpoch, fetchOffset }, 0, 0);
    };
    assert.deepEqual(diverging(3, 8), { kind: 'diverging', end: { epoch: 2, endOffset: 6 } });
    assert.deepEqual(diverging(4, 12), { kind: 'diverging', end: { epoch: 4, endOffset: 10 } });
    assert.deepEqual(diverging(4, 10), { kind: 'ok' });
    assert.deepEqual(diverging(2, 6), { kind: 'ok' });
    assert.deepEqual(diverging(2, 7), { kind: 'diverging', end: { epoch: 2, endOffset: 6 } });
    assert.deepEqual(diverging(5, 11), { kind: 'diverging', end: { epoch: 5, endOffset: 10 } });
  });

  it('counts a member that it proposes to drop until the store has agreed', () => {
    fetch({ replicaId: 2, fetchOffset: 10 }, LAG_MS);
    core.tick(LAG_MS + 1);
    assert.deepEqual(proposals[0]?.isr, [member(1), member(2)]);
    assert.equal(core.highWatermark, 0);
    core.applyRecord(record({ partitionEpoch: 2, isr: [member(1), member(2)] }), LAG_MS + 2);
    assert.equal(core.highWatermark, 10);
  });

  it('counts a member that it proposes to add at once, and goes on counting while the outcome is unknown', () => {
    core.applyRecord(record({ partitionEpoch: 2, isr: [member(1), member(2)] }), 0);
    fetch({ replicaId: 2, fetchOffset: 10 });
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.deepEqual(proposals[0]?.isr, [member(1), member(2), member(3)]);
    append(1);
    fetch({ replicaId: 2, fetchOffset: 11 });
    assert.equal(core.highWatermark, 10);
    core.proposalRefused(proposals[0], 0);
    assert.equal(core.highWatermark, 11);
  });

  it('proposes a follower only once it has, durably, both the HW and the start of the epoch', () => {
    core.applyRecord(record({ partitionEpoch: 2, isr: [member(1), member(2)] }), 0);
    assert.equal(core.highWatermark, 0);
    fetch({ replicaId: 3, fetchOffset: 9 });
    fetch({ replicaId: 3, fetchOffset: 10, durableOffset: 9 });
    assert.equal(proposals.length, 0);
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.equal(proposals.length, 1);
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.equal(proposals.length, 1);
  });

  it('waits after a refused expansion before it asks again', () => {
    core.applyRecord(record({ partitionEpoch: 2, isr: [member(1), member(2)] }), 0);
    fetch({ replicaId: 3, fetchOffset: 10 });
    core.proposalRefused(proposals[0]!, 0);
    fetch({ replicaId: 3, fetchOffset: 10 }, 499);
    assert.equal(proposals.length, 1);
    fetch({ replicaId: 3, fetchOffset: 10 }, 500);
    assert.equal(proposals.length, 2);
  });

  it('neither takes acks=all nor moves its HW below min.insync.replicas', () => {
    core.applyRecord(record({ partitionEpoch: 2, isr: [member(1)], elr: [member(2)] }), 0);
    assert.equal(core.highWatermark, 0);
    const header = { ...emptyBatchHeader(), producerId: -1 };
    assert.equal(core.reserve(header, CLIENT), 'NOT_ENOUGH_REPLICAS');
    assert.equal(core.reserve(header, { ...CLIENT, requiredAcks: 1 }), undefined);
  });

  it('keeps a follower in the ISR whose disk trails the fetches, as long as it catches up with where the leader was', () => {
    for (let nowMs = 0; nowMs <= 500; nowMs += 50) {
      append(1);
      fetch({ replicaId: 2, fetchOffset: core.writtenEnd, durableOffset: core.writtenEnd - 1 }, nowMs);
      fetch({ replicaId: 3, fetchOffset: core.writtenEnd, durableOffset: 10 }, nowMs);
    }
    core.tick(500);
    assert.deepEqual(proposals[0]?.isr, [member(1), member(2)]);
  });

  it('ignores records that are not newer, and starts over in a new epoch', () => {
    fetch({ replicaId: 2, fetchOffset: 10 });
    fetch({ replicaId: 3, fetchOffset: 10 });
    assert.equal(core.applyRecord(record({ leader: 2 }), 0), false);
    assert.equal(core.role.kind, 'leader');
    core.applyRecord(record({ leaderEpoch: 6, partitionEpoch: 2 }), 0);
    append(1);
    fetch({ replicaId: 2, leaderEpoch: 6, fetchOffset: 11 });
    assert.equal(core.highWatermark, 10);
  });
});

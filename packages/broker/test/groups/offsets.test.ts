import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statePartitionOf } from '../../src/coordinator/partitioning.core.ts';
import { topicsOfSubscription } from '../../src/groups/subscription.core.ts';
import { Groups, SETTINGS, subscription } from './harness.ts';

describe('committed offsets', () => {
  it('are answered when they are durable, and told to nobody before', () => {
    const groups = new Groups();
    groups.log.held = true;
    const answers = groups.commit(7);
    assert.equal(answers.length, 0);
    assert.equal(groups.committed(), undefined, 'the read waits');
    groups.log.settle();
    assert.deepEqual(answers, [undefined]);
    assert.equal(groups.committed(), 7);
  });

  it('survive a restart', () => {
    const groups = new Groups();
    groups.commit(7);
    groups.commit(8);
    groups.reload();
    assert.equal(groups.committed(), 8);
  });

  it('survive the records of their group', () => {
    const groups = new Groups();
    groups.commit(7);
    const joined = groups.single();
    groups.commit(9, joined);
    groups.leave(joined.memberId);
    groups.reload();
    assert.equal(groups.committed(), 9);
  });

  it('are taken from members of the present generation only', () => {
    const groups = new Groups();
    assert.deepEqual(groups.commit(1, { generationId: 1, memberId: 'm' }), ['ILLEGAL_GENERATION']);
    const joined = groups.single();
    assert.deepEqual(groups.commit(1), ['UNKNOWN_MEMBER_ID']);
    assert.deepEqual(groups.commit(1, { ...joined, memberId: 'other' }), ['UNKNOWN_MEMBER_ID']);
    assert.deepEqual(groups.commit(1, { ...joined, generationId: 0 }), ['ILLEGAL_GENERATION']);
    assert.deepEqual(groups.commit(1, joined), [undefined]);
    assert.equal(groups.committed(), 1);
  });

  it('are taken during the join phase of the next generation, and refused between join and sync', () => {
    const groups = new Groups();
    const first = groups.single();
    groups.join();
    assert.deepEqual(groups.commit(1, first), [undefined]);
    const [again] = groups.join({ memberId: first.memberId });
    assert.deepEqual(groups.commit(2, again), ['REBALANCE_IN_PROGRESS']);
    assert.equal(groups.committed(), 1);
  });

  it('keep the session of the member alive', () => {
    const groups = new Groups();
    const joined = groups.single();
    for (let round = 0; round < 5; round++) {
      groups.advance(9000);
      assert.deepEqual(groups.commit(round, joined), [undefined]);
    }
    assert.equal(groups.state, 'Stable');
  });

  it('are bounded in number', () => {
    const groups = new Groups({ offsetsPerGroupMax: 2, groupsMax: 1 });
    assert.deepEqual(groups.commit(1, { topic: 'a' }), [undefined]);
    assert.deepEqual(groups.commit(1, { topic: 'b' }), [undefined]);
    assert.deepEqual(groups.commit(1, { topic: 'c' }), ['GROUP_MAX_SIZE_REACHED']);
    assert.deepEqual(groups.commit(2, { topic: 'b' }), [undefined]);
    assert.deepEqual(groups.commit(1, { groupId: 'h' }), ['GROUP_MAX_SIZE_REACHED']);
  });

  it('keep a time to live that is beyond all bounds', () => {
    const groups = new Groups();
    groups.commit(7, { retentionMs: Number.MAX_SAFE_INTEGER });
    groups.reload();
    assert.equal(groups.committed(), 7);
  });

  it('of a topic that was deleted while nobody could write that are forgotten at the next load', () => {
    const groups = new Groups();
    groups.commit(1, { topic: 'a' });
    groups.log.writable = false;
    groups.topics.delete('a');
    groups.core.topicsChanged(['a']);
    assert.equal(groups.committed('g', 'a'), undefined);
    groups.log.writable = true;
    groups.reload();
    groups.topics.make('a', 1);
    groups.reload();
    assert.equal(groups.committed('g', 'a'), undefined);
  });

  it('of a deleted topic are forgotten', () => {
    const groups = new Groups();
    groups.commit(1, { topic: 'a' });
    groups.commit(2, { topic: 'b' });
    groups.topics.delete('a');
    groups.core.topicsChanged(['a']);
    groups.reload();
    assert.equal(groups.committed('g', 'a'), undefined);
    assert.equal(groups.committed('g', 'b'), 2);
  });
});

describe('offsets expire (KIP-211)', () => {
  const { offsetsRetentionMs, retentionCheckMs } = SETTINGS;

  it('when their group has been empty for the retention time, and the group goes with them', () => {
    const groups = new Groups();
    const joined = groups.single({ sessionTimeoutMs: 60_000 });
    groups.commit(1, joined);
    for (let ms = 0; ms < 2 * offsetsRetentionMs; ms += 50_000) {
      groups.heartbeat(joined);
      groups.advance(50_000);
    }
    assert.equal(groups.committed(), 1, 'what is being read does not expire');
    groups.leave(joined.memberId);
    groups.advance(offsetsRetentionMs - retentionCheckMs);
    assert.equal(groups.committed(), 1);
    groups.advance(2 * retentionCheckMs);
    assert.equal(groups.committed(), undefined);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
    groups.reload();
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
  });

  it('however many there are, a part at a time', () => {
    const groups = new Groups({ offsetsPerGroupMax: 1_000_000 });
    const offsets = Array.from({ length: 150_000 }, (_, partition) => ({
      topic: 'wide',
      partition,
      offset: 1,
      leaderEpoch: 0,
      metadata: '',
    }));
    const identity = { groupId: 'g', memberId: '', generationId: -1, groupInstanceId: null };
    const request = { ...identity, knowsMemberEpochs: true, retentionMs: -1 };
    groups.core.commit({ ...request, offsets }, groups.now, () => undefined);
    groups.advance(offsetsRetentionMs + 2 * retentionCheckMs);
    assert.equal(groups.counters.offsetsExpired, 150_000);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
  });

  it('of topics that no member subscribes to any more, from the commit on', () => {
    const groups = new Groups();
    const joined = groups.single({ sessionTimeoutMs: 60_000 });
    groups.commit(1, { ...joined, topic: 'other' });
    groups.commit(1, joined);
    for (let ms = 0; ms < offsetsRetentionMs + 2 * retentionCheckMs; ms += 50_000) {
      groups.heartbeat(joined);
      groups.advance(50_000);
    }
    assert.equal(groups.committed('g', 'other'), undefined);
    assert.equal(groups.committed(), 1);
  });

  it('by the time of an old client, where it asks for one', () => {
    const groups = new Groups();
    groups.commit(1, { retentionMs: 50_000 });
    groups.reload();
    groups.advance(retentionCheckMs);
    assert.equal(groups.committed(), undefined);
  });

  it('from the last commit of a group that never had members', () => {
    const groups = new Groups();
    groups.commit(1);
    groups.advance(offsetsRetentionMs / 2);
    groups.commit(2);
    groups.advance(offsetsRetentionMs / 2 + retentionCheckMs);
    assert.equal(groups.committed(), 2);
    groups.advance(offsetsRetentionMs);
    assert.equal(groups.committed(), undefined);
  });
});

describe('deleting', () => {
  it('a group takes its offsets along, for good', () => {
    const groups = new Groups();
    const joined = groups.single();
    groups.commit(1, joined);
    const results: unknown[] = [];
    groups.core.deleteGroup('g', (failure) => results.push(failure));
    groups.leave(joined.memberId);
    groups.core.deleteGroup('g', (failure) => results.push(failure));
    groups.core.deleteGroup('g', (failure) => results.push(failure));
    assert.deepEqual(results, ['NON_EMPTY_GROUP', undefined, 'GROUP_ID_NOT_FOUND']);
    groups.reload();
    assert.equal(groups.committed(), undefined);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
  });

  it('offsets spares what members subscribe to (KIP-496)', () => {
    const groups = new Groups();
    const joined = groups.single();
    groups.commit(1, joined);
    groups.commit(1, { ...joined, topic: 'other' });
    const results: unknown[] = [];
    groups.core.deleteOffsets(
      'g',
      [
        { topic: 'input', partition: 0 },
        { topic: 'other', partition: 0 },
      ],
      (response) => results.push(response.error ?? response.results),
    );
    groups.core.deleteOffsets('h', [], (response) => results.push(response.error));
    assert.deepEqual(results, [['GROUP_SUBSCRIBED_TO_TOPIC', undefined], 'GROUP_ID_NOT_FOUND']);
    assert.equal(groups.committed(), 1);
    assert.equal(groups.committed('g', 'other'), undefined);
  });
});

describe('the consumers of a group', () => {
  it('tell what they subscribe to; what is no subscription tells nothing', () => {
    assert.deepEqual(topicsOfSubscription(subscription('a', 'bc')), ['a', 'bc']);
    assert.deepEqual(topicsOfSubscription(subscription()), []);
    // Longer ones all have the same place in a Set.
    const longest = 'x'.repeat(16_383);
    assert.deepEqual(topicsOfSubscription(subscription(longest)), [longest]);
    assert.equal(topicsOfSubscription(subscription(`${longest}x`)), undefined);
    for (const bad of [[], [0], [0, 0, 0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 0, 0, 1, 0, 9, 97], [0xff, 0xff]]) {
      assert.equal(topicsOfSubscription(Buffer.from(bad)), undefined);
    }
  });
});

describe('the partition of a group', () => {
  it("follows Java's hash of its name", () => {
    // Utils.abs("my-group".hashCode()) % 50 and so on, as a JVM gives them.
    assert.equal(statePartitionOf('my-group', 50), 12);
    assert.equal(statePartitionOf('', 50), 0);
    assert.equal(statePartitionOf('polygenelubricants', 50), 0);
    assert.equal(statePartitionOf('a', 50), 47);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GroupSettings } from '../../../src/groups/types.ts';
import { Groups } from '../harness.ts';
import { ConsumerMember } from './member.ts';

function groupsWith(partitions: number, settings: Partial<GroupSettings> = {}): Groups {
  const groups = new Groups(settings);
  groups.topics.make('input', partitions);
  return groups;
}

describe('offsets of a consumer group', () => {
  it('are taken from members of the present epoch', () => {
    const groups = groupsWith(1);
    const first = new ConsumerMember(groups, 'm1');
    const as = { memberId: 'm1', knowsMemberEpochs: true };
    assert.deepEqual(groups.commit(5, { ...as, generationId: first.epoch }), [undefined]);
    assert.deepEqual(groups.commit(5, { ...as, generationId: 7 }), ['STALE_MEMBER_EPOCH']);
    assert.deepEqual(groups.commit(5, { ...as, memberId: 'x', generationId: 1 }), ['UNKNOWN_MEMBER_ID']);
    assert.deepEqual(groups.commit(5, { generationId: 1, memberId: 'm1' }), ['UNSUPPORTED_VERSION']);
    assert.deepEqual(groups.commit(5), ['UNKNOWN_MEMBER_ID'], 'nobody else may while there are members');
    assert.deepEqual(groups.commit(5, { ...as, groupId: 'no', generationId: 1 }), ['GROUP_ID_NOT_FOUND']);
    first.leave();
    assert.deepEqual(groups.commit(6), [undefined]);
    groups.reload();
    assert.equal(groups.committed(), 6);
  });

  it('are told to members of the present epoch, and to whoever does not say who it is', () => {
    const groups = groupsWith(1);
    const first = new ConsumerMember(groups, 'm1');
    groups.commit(5, { memberId: 'm1', knowsMemberEpochs: true, generationId: first.epoch });
    const fetch = (memberId: string, memberEpoch: number) => {
      let error: string | undefined = 'none';
      const request = {
        groupId: 'g',
        partitions: undefined,
        requireStable: false,
        member: { memberId, memberEpoch },
      };
      groups.core.fetchOffsets(request, (response) => (error = response.error));
      return error;
    };
    assert.equal(fetch('m1', first.epoch), undefined);
    assert.equal(fetch('m1', first.epoch + 1), 'STALE_MEMBER_EPOCH');
    assert.equal(fetch('x', 1), 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.committed(), 5);
  });

  it('are taken from a member in an earlier epoch, of what it had then and has still (KIP-1251)', () => {
    const groups = groupsWith(2);
    const first = new ConsumerMember(groups, 'm1');
    const early = first.epoch;
    const second = new ConsumerMember(groups, 'm2');
    first.beat();
    const commit = (partition: number, memberId: string, generationId: number) =>
      groups.commit(5, { partition, memberId, generationId, knowsMemberEpochs: true })[0];
    const [kept, given] = [first.partitions[0]!, 1 - first.partitions[0]!];
    assert.deepEqual([commit(kept, 'm1', early), commit(given, 'm1', early)], [undefined, undefined]);
    first.beat();
    second.beat();
    assert.deepEqual([first.epoch, second.partitions], [early + 1, [given]]);
    const assertJudged = () => {
      assert.equal(commit(kept, 'm1', early), undefined);
      assert.equal(commit(kept, 'm1', early - 1), 'STALE_MEMBER_EPOCH');
      assert.equal(commit(kept, 'm1', early + 2), 'STALE_MEMBER_EPOCH');
      assert.equal(commit(given, 'm1', early), 'STALE_MEMBER_EPOCH', 'it has it no more');
      assert.equal(commit(given, 'm2', early), 'STALE_MEMBER_EPOCH', 'it had it not yet');
      assert.equal(commit(given, 'm2', second.epoch), undefined);
      const offsets = { generationId: early, memberId: 'm1' };
      assert.deepEqual(groups.commitInTransaction(7, { [kept]: 6 }, offsets), [undefined]);
      assert.deepEqual(groups.commitInTransaction(7, { [kept]: 6, [given]: 6 }, offsets), [
        'ILLEGAL_GENERATION',
      ]);
    };
    assertJudged();
    groups.reload();
    assertJudged();
    // Having it again is not having had it all the time.
    second.leave();
    for (let at = 0; at < 3; at++) first.beat();
    assert.deepEqual(first.partitions, [0, 1]);
    assert.equal(commit(given, 'm1', early), 'STALE_MEMBER_EPOCH');
    assert.equal(commit(kept, 'm1', early), undefined);
  });

  it('that the group had before it was one of this protocol stay', () => {
    const groups = groupsWith(1);
    groups.commit(5);
    const first = new ConsumerMember(groups, 'm1');
    assert.equal(groups.committed(), 5);
    first.leave();
    groups.reload();
    assert.equal(groups.committed(), 5);
  });

  it('end with their group in one step, so that a group that is made again meanwhile is left alone', () => {
    // Of a look at 20,000 things at a time, the first record of the group's end is the last one.
    const offsetsPerGroupMax = 20_000;
    const groups = new Groups({ offsetsPerGroupMax });
    groups.topics.make('input', 2);
    new ConsumerMember(groups, 'm1').leave();
    const offsets = Array.from({ length: offsetsPerGroupMax - 1 }, (_, partition) => ({
      topic: 'input',
      partition,
      offset: 1,
      leaderEpoch: -1,
      metadata: '',
    }));
    const [memberId, generationId, groupInstanceId] = ['', -1, null];
    const request = { groupId: 'g', memberId, generationId, groupInstanceId, offsets };
    groups.core.commit({ ...request, knowsMemberEpochs: true, retentionMs: -1 }, groups.now, () => undefined);
    groups.advance(groups.settings.offsetsRetentionMs - 1);
    while (groups.consumerState !== 'GROUP_ID_NOT_FOUND') groups.advance(1);
    const again = new ConsumerMember(groups, 'm2');
    groups.advance(1000);
    groups.reload();
    again.beat();
    assert.equal(again.error, undefined);
  });

  it('expire when the group has been empty for long enough, and the group goes with them', () => {
    const groups = groupsWith(1, { offsetsRetentionMs: 100_000, retentionCheckMs: 10_000 });
    const first = new ConsumerMember(groups, 'm1');
    groups.commit(5, { memberId: 'm1', knowsMemberEpochs: true, generationId: first.epoch });
    for (let at = 0; at < 20; at++) {
      groups.advance(10_000);
      first.beat();
    }
    assert.equal(groups.committed(), 5, 'what is being read does not expire');
    first.leave();
    groups.advance(90_000);
    assert.equal(groups.committed(), 5);
    groups.advance(30_000);
    assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
    groups.reload();
    assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
  });

  it('of subscribed topics are not deleted, and neither is a group with members', () => {
    const groups = groupsWith(1);
    const first = new ConsumerMember(groups, 'm1');
    groups.commit(5, { memberId: 'm1', knowsMemberEpochs: true, generationId: first.epoch });
    const remove = () => {
      let results: unknown;
      groups.core.deleteOffsets('g', [{ topic: 'input', partition: 0 }], (response) => {
        results = response.error ?? response.results[0];
      });
      return results;
    };
    const removeGroup = () => {
      let result: unknown;
      groups.core.deleteGroup('g', (failure) => (result = failure));
      return result;
    };
    assert.equal(remove(), 'GROUP_SUBSCRIBED_TO_TOPIC');
    assert.equal(removeGroup(), 'NON_EMPTY_GROUP');
    first.leave();
    assert.equal(remove(), undefined);
    assert.equal(removeGroup(), undefined);
    groups.reload();
    assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
  });
});

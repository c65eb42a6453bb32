import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConsumerMember } from './consumer/member.ts';
import { Groups, SETTINGS } from './harness.ts';

describe('offsets committed in a transaction (KIP-98)', () => {
  it('are told to nobody before the transaction is committed', () => {
    const groups = new Groups();
    groups.commit(1);
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5, 1: 6 }), [undefined]);
    assert.equal(groups.committed(), 1);
    assert.equal(groups.committed('g', 'input', 1), undefined);
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed(), 5);
    assert.equal(groups.committed('g', 'input', 1), 6);
  });

  it('vanish when it is aborted, and a group that they had made with them', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5 });
    assert.equal(groups.state, 'Empty');
    groups.endTransaction(7, 'abort');
    assert.equal(groups.committed(), undefined);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
  });

  it('are answered when they are durable', () => {
    const groups = new Groups();
    groups.log.held = true;
    const answers = groups.commitInTransaction(7, { 0: 5 });
    assert.deepEqual(answers, []);
    groups.log.settle();
    assert.deepEqual(answers, [undefined]);
  });

  it('are as they were after a load: pending, committed or gone', () => {
    const groups = new Groups();
    groups.commit(1);
    groups.commitInTransaction(7, { 0: 5 });
    groups.reload();
    assert.equal(groups.committed(), 1);
    assert.deepEqual(groups.unstable(), ['input-0']);
    groups.endTransaction(7, 'commit');
    groups.commitInTransaction(8, { 0: 9 });
    groups.endTransaction(8, 'abort');
    groups.reload();
    assert.equal(groups.committed(), 5);
    assert.deepEqual(groups.unstable(), []);
  });

  it('of several transactions of one producer belong each to its own', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5 });
    groups.endTransaction(7, 'commit');
    groups.commitInTransaction(7, { 0: 6 });
    groups.endTransaction(7, 'abort');
    assert.equal(groups.committed(), 5);
    groups.commitInTransaction(7, { 0: 7 });
    groups.commitInTransaction(7, { 0: 8 });
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed(), 8);
  });

  it('of several groups and topics end together', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 1 }, { groupId: 'a' });
    groups.commitInTransaction(7, { 0: 2 }, { groupId: 'b', topic: 'other' });
    groups.commitInTransaction(8, { 0: 3 }, { groupId: 'b' });
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed('a'), 1);
    assert.equal(groups.committed('b', 'other'), 2);
    assert.equal(groups.committed('b'), undefined);
    assert.deepEqual(groups.unstable('b'), ['input-0']);
  });
});

describe('what stands last in the log counts, whenever its transaction was committed', () => {
  it('a plain commit after that of a transaction', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5, 1: 5 });
    groups.commit(3);
    assert.equal(groups.committed(), 3);
    assert.deepEqual(groups.unstable(), ['input-0', 'input-1']);
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed(), 3);
    assert.equal(groups.committed('g', 'input', 1), 5);
    groups.reload();
    assert.equal(groups.committed(), 3);
  });

  it('that of a transaction after a plain one', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5 });
    groups.commit(3);
    groups.commitInTransaction(7, { 0: 6 });
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed(), 6);
  });

  it('that of the later of two transactions, in either order of their ends', () => {
    for (const ends of [
      [7, 8],
      [8, 7],
    ]) {
      const groups = new Groups();
      groups.commitInTransaction(7, { 0: 5 });
      groups.commitInTransaction(8, { 0: 6 });
      for (const producerId of ends) groups.endTransaction(producerId, 'commit');
      assert.equal(groups.committed(), 6, `ends: ${ends.join()}`);
      groups.reload();
      assert.equal(groups.committed(), 6);
    }
  });

  it('that of the earlier one where the later is aborted', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5 });
    groups.commitInTransaction(8, { 0: 6 });
    groups.endTransaction(8, 'abort');
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed(), 5);
  });
});

describe('who may commit in a transaction (KIP-447)', () => {
  it('anybody who gives neither member nor generation, also beside members', () => {
    const groups = new Groups();
    groups.single();
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }), [undefined]);
  });

  it('members of the present generation, also while the group rebalances', () => {
    const groups = new Groups();
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, { generationId: 1, memberId: 'm' }), [
      'ILLEGAL_GENERATION',
    ]);
    const joined = groups.single();
    const { memberId, generationId } = joined;
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, { memberId, generationId }), [undefined]);
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, { memberId, generationId: 0 }), [
      'ILLEGAL_GENERATION',
    ]);
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, { memberId: 'other', generationId }), [
      'UNKNOWN_MEMBER_ID',
    ]);
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, { memberId: 'other' }), ['UNKNOWN_MEMBER_ID']);
    groups.join();
    const [again] = groups.join({ memberId });
    assert.equal(groups.state, 'CompletingRebalance');
    const asMember = { memberId, generationId: again!.generationId };
    assert.deepEqual(groups.commitInTransaction(7, { 0: 6 }, asMember), [undefined]);
  });

  it('the present holder of an instance id', () => {
    const groups = new Groups();
    const { memberId, generationId } = groups.single({ groupInstanceId: 'i' });
    const as = (options: object) =>
      groups.commitInTransaction(7, { 0: 5 }, { memberId, generationId, ...options });
    assert.deepEqual(as({ groupInstanceId: 'i' }), [undefined]);
    assert.deepEqual(as({ groupInstanceId: 'i', memberId: 'old' }), ['FENCED_INSTANCE_ID']);
    assert.deepEqual(as({ groupInstanceId: 'j' }), ['UNKNOWN_MEMBER_ID']);
  });

  it('members of the present epoch, in a group of KIP-848; an old epoch is an old generation to them', () => {
    const groups = new Groups();
    const member = new ConsumerMember(groups, 'm1');
    const asMember = { memberId: 'm1', generationId: member.epoch };
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }, asMember), [undefined]);
    const late = { ...asMember, generationId: member.epoch + 1 };
    assert.deepEqual(groups.commitInTransaction(7, { 0: 6 }, late), ['ILLEGAL_GENERATION']);
    assert.deepEqual(groups.commitInTransaction(7, { 0: 6 }, { ...asMember, memberId: 'x' }), [
      'UNKNOWN_MEMBER_ID',
    ]);
    assert.deepEqual(groups.commitInTransaction(8, { 1: 6 }), [undefined], 'who says nothing is believed');
    groups.endTransaction(7, 'commit');
    groups.endTransaction(8, 'commit');
    groups.reload();
    assert.equal(groups.committed(), 5);
    assert.equal(groups.committed('g', 'input', 1), 6);
  });

  it('nobody whose records the log would refuse, and then nothing is changed', () => {
    const groups = new Groups();
    groups.log.refusal = 'INVALID_PRODUCER_EPOCH';
    assert.deepEqual(groups.commitInTransaction(7, { 0: 5 }), ['INVALID_PRODUCER_EPOCH']);
    assert.deepEqual(groups.unstable(), []);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
    assert.equal(groups.log.entries.length, 0);
  });

  it('as many as a group may have, pending ones included', () => {
    const groups = new Groups({ offsetsPerGroupMax: 3, groupsMax: 1 });
    assert.deepEqual(groups.commitInTransaction(7, { 0: 1, 1: 1 }), [undefined]);
    assert.deepEqual(groups.commitInTransaction(8, { 0: 1 }), [undefined]);
    assert.deepEqual(groups.commitInTransaction(8, { 1: 1 }), ['GROUP_MAX_SIZE_REACHED']);
    assert.deepEqual(groups.commit(1, { topic: 'other' }), ['GROUP_MAX_SIZE_REACHED']);
    assert.deepEqual(groups.commitInTransaction(7, { 1: 2 }), [undefined], 'it is there already');
    assert.deepEqual(groups.commitInTransaction(7, { 0: 1 }, { groupId: 'h' }), ['GROUP_MAX_SIZE_REACHED']);
    groups.endTransaction(8, 'abort');
    assert.deepEqual(groups.commit(1, { topic: 'other' }), [undefined]);
  });
});

describe('where offsets go, what is pending goes too', () => {
  it('when they are deleted', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5, 1: 6 });
    groups.commitInTransaction(8, { 0: 5 });
    assert.equal(groups.core.pendingOffsets, 3);
    groups.core.deleteOffsets('g', [{ topic: 'input', partition: 0 }], () => undefined);
    assert.deepEqual(groups.unstable(), ['input-1']);
    assert.equal(groups.core.pendingOffsets, 1);
    groups.reload();
    assert.deepEqual(groups.unstable(), ['input-1']);
    groups.endTransaction(7, 'commit');
    assert.equal(groups.core.pendingOffsets, 0);
    assert.equal(groups.committed(), undefined);
    assert.equal(groups.committed('g', 'input', 1), 6);
  });

  it('when their group is deleted', () => {
    const groups = new Groups();
    groups.commit(1);
    groups.commitInTransaction(7, { 0: 5, 1: 6 });
    groups.core.deleteGroup('g', () => undefined);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
    groups.reload();
    groups.endTransaction(7, 'commit');
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
    assert.equal(groups.committed('g', 'input', 1), undefined);
  });

  it('when their topic is deleted', () => {
    const groups = new Groups();
    groups.commitInTransaction(7, { 0: 5 }, { topic: 'a' });
    groups.commitInTransaction(7, { 0: 6 }, { topic: 'b' });
    groups.topics.delete('a');
    groups.core.topicsChanged(['a']);
    groups.reload();
    groups.endTransaction(7, 'commit');
    assert.equal(groups.committed('g', 'a'), undefined);
    assert.equal(groups.committed('g', 'b'), 6);
  });

  it('but not with time: neither the offset nor the group expires before the transaction has ended', () => {
    const groups = new Groups();
    groups.commit(1);
    groups.commit(1, { topic: 'other' });
    groups.commitInTransaction(7, { 0: 5 });
    groups.advance(2 * SETTINGS.offsetsRetentionMs);
    assert.equal(groups.committed(), 1);
    assert.equal(groups.committed('g', 'other'), undefined);
    groups.endTransaction(7, 'abort');
    groups.advance(2 * SETTINGS.retentionCheckMs);
    assert.equal(groups.committed(), undefined);
    assert.equal(groups.state, 'GROUP_ID_NOT_FOUND');
  });
});

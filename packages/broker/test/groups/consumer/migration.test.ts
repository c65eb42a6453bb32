import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MigrationPolicy } from '../../../src/groups/consumer/types.ts';
import { Groups, SETTINGS, subscription } from '../harness.ts';
import { ClassicMember, type Kind } from './classic-member.ts';
import { ConsumerMember } from './member.ts';

function groupsWith(partitions: number, migrationPolicy: MigrationPolicy = 'bidirectional'): Groups {
  const groups = new Groups({ consumer: { ...SETTINGS.consumer, migrationPolicy } });
  groups.topics.make('input', partitions);
  return groups;
}

function classic(
  groups: Groups,
  kind: Kind = 'cooperative',
  instanceId: string | null = null,
): ClassicMember {
  const member = new ClassicMember(groups, kind, () => groups.topics.byName('input')!.partitions, instanceId);
  for (let at = 0; at < 4; at++) member.step();
  return member;
}

function settle(classics: readonly ClassicMember[], consumers: readonly ConsumerMember[] = []): void {
  for (let round = 0; round < 10; round++) {
    for (const member of classics) member.step();
    for (const member of consumers) member.beat();
  }
}

function assertAllOwned(partitions: number, ...owned: readonly (readonly number[])[]): void {
  assert.deepEqual(
    owned.flat().sort((left, right) => left - right),
    Array.from({ length: partitions }, (_, partition) => partition),
  );
}

for (const kind of ['eager', 'cooperative'] as const) {
  describe(`a classic group of ${kind} members (KIP-848)`, () => {
    it('becomes a consumer group with the first member of the newer protocol, and its members go on in it', () => {
      const groups = groupsWith(6);
      const classics = [classic(groups, kind), classic(groups, kind)];
      settle(classics);
      assertAllOwned(6, ...classics.map(({ owned }) => owned));
      assert.equal(groups.state, 'Stable');
      const newer = new ConsumerMember(groups, 'new');
      assert.equal(newer.error, undefined);
      assert.equal(groups.state, 'GROUP_ID_NOT_FOUND', 'it is no classic group any more');
      assert.deepEqual(newer.partitions, [], 'the others have all partitions still');
      settle(classics, [newer]);
      assert.equal(groups.consumerState, 'Stable');
      assertAllOwned(6, newer.partitions, ...classics.map(({ owned }) => owned));
      assert.equal(newer.partitions.length, 2);
      assert.equal(groups.counters.upgrades, 1);
      const before = groups.describeConsumer();
      groups.reload();
      settle(classics, [newer]);
      assert.deepEqual(groups.describeConsumer(), before);
    });

    it('becomes one again when the last member of the newer protocol leaves', () => {
      const groups = groupsWith(6);
      const classics = [classic(groups, kind), classic(groups, kind)];
      settle(classics);
      const newer = new ConsumerMember(groups, 'new');
      settle(classics, [newer]);
      newer.leave();
      assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
      settle(classics);
      assert.equal(groups.state, 'Stable');
      assertAllOwned(6, ...classics.map(({ owned }) => owned));
      groups.reload();
      settle(classics);
      assert.equal(groups.state, 'Stable');
      assert.equal(groups.counters.downgrades, 1);
    });

    it('gives out what that member had also if the coordinator is another one then', () => {
      const groups = groupsWith(6);
      const classics = [classic(groups, kind), classic(groups, kind)];
      settle(classics);
      const newer = new ConsumerMember(groups, 'new');
      settle(classics, [newer]);
      newer.leave();
      groups.reload();
      settle(classics);
      assert.equal(groups.state, 'Stable');
      assertAllOwned(6, ...classics.map(({ owned }) => owned));
    });

    it('becomes one again when the last member of the newer protocol dies', () => {
      const groups = groupsWith(4);
      const classics = [classic(groups, kind)];
      settle(classics);
      const newer = new ConsumerMember(groups, 'new');
      settle(classics, [newer]);
      for (let at = 0; at < 10; at++) {
        groups.advance(5000);
        settle(classics);
      }
      assert.equal(groups.state, 'Stable');
      assertAllOwned(4, ...classics.map(({ owned }) => owned));
    });

    it('stays a consumer group as long as one such member is left', () => {
      const groups = groupsWith(4);
      const classics = [classic(groups, kind)];
      const newer = [new ConsumerMember(groups, 'new1'), new ConsumerMember(groups, 'new2')];
      settle(classics, newer);
      newer[0]!.leave();
      settle(classics, newer.slice(1));
      assert.equal(groups.consumerState, 'Stable');
      assertAllOwned(4, newer[1]!.partitions, ...classics.map(({ owned }) => owned));
    });
  });
}

describe('a member of the classic protocol in a consumer group', () => {
  it('joins, gets what the broker assigns, and leaves', () => {
    const groups = groupsWith(4);
    const newer = new ConsumerMember(groups, 'new');
    const older = classic(groups);
    assert.equal(older.state, 'member');
    settle([older], [newer]);
    assert.equal(older.owned.length, 2);
    assertAllOwned(4, newer.partitions, older.owned);
    older.leave();
    newer.beat();
    assert.deepEqual(newer.partitions, [0, 1, 2, 3]);
  });

  it('learns with a heartbeat that topics have changed', () => {
    const groups = groupsWith(2);
    const newer = new ConsumerMember(groups, 'new');
    const older = classic(groups);
    settle([older], [newer]);
    groups.topics.make('input', 4);
    groups.core.topicsChanged(['input']);
    older.step();
    settle([older], [newer]);
    assert.equal(older.owned.length, 2);
  });

  it('that does not join again when it has to is removed', () => {
    const groups = groupsWith(4);
    const newer = new ConsumerMember(groups, 'new');
    const older = classic(groups);
    settle([older], [newer]);
    const second = new ConsumerMember(groups, 'new2');
    const beat = {
      groupId: 'g',
      memberId: older.memberId,
      groupInstanceId: null,
      generationId: older.generation,
    };
    for (let at = 0; at < 8; at++) {
      groups.core.heartbeat(beat, groups.now);
      newer.beat();
      second.beat();
      groups.advance(5000);
    }
    assert.equal(groups.core.heartbeat(beat, groups.now), 'UNKNOWN_MEMBER_ID');
  });

  it('that has been removed without knowing learns so when it joins, before it believes in what others have', () => {
    const groups = groupsWith(4);
    const newer = new ConsumerMember(groups, 'new');
    const older = classic(groups);
    settle([older], [newer]);
    const id = older.memberId;
    for (let at = 0; at < 8; at++) {
      groups.advance(2000);
      newer.beat();
    }
    assert.deepEqual(newer.partitions, [0, 1, 2, 3]);
    assert.equal(older.owned.length, 2);
    older.join();
    older.step();
    assert.equal(older.error, 'UNKNOWN_MEMBER_ID');
    assert.deepEqual(older.owned, []);
    settle([older], [newer]);
    assert.notEqual(older.memberId, id);
    assertAllOwned(4, newer.partitions, older.owned);
  });

  it('that does not ask for its assignment is removed', () => {
    const groups = groupsWith(4);
    const newer = new ConsumerMember(groups, 'new');
    const [told] = groups.join({ requiresKnownMemberId: true });
    groups.join({ memberId: told!.memberId, sessionTimeoutMs: 60_000 });
    const members = () => {
      const described = groups.describeConsumer();
      return described.error === undefined && described.members.length;
    };
    assert.equal(members(), 2);
    for (let at = 0; at < 4; at++) {
      groups.advance(8000);
      newer.beat();
    }
    assert.equal(members(), 1);
  });

  it('of another protocol type, or without a subscription that can be read, is refused', () => {
    const groups = groupsWith(1);
    const newer = new ConsumerMember(groups, 'new');
    const protocols = [{ name: 'p', metadata: Buffer.from('nonsense') }];
    assert.equal(groups.join({ protocols })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
    assert.equal(groups.join({ protocolType: 'connect' })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
    assert.equal(
      groups.join({ memberId: newer.memberId, groupInstanceId: 'i' })[0]?.error,
      'UNKNOWN_MEMBER_ID',
    );
  });

  it('commits with its generation', () => {
    const groups = groupsWith(1);
    assert.equal(new ConsumerMember(groups, 'new').error, undefined);
    const older = classic(groups);
    const { memberId, generation: generationId } = older;
    assert.deepEqual(groups.commit(5, { memberId, generationId }), [undefined]);
    assert.deepEqual(groups.commit(5, { memberId, generationId: generationId + 1 }), ['ILLEGAL_GENERATION']);
  });

  it('that is static takes the place of a member of the newer protocol, and the group becomes a classic one with the last of those', () => {
    const groups = groupsWith(4);
    const older = classic(groups, 'cooperative', 'i1');
    settle([older]);
    const newer = new ConsumerMember(groups, 'new', { instanceId: 'i2' });
    settle([older], [newer]);
    const again = classic(groups, 'cooperative', 'i2');
    settle([older, again]);
    assert.equal(groups.state, 'Stable');
    assertAllOwned(4, older.owned, again.owned);
    newer.beat();
    assert.equal(newer.error, 'GROUP_ID_NOT_FOUND');
  });

  it('that is static keeps its partitions when it comes back with the newer protocol', () => {
    const groups = groupsWith(4);
    const classics = [classic(groups, 'cooperative', 'i1'), classic(groups, 'cooperative', 'i2')];
    settle(classics);
    const { owned } = classics[0]!;
    const newer = new ConsumerMember(groups, 'new', { instanceId: 'i1' });
    settle(classics.slice(1), [newer]);
    assert.deepEqual(newer.partitions, owned);
  });
});

describe('an empty group', () => {
  it('changes its protocol with whoever joins it, and keeps its offsets', () => {
    const groups = groupsWith(2);
    const older = classic(groups);
    settle([older]);
    groups.commit(5, { memberId: older.memberId, generationId: older.generation });
    older.leave();
    groups.advance(60_000);
    assert.equal(groups.state, 'Empty');
    const newer = new ConsumerMember(groups, 'new');
    assert.deepEqual([newer.error, newer.partitions, newer.epoch], [undefined, [0, 1], 1]);
    groups.reload();
    assert.equal(groups.consumerState, 'Stable');
    assert.equal(groups.committed(), 5);
    newer.leave();
    assert.equal(groups.consumerState, 'Empty');
    const again = classic(groups);
    settle([again]);
    groups.reload();
    assert.equal(groups.state, 'Stable');
    assert.equal(groups.committed(), 5);
  });

  it('lets a member of the newer protocol in while a classic one has been told its id, and both go on', () => {
    const groups = groupsWith(2);
    const protocols = [{ name: 'range', metadata: subscription('input') }];
    const [told] = groups.join({ requiresKnownMemberId: true, protocols });
    assert.equal(told!.error, 'MEMBER_ID_REQUIRED');
    const newer = new ConsumerMember(groups, 'new');
    assert.equal(newer.error, undefined);
    const [joined] = groups.join({ memberId: told!.memberId, protocols });
    assert.equal(joined!.error, undefined);
    newer.beat();
    newer.beat();
    assert.equal(newer.partitions.length, 1);
    // The time that it had to come back in is over, and nothing happens.
    groups.advance(9000);
    newer.beat();
    groups.advance(9000);
    newer.beat();
    assert.equal(newer.error, undefined);
  });

  it('of the newer protocol is not there for members that a classic one had', () => {
    const groups = groupsWith(2);
    new ConsumerMember(groups, 'new').leave();
    assert.equal(groups.join({ memberId: 'old' })[0]?.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.consumerState, 'Empty');
  });
});

describe('group.consumer.migration.policy', () => {
  it('disabled keeps each group to its protocol', () => {
    const groups = groupsWith(2, 'disabled');
    const older = classic(groups);
    settle([older]);
    assert.equal(new ConsumerMember(groups, 'new').error, 'GROUP_ID_NOT_FOUND');
    assert.equal(groups.state, 'Stable');
    const others = groupsWith(2, 'disabled');
    assert.equal(new ConsumerMember(others, 'new').error, undefined);
    assert.equal(classic(others).error, 'INCONSISTENT_GROUP_PROTOCOL');
  });

  it('upgrade lets no group become a classic one', () => {
    const groups = groupsWith(2, 'upgrade');
    const older = classic(groups);
    settle([older]);
    const newer = new ConsumerMember(groups, 'new');
    settle([older], [newer]);
    newer.leave();
    settle([older]);
    assert.equal(groups.consumerState, 'Stable');
    assert.deepEqual(older.owned.length, 2);
    groups.topics.make('input', 3);
    groups.core.topicsChanged(['input']);
    settle([older]);
    assert.equal(older.owned.length, 3);
  });

  it('downgrade lets no classic group become one of the newer protocol', () => {
    const groups = groupsWith(2, 'downgrade');
    const older = classic(groups);
    settle([older]);
    assert.equal(new ConsumerMember(groups, 'new').error, 'GROUP_ID_NOT_FOUND');
    assert.equal(groups.counters.metadataBytes > 0, true);
  });

  it('never lets members of another protocol type in', () => {
    const groups = groupsWith(2);
    groups.single({ protocolType: 'connect' });
    assert.equal(new ConsumerMember(groups, 'new').error, 'GROUP_ID_NOT_FOUND');
    const bytes = groups.counters.metadataBytes;
    assert.equal(new ConsumerMember(groups, 'new').error, 'GROUP_ID_NOT_FOUND');
    assert.equal(groups.counters.metadataBytes, bytes, 'nothing is left of the attempt');
  });
});

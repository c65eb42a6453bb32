import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NOTHING_ASSIGNED } from '../../../src/groups/consumer/assignment.core.ts';
import type { ConsumerHeartbeatRequest } from '../../../src/groups/consumer/types.ts';
import type { GroupSettings } from '../../../src/groups/types.ts';
import { Groups, SETTINGS } from '../harness.ts';
import { ConsumerMember } from './member.ts';

const JOINING = { rebalanceTimeoutMs: 30_000, subscribedTopics: ['input'], owned: NOTHING_ASSIGNED };

function groupsWith(partitions: number, settings: Partial<GroupSettings> = {}): Groups {
  const groups = new Groups(settings);
  groups.topics.make('input', partitions);
  return groups;
}

function member(
  groups: Groups,
  memberId: string,
  joining: Partial<ConsumerHeartbeatRequest> = {},
): ConsumerMember {
  return new ConsumerMember(groups, memberId, joining);
}

/** Heartbeats until nothing changes any more. */
function settle(members: readonly ConsumerMember[]): void {
  for (let round = 0; round < 10; round++) for (const each of members) each.beat();
}

describe('a consumer group (KIP-848)', () => {
  it('gives its first member all partitions at once', () => {
    const groups = groupsWith(3);
    const first = member(groups, 'm1');
    assert.equal(first.error, undefined);
    assert.deepEqual([first.epoch, first.partitions], [1, [0, 1, 2]]);
    assert.equal(groups.consumerState, 'Stable');
  });

  it('answers when what it says is durable, not before', () => {
    const groups = groupsWith(1);
    groups.log.held = true;
    assert.equal(groups.beat(JOINING), undefined);
    groups.log.held = false;
    groups.log.settle('NOT_COORDINATOR');
  });

  it('takes a partition from its owner before it gives it to another member', () => {
    const groups = groupsWith(4);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    assert.deepEqual(second.partitions, [], 'the first member has them all still');
    assert.equal(second.epoch, 2);
    second.beat();
    assert.deepEqual(second.partitions, []);
    const before = first.owned;
    first.beat();
    assert.deepEqual(
      [first.epoch, first.partitions],
      [1, [0, 1]],
      'it stays in its epoch until it has given up 2 and 3',
    );
    assert.equal(groups.consumerState, 'Reconciling');
    second.beat();
    assert.deepEqual(second.partitions, [], 'the first member has been told, but has not said that it did');
    first.beat({ owned: before });
    assert.equal(first.epoch, 1);
    first.beat();
    assert.deepEqual([first.epoch, first.partitions], [2, [0, 1]]);
    second.beat();
    assert.deepEqual([second.epoch, second.partitions], [2, [2, 3]]);
    assert.equal(groups.consumerState, 'Stable');
  });

  it('waits for a revocation while the member does not say what it has', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    member(groups, 'm2');
    first.beat({ owned: null });
    first.beat({ owned: null });
    assert.equal(first.epoch, 1);
  });

  it('removes a member that does not give its partitions up within its rebalance time-out', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    first.beat();
    for (let at = 0; at < 4; at++) {
      groups.advance(8000);
      groups.beat({ memberId: 'm1', memberEpoch: 1 });
      second.beat();
    }
    assert.deepEqual(second.partitions, [0, 1]);
    assert.equal(groups.beat({ memberId: 'm1', memberEpoch: 1 })?.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.counters.membersExpired, 1);
  });

  it('removes a member whose session ends, and gives its partitions to the others', () => {
    const groups = groupsWith(2);
    member(groups, 'm1');
    const second = member(groups, 'm2');
    groups.advance(40_000);
    second.beat();
    groups.advance(6000);
    second.beat();
    assert.deepEqual(second.partitions, [0, 1]);
  });

  it('gives what a member had that left to the others', () => {
    const groups = groupsWith(4);
    const members = [member(groups, 'm1'), member(groups, 'm2')];
    settle(members);
    assert.equal(members[0]!.leave(), undefined);
    members[1]!.beat();
    assert.deepEqual(members[1]!.partitions, [0, 1, 2, 3]);
    members[1]!.leave();
    assert.equal(groups.consumerState, 'Empty');
  });

  it('says what has changed only, and all of it to one that says all', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1');
    assert.equal(groups.beat({ memberEpoch: 1 })?.assignment, null);
    assert.deepEqual(
      groups.beat({ memberEpoch: 1, ...JOINING, owned: first.owned })?.assignment,
      first.owned,
    );
  });

  it('goes on after a restart as if nothing had been', () => {
    const groups = groupsWith(5);
    const members = [member(groups, 'm1'), member(groups, 'm2'), member(groups, 'm3', { instanceId: 'i' })];
    settle(members);
    const before = groups.describeConsumer();
    groups.reload();
    assert.deepEqual(groups.describeConsumer(), before);
    for (const each of members) each.beat();
    assert.deepEqual(groups.describeConsumer(), before);
  });

  it('is the same after a restart in the middle of a revocation', () => {
    const groups = groupsWith(4);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    first.beat();
    groups.reload();
    second.beat();
    assert.deepEqual(second.partitions, [], 'what is being given up has its owner still');
    settle([first, second]);
    assert.deepEqual([first.partitions.length, second.partitions.length], [2, 2]);
  });

  it('is spelt out in the log so that nothing is left of a member that has gone', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    first.leave();
    const keys = new Map(
      groups.log.records.map(({ key, value }) => [Buffer.from(key).toString('latin1'), value]),
    );
    const ofMember = [...keys].filter(([key]) => key.endsWith('m1'));
    assert.equal(ofMember.length, 3);
    assert.ok(ofMember.every(([, value]) => value === null));
  });
});

describe('a large group', () => {
  it('gets one assignment for many changes, and its members are told to ask for it soon', () => {
    const groups = groupsWith(4000);
    const first = member(groups, 'm1');
    assert.equal(first.partitions.length, 4000, 'the first one is there at once');
    const second = member(groups, 'm2');
    const third = member(groups, 'm3');
    assert.equal(groups.consumerState, 'Assigning');
    first.beat();
    assert.equal(first.partitions.length, 4000);
    assert.equal(second.heartbeatIntervalMs, 401);
    groups.advance(401);
    settle([first, second, third]);
    assert.deepEqual(
      [first, second, third].map(({ partitions }) => partitions.length),
      [1334, 1333, 1333],
    );
    assert.equal(first.heartbeatIntervalMs, 5000);
    const targets = groups.log.records.filter(({ key }) => key[1] === 6).length;
    assert.equal(targets, 2);
  });
});

describe('the times of a group', () => {
  it('may be its own: sessions go by them, and members are told them', () => {
    const groups = groupsWith(2);
    member(groups, 'm1');
    groups.times.sessionTimeoutMs = 1000;
    const second = member(groups, 'm2');
    groups.advance(1100);
    second.beat();
    assert.equal(second.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(
      groups.beat({ memberId: 'm1', memberEpoch: 1 })?.error,
      undefined,
      'its session began before',
    );
  });
});

describe('the epoch of a member', () => {
  it('that is not the one that is known fences the member', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1');
    assert.equal(groups.beat({ memberEpoch: first.epoch + 1 })?.error, 'FENCED_MEMBER_EPOCH');
    assert.equal(groups.beat({ memberId: 'unknown', memberEpoch: 1 })?.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.beat({ groupId: 'other', memberEpoch: 1 })?.error, 'GROUP_ID_NOT_FOUND');
  });

  it('may be the one before, if the answer was lost: the member can have nothing else then', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    first.beat();
    const lost = { memberId: 'm1', memberEpoch: first.epoch, owned: first.owned };
    assert.equal(groups.beat(lost)?.memberEpoch, 2);
    assert.equal(groups.beat(lost)?.memberEpoch, 2, 'the same once more');
    assert.equal(groups.beat({ ...lost, owned: null })?.error, 'FENCED_MEMBER_EPOCH');
    member(groups, 'm3', { subscribedTopics: ['elsewhere'] });
    assert.equal(groups.beat(lost)?.memberEpoch, 3, 'also after more than one lost answer');
    assert.equal(groups.beat(lost)?.memberEpoch, 3);
    second.beat();
    const stolen = { ...lost, owned: second.owned };
    assert.equal(groups.beat(stolen)?.error, 'FENCED_MEMBER_EPOCH', 'what it does not have any more');
  });

  it('0 lets a member that was fenced come back under its id', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    first.epoch = 99;
    first.beat();
    assert.equal(first.error, 'FENCED_MEMBER_EPOCH');
    first.join();
    assert.deepEqual([first.error, first.partitions], [undefined, [0, 1]]);
  });
});

describe('a request', () => {
  const invalid: readonly (readonly [string, Partial<ConsumerHeartbeatRequest>])[] = [
    ['without a group', { ...JOINING, groupId: '' }],
    ['without a member id', { ...JOINING, memberId: '' }],
    ['with an empty instance id', { ...JOINING, instanceId: '' }],
    ['with an empty rack', { ...JOINING, rackId: '' }],
    ['to join without a rebalance time-out', { ...JOINING, rebalanceTimeoutMs: -1 }],
    ['to join without a subscription', { ...JOINING, subscribedTopics: null }],
    ['to join without saying that it has nothing', { ...JOINING, owned: null }],
    ['to join with partitions', { ...JOINING, owned: new Map([['t', [0]]]) }],
    ['with an epoch that means nothing', { memberEpoch: -3 }],
    ['of a dynamic member to leave for a while', { memberEpoch: -2 }],
  ];
  for (const [title, request] of invalid) {
    it(`${title} is refused`, () => {
      assert.equal(groupsWith(1).beat(request)?.error, 'INVALID_REQUEST');
    });
  }

  it('of the first version need not have a member id to join: it gets one', () => {
    const groups = groupsWith(1);
    groups.beat({ ...JOINING, memberId: '', makesMemberId: false });
    const described = groups.describeConsumer();
    assert.deepEqual(described.error === undefined && described.members.map(({ memberId }) => memberId), [
      'id1',
    ]);
  });

  it('for an assignor that there is not is refused, and makes no group', () => {
    const groups = groupsWith(1);
    assert.equal(groups.beat({ ...JOINING, serverAssignor: 'sticky' })?.error, 'UNSUPPORTED_ASSIGNOR');
    assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
  });

  it('above the limits of members, groups and bytes is refused', () => {
    const groups = groupsWith(1);
    for (let at = 0; at < SETTINGS.consumer.membersMax; at++) member(groups, `m${at}`);
    assert.equal(member(groups, 'more').error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(member(groups, 'm0').error, undefined, 'who is in it already may join again');
    for (let at = 1; at < SETTINGS.groupsMax; at++) member(groups, 'm', { groupId: `g${at}` });
    assert.equal(member(groups, 'm', { groupId: 'more' }).error, 'GROUP_MAX_SIZE_REACHED');
    const long = Array.from({ length: 300 }, (_, at) => `${at}${'x'.repeat(2000)}`);
    assert.equal(member(groups, 'm0', { subscribedTopics: long }).error, 'INVALID_REQUEST');
    const small = groupsWith(1, { metadataBytesMax: 2000 });
    assert.equal(member(small, 'a').error, undefined);
    assert.equal(
      member(small, 'b', { subscribedTopics: ['x'.repeat(1000)] }).error,
      'GROUP_MAX_SIZE_REACHED',
    );
    for (const name of ['clientId', 'rackId', 'instanceId']) {
      const told = { [name]: 'n'.repeat(1000) };
      assert.equal(member(small, 'b', told).error, 'GROUP_MAX_SIZE_REACHED', name);
    }
    assert.equal(member(small, 'b'.repeat(1000)).error, 'GROUP_MAX_SIZE_REACHED');
    small.core.close('NOT_COORDINATOR');
    assert.equal(small.counters.metadataBytes, 0);
  });
});

describe('a static member (KIP-848)', () => {
  it('that leaves for a while finds its partitions again under another id', () => {
    const groups = groupsWith(4);
    const first = member(groups, 'm1', { instanceId: 'i' });
    const second = member(groups, 'm2');
    settle([first, second]);
    const { owned } = first;
    assert.equal(first.leave(-2), undefined);
    second.beat();
    assert.deepEqual(second.partitions.length, 2, 'nobody gets them meanwhile');
    const again = member(groups, 'm3', { instanceId: 'i' });
    assert.deepEqual(again.owned, owned);
    first.beat();
    assert.equal(first.error, 'FENCED_INSTANCE_ID');
    groups.reload();
    again.beat();
    assert.equal(again.error, undefined);
    assert.equal(groups.consumerState, 'Stable');
  });

  it('may come back under its own id too', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1', { instanceId: 'i' });
    first.leave(-2);
    assert.equal(
      groups.beat({ memberId: 'm1', memberEpoch: 1, instanceId: 'i' })?.error,
      'FENCED_MEMBER_EPOCH',
    );
    first.join();
    assert.deepEqual(first.partitions, [0, 1]);
  });

  it('is not replaced by a member that is in the group already: what that one has would belong to nobody', () => {
    const groups = groupsWith(4);
    const first = member(groups, 'm1', { instanceId: 'i' });
    const second = member(groups, 'm2', { instanceId: 'j' });
    settle([first, second]);
    second.leave(-2);
    assert.equal(groups.beat({ ...JOINING, memberId: 'm1', instanceId: 'j' })?.error, 'INVALID_REQUEST');
    groups.advance(30_000);
    first.beat();
    groups.advance(30_000);
    settle([first]);
    assert.deepEqual(first.partitions, [0, 1, 2, 3]);
  });

  it('whose instance id is in use has to wait until that is released', () => {
    const groups = groupsWith(2);
    member(groups, 'm1', { instanceId: 'i' });
    assert.equal(member(groups, 'm2', { instanceId: 'i' }).error, 'UNRELEASED_INSTANCE_ID');
    groups.advance(46_000);
    assert.equal(member(groups, 'm2', { instanceId: 'i' }).error, undefined);
  });

  it('that does not come back in time loses its partitions', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1', { instanceId: 'i' });
    const second = member(groups, 'm2');
    settle([first, second]);
    first.leave(-2);
    groups.advance(30_000);
    second.beat();
    groups.advance(20_000);
    second.beat();
    assert.deepEqual(second.partitions, [0, 1]);
  });

  it('is not known by an instance id that nobody has', () => {
    const groups = groupsWith(1);
    member(groups, 'm1');
    assert.equal(groups.beat({ memberEpoch: 1, instanceId: 'i' })?.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.beat({ memberEpoch: -1, instanceId: 'i' })?.error, 'UNKNOWN_MEMBER_ID');
  });
});

describe('topics', () => {
  it('that get more partitions bring a new assignment with the next heartbeat', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1');
    groups.topics.make('input', 3);
    groups.core.topicsChanged(['input']);
    first.beat();
    assert.deepEqual([first.epoch, first.partitions], [2, [0, 1, 2]]);
  });

  it('that nobody subscribes to bring none', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1');
    groups.topics.make('other', 3);
    groups.core.topicsChanged(['other']);
    first.beat();
    assert.equal(first.epoch, 1);
  });

  it('that changed while the group was not in memory bring one too', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1');
    groups.topics.make('input', 2);
    groups.reload();
    first.beat();
    assert.deepEqual(first.partitions, [0, 1]);
  });

  it('that are deleted are taken away, and made anew are others', () => {
    const groups = groupsWith(2);
    const first = member(groups, 'm1');
    const { owned } = first;
    groups.topics.delete('input');
    groups.core.topicsChanged(['input']);
    first.beat();
    assert.deepEqual(first.partitions, []);
    first.beat();
    groups.topics.make('input', 2);
    groups.core.topicsChanged(['input']);
    first.beat();
    assert.deepEqual(first.partitions, [0, 1]);
    assert.notDeepEqual(first.owned, owned);
  });

  it('may be subscribed to before they exist', () => {
    const groups = groupsWith(1);
    const first = member(groups, 'm1', { subscribedTopics: ['later'] });
    groups.topics.delete('later');
    groups.core.topicsChanged(['later']);
    first.beat();
    first.beat();
    assert.deepEqual(first.partitions, []);
    groups.topics.make('later', 2);
    groups.core.topicsChanged(['later']);
    first.beat();
    assert.deepEqual(first.partitions, [0, 1]);
  });

  it('may be changed by a member', () => {
    const groups = groupsWith(1);
    const other = groups.topics.make('other', 2);
    const first = member(groups, 'm1');
    first.beat({ subscribedTopics: ['other', 'input', 'other'] });
    assert.deepEqual(first.owned.get(other.id), [0, 1]);
    first.beat({ subscribedTopics: ['input'] });
    first.beat();
    assert.deepEqual(first.partitions, [0]);
  });
});

describe('a regular expression', () => {
  function byRegex(groups: Groups, subscribedRegex: string, memberId = 'm1'): ConsumerMember {
    return member(groups, memberId, { subscribedTopics: null, subscribedRegex });
  }

  it('stands for the topics whose whole name it describes', () => {
    const groups = groupsWith(1);
    const first = groups.topics.make('orders-1', 1);
    groups.topics.make('my-orders-2', 1);
    assert.deepEqual(byRegex(groups, 'orders-.*').owned, new Map([[first.id, [0]]]));
  });

  it('is looked at again when topics come and go, also while the group is not in memory', () => {
    const groups = groupsWith(1);
    const first = byRegex(groups, 'orders-.*');
    assert.equal(first.partitions.length, 0);
    groups.topics.make('orders-1', 2);
    groups.core.topicsChanged(['orders-1']);
    first.beat();
    assert.equal(first.partitions.length, 2);
    groups.topics.make('orders-2', 2);
    groups.reload();
    first.beat();
    assert.equal(first.partitions.length, 4);
    groups.topics.delete('orders-1');
    groups.core.topicsChanged(['orders-1']);
    first.beat();
    first.beat();
    assert.equal(first.partitions.length, 2);
  });

  it('of another kind than RE2 is refused', () => {
    const groups = groupsWith(1);
    for (const regex of ['(', '(?=a)', '\\1', 'x'.repeat(20_000)]) {
      assert.equal(byRegex(groups, regex).error, 'INVALID_REGULAR_EXPRESSION');
    }
    const first = member(groups, 'm1');
    first.beat({ subscribedRegex: '(' });
    assert.equal(first.error, 'INVALID_REGULAR_EXPRESSION');
  });

  it('is forgotten with the last member that has it', () => {
    const groups = groupsWith(1);
    const first = byRegex(groups, 'inp.t');
    const second = byRegex(groups, 'inp.t', 'm2');
    second.beat({ subscribedRegex: '', subscribedTopics: ['input'] });
    const tombstones = () =>
      groups.log.records.filter(({ key, value }) => key[1] === 16 && value === null).length;
    assert.equal(tombstones(), 0);
    first.leave();
    assert.equal(tombstones(), 1);
  });

  it('stands for what the member may see only', () => {
    const groups = groupsWith(1);
    const seen = groups.topics.make('orders-1', 1);
    groups.topics.make('orders-secret', 1);
    const maySee = (topic: string) => !topic.includes('secret');
    const first = member(groups, 'm1', { subscribedTopics: null, subscribedRegex: 'orders-.*', maySee });
    assert.deepEqual(first.owned, new Map([[seen.id, [0]]]));
    groups.topics.make('orders-secret-2', 1);
    groups.core.topicsChanged(['orders-secret-2']);
    first.beat({ maySee });
    assert.deepEqual(first.owned, new Map([[seen.id, [0]]]));
  });

  it('stands for what the member may see by now, when rules of access have changed', () => {
    const groups = groupsWith(1);
    groups.topics.make('orders-secret', 1);
    let isAllowed = false;
    const maySee = (topic: string) => isAllowed || !topic.includes('secret');
    const first = member(groups, 'm1', { subscribedTopics: null, subscribedRegex: 'orders-.*', maySee });
    assert.equal(first.partitions.length, 0);
    for (const expected of [1, 0]) {
      isAllowed = !isAllowed;
      groups.core.accessChanged();
      first.beat({ maySee });
      first.beat({ maySee });
      assert.equal(first.partitions.length, expected);
    }
  });

  it('waits for a member that asks where topics change while others go', () => {
    const groups = groupsWith(1);
    const first = byRegex(groups, 'orders-.*');
    const second = byRegex(groups, 'orders-.*', 'm2');
    groups.topics.make('orders-1', 1);
    groups.core.topicsChanged(['orders-1']);
    second.leave();
    first.beat();
    assert.equal(first.partitions.length, 1);
  });

  it('goes together with names', () => {
    const groups = groupsWith(1);
    groups.topics.make('orders-1', 1);
    const first = member(groups, 'm1', { subscribedRegex: 'orders-.*' });
    assert.equal(first.partitions.length, 2);
  });
});

describe('an assignor', () => {
  it('is the one that most members ask for', () => {
    const groups = groupsWith(4);
    const members = [member(groups, 'm1', { serverAssignor: 'range' })];
    const assignor = () => {
      const described = groups.describeConsumer();
      return described.error === undefined && described.assignor;
    };
    assert.equal(assignor(), 'range');
    members.push(
      member(groups, 'm2', { serverAssignor: 'uniform' }),
      member(groups, 'm3', { serverAssignor: 'uniform' }),
    );
    assert.equal(assignor(), 'uniform');
    settle(members);
    assert.equal(groups.consumerState, 'Stable');
  });
});

describe('a consumer group of which the log has only a part', () => {
  it('assigns anew, where a crash came between the batches of a change or a record is lost', () => {
    for (const kept of [0, 1, 2, 3, 4]) {
      const groups = groupsWith(4);
      const first = member(groups, 'm1');
      const second = member(groups, 'm2');
      settle([first, second]);
      assert.deepEqual([first.partitions.length, second.partitions.length], [2, 2]);
      const before = groups.log.entries.length;
      second.leave();
      assert.equal(groups.log.entries.length, before + 4, 'three records of the member, and the epoch');
      groups.log.entries.length = before + kept;
      groups.reload();
      for (let at = 0; at < 12; at++) {
        groups.advance(5000);
        first.beat();
        if (first.error !== undefined) first.join();
      }
      assert.deepEqual(first.partitions, [0, 1, 2, 3], `${kept} records are left`);
    }
  });

  it('begins no new epoch where all of it is there', () => {
    const groups = groupsWith(2);
    const members = ['m1', 'm2', 'm3'].map((id) => member(groups, id));
    settle(members);
    const before = groups.describeConsumer();
    groups.reload();
    settle(members);
    assert.deepEqual(groups.describeConsumer(), before);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MEMBER_METADATA_BYTES_MAX } from '../../src/groups/membership.core.ts';
import { Groups, subscription } from './harness.ts';

describe('a classic group', () => {
  it('makes its first member the leader, and hands out what it assigns', () => {
    const groups = new Groups();
    const [joined] = groups.join();
    assert.equal(joined?.error, undefined);
    assert.equal(joined?.generationId, 1);
    assert.equal(joined?.leader, joined?.memberId);
    assert.equal(joined?.protocolName, 'range');
    assert.deepEqual(
      joined?.members.map(({ memberId }) => memberId),
      [joined?.memberId],
    );
    assert.equal(groups.state, 'CompletingRebalance');
    const [synced] = groups.sync(joined, { [joined.memberId]: 'all' });
    assert.equal(Buffer.from(synced!.assignment).toString(), 'all');
    assert.equal(groups.state, 'Stable');
    assert.equal(groups.heartbeat(joined), undefined);
  });

  it('answers a sync when the assignments are durable, not before', () => {
    const groups = new Groups();
    const [joined] = groups.join();
    groups.log.held = true;
    const answers = groups.sync(joined!, { [joined!.memberId]: 'all' });
    assert.equal(answers.length, 0);
    groups.log.settle();
    assert.equal(answers.length, 1);
    assert.equal(groups.state, 'Stable');
  });

  it('tells new members their ids first where they know of that (KIP-394), and forgets those that nobody uses', () => {
    const groups = new Groups();
    const [told] = groups.join({ requiresKnownMemberId: true });
    assert.equal(told?.error, 'MEMBER_ID_REQUIRED');
    const [joined] = groups.join({ requiresKnownMemberId: true, memberId: told.memberId });
    assert.equal(joined?.memberId, told?.memberId);
    const unused = new Groups();
    unused.join({ requiresKnownMemberId: true });
    unused.advance(10_000);
    assert.equal(unused.state, 'GROUP_ID_NOT_FOUND');
  });

  it('waits for an id that was given out, as long as its session would last', () => {
    const groups = new Groups();
    const first = groups.single();
    groups.join({ requiresKnownMemberId: true });
    const second = groups.join();
    groups.heartbeat(first);
    assert.equal(groups.join({ memberId: first.memberId }).length, 0);
    assert.equal(second.length, 0);
    groups.advance(10_000);
    assert.equal(second[0]?.generationId, 2);
  });

  it('that was empty waits for more members, and each newcomer extends that, up to the rebalance time-out (KIP-134)', () => {
    const groups = new Groups({ initialRebalanceDelayMs: 1000 });
    const first = groups.join({ rebalanceTimeoutMs: 2500 });
    groups.advance(900);
    const second = groups.join({ rebalanceTimeoutMs: 2500 });
    groups.advance(900);
    const third = groups.join({ rebalanceTimeoutMs: 2500 });
    groups.advance(600);
    assert.deepEqual([...first, ...second, ...third], [], 'the second extension goes on');
    groups.advance(100);
    assert.deepEqual(
      [first, second, third].map(([answer]) => answer?.generationId),
      [1, 1, 1],
    );
    assert.equal(first[0]?.members.length, 3);
  });

  it('begins a rebalance when somebody joins, and completes it when all have come', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    assert.equal(groups.state, 'PreparingRebalance');
    assert.equal(groups.heartbeat(first), 'REBALANCE_IN_PROGRESS');
    const again = groups.join({ memberId: first.memberId });
    assert.equal(again[0]?.generationId, 2);
    assert.equal(second[0]?.generationId, 2);
    assert.equal(second[0]?.leader, first.memberId);
    assert.deepEqual(second[0]?.members, []);
    assert.equal(again[0]?.members.length, 2);
  });

  it('goes on without those that do not come back within the rebalance time-out', () => {
    const groups = new Groups();
    groups.single({ sessionTimeoutMs: 60_000 });
    const second = groups.join();
    groups.advance(29_999);
    assert.equal(second.length, 0);
    groups.advance(1);
    assert.equal(second[0]?.leader, second[0]?.memberId);
    assert.equal(second[0]?.members.length, 1);
    assert.equal(groups.counters.membersExpired, 1);
  });

  it('removes members that joined a generation and never asked for their assignment', () => {
    const groups = new Groups();
    const first = groups.single({ sessionTimeoutMs: 60_000 });
    const second = groups.join({ sessionTimeoutMs: 60_000 });
    const [again] = groups.join({ memberId: first.memberId, sessionTimeoutMs: 60_000 });
    groups.sync(again!, { [first.memberId]: 'a', [second[0]!.memberId]: 'b' });
    assert.equal(groups.state, 'Stable');
    groups.advance(30_000);
    assert.equal(groups.heartbeat(second[0]!), 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.heartbeat(again!), 'REBALANCE_IN_PROGRESS');
  });

  it('answers members that wait for their assignment when a newcomer begins another rebalance', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    groups.join({ memberId: first.memberId });
    const waiting = groups.sync(second[0]!);
    assert.equal(waiting.length, 0);
    groups.join();
    assert.equal(waiting[0]?.error, 'REBALANCE_IN_PROGRESS');
  });

  it('removes a member whose session is over, and becomes empty after the last one', () => {
    const groups = new Groups();
    const joined = groups.single();
    groups.advance(9_999);
    assert.equal(groups.heartbeat(joined), undefined);
    groups.advance(9_999);
    assert.equal(groups.state, 'Stable');
    groups.advance(1);
    assert.equal(groups.state, 'Empty');
    assert.equal(groups.heartbeat(joined), 'UNKNOWN_MEMBER_ID');
  });

  it('keeps members that wait for the others, however long that takes', () => {
    const groups = new Groups();
    const first = groups.single({ sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 50_000 });
    groups.heartbeat(first);
    const second = groups.join({ sessionTimeoutMs: 1000 });
    groups.advance(40_000);
    assert.equal(second.length, 0);
    groups.join({ memberId: first.memberId, sessionTimeoutMs: 60_000 });
    assert.equal(second[0]?.error, undefined);
  });

  it('hears of members again that waited for their assignment for longer than their sessions', () => {
    const groups = new Groups();
    const first = groups.single({ sessionTimeoutMs: 60_000 });
    const second = groups.join({ sessionTimeoutMs: 10_000 });
    const [again] = groups.join({ memberId: first.memberId, sessionTimeoutMs: 60_000 });
    const waiting = groups.sync(second[0]!);
    groups.advance(15_000);
    groups.sync(again!, { [second[0]!.memberId]: 'b' });
    assert.equal(Buffer.from(waiting[0]!.assignment).toString(), 'b');
    groups.advance(9_999);
    assert.equal(groups.state, 'Stable', 'its session has begun anew');
    groups.advance(1);
    assert.equal(groups.state, 'PreparingRebalance');
  });

  it('hears of them again, too, when a rebalance cancels their wait', () => {
    const groups = new Groups();
    const first = groups.single({ sessionTimeoutMs: 60_000 });
    const second = groups.join({ sessionTimeoutMs: 10_000 });
    const [again] = groups.join({ memberId: first.memberId, sessionTimeoutMs: 60_000 });
    const waiting = groups.sync(second[0]!);
    groups.advance(15_000);
    groups.leave(again!.memberId);
    assert.equal(waiting[0]?.error, 'REBALANCE_IN_PROGRESS');
    groups.advance(10_000);
    assert.equal(groups.state, 'Empty', 'it has not come back');
  });

  it('takes the assignments of a leader once, however often it asks while they are written', () => {
    const groups = new Groups();
    const [joined] = groups.join();
    groups.log.held = true;
    groups.sync(joined!, { [joined!.memberId]: 'first' });
    const later = groups.sync(joined!, { [joined!.memberId]: 'second' });
    groups.log.settle();
    assert.equal(Buffer.from(later[0]!.assignment).toString(), 'first');
    groups.log.held = false;
    groups.reload();
    assert.equal(Buffer.from(groups.sync(joined!)[0]!.assignment).toString(), 'first');
  });

  it('refuses assignments that are too large, and lets nobody wait for them', () => {
    const groups = new Groups();
    const first = groups.single({ sessionTimeoutMs: 60_000 });
    const second = groups.join();
    const [again] = groups.join({ memberId: first.memberId, sessionTimeoutMs: 60_000 });
    const waiting = groups.sync(second[0]!);
    const refused = groups.sync(again!, { [second[0]!.memberId]: 'x'.repeat(33 * 1024 * 1024) });
    assert.equal(refused[0]?.error, 'INVALID_REQUEST');
    assert.equal(waiting[0]?.error, 'REBALANCE_IN_PROGRESS');
    assert.equal(groups.state, 'PreparingRebalance');
  });

  it('takes no assignments of an older generation', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    const [again] = groups.join({ memberId: first.memberId });
    assert.equal(groups.sync(first, { [first.memberId]: 'stale' })[0]?.error, 'ILLEGAL_GENERATION');
    assert.equal(groups.state, 'CompletingRebalance');
    groups.sync(again!, { [second[0]!.memberId]: 'b' });
    assert.equal(Buffer.from(groups.sync(second[0]!)[0]!.assignment).toString(), 'b');
  });

  it('rebalances when a member leaves', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    groups.join({ memberId: first.memberId });
    assert.equal(groups.leave(second[0]!.memberId).results[0]?.error, undefined);
    assert.equal(groups.heartbeat({ memberId: first.memberId, generationId: 2 }), 'REBALANCE_IN_PROGRESS');
    assert.equal(groups.leave('nobody').results[0]?.error, 'UNKNOWN_MEMBER_ID');
  });

  it('chooses the protocol that most members prefer among those that all know', () => {
    const groups = new Groups();
    const of = (...names: string[]) => names.map((name) => ({ name, metadata: subscription('input') }));
    const first = groups.single({ protocols: of('sticky', 'range', 'mine') });
    const second = groups.join({ protocols: of('range', 'sticky') });
    const third = groups.join({ protocols: of('range', 'sticky') });
    groups.join({ memberId: first.memberId, protocols: of('sticky', 'range', 'mine') });
    assert.equal(second[0]?.protocolName, 'range');
    assert.equal(third[0]?.protocolName, 'range');
  });

  it('refuses members with which it has no protocol in common', () => {
    const groups = new Groups();
    groups.single();
    const metadata = subscription('input');
    assert.equal(
      groups.join({ protocols: [{ name: 'other', metadata }] })[0]?.error,
      'INCONSISTENT_GROUP_PROTOCOL',
    );
    assert.equal(groups.join({ protocolType: 'connect' })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
    assert.equal(new Groups().join({ protocols: [] })[0]?.error, 'INCONSISTENT_GROUP_PROTOCOL');
  });

  it('refuses what its limits do not allow', () => {
    const groups = new Groups({ membersMax: 1, groupsMax: 1 });
    assert.equal(groups.join({ groupId: '' })[0]?.error, 'INVALID_GROUP_ID');
    assert.equal(groups.join({ sessionTimeoutMs: 999 })[0]?.error, 'INVALID_SESSION_TIMEOUT');
    assert.equal(groups.join({ sessionTimeoutMs: 60_001 })[0]?.error, 'INVALID_SESSION_TIMEOUT');
    const metadata = new Uint8Array(MEMBER_METADATA_BYTES_MAX + 1);
    assert.equal(groups.join({ protocols: [{ name: 'range', metadata }] })[0]?.error, 'INVALID_REQUEST');
    groups.single();
    assert.equal(groups.join()[0]?.error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(groups.join({ groupId: 'h' })[0]?.error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(groups.join({ memberId: 'x', groupId: 'h' })[0]?.error, 'UNKNOWN_MEMBER_ID');
  });

  it('counts what its members have told, names included, and lets them come again at the limit', () => {
    const groups = new Groups({ metadataBytesMax: 2_000_000 });
    const protocols = [{ name: 'range', metadata: new Uint8Array(900_000) }];
    const first = groups.single({ protocols });
    groups.join({ protocols });
    assert.equal(groups.join({ protocols })[0]?.error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(groups.join({ protocols, groupId: 'h' })[0]?.error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(groups.join({ protocols, memberId: first.memberId })[0]?.generationId, 2);
    const names = [{ name: 'n'.repeat(600_000), metadata: new Uint8Array(0) }];
    assert.equal(groups.join({ protocols: names })[0]?.error, 'INVALID_REQUEST');
    const many = Array.from({ length: 101 }, (_, at) => ({ name: `p${at}`, metadata: new Uint8Array(0) }));
    assert.equal(groups.join({ protocols: many })[0]?.error, 'INVALID_REQUEST');
    groups.reload();
    assert.ok(groups.counters.metadataBytes > 900_000);
    groups.advance(100_000);
    assert.equal(groups.counters.metadataBytes, 0);
  });

  it('counts the names of clients and instances, which are kept as well', () => {
    const groups = new Groups({ metadataBytesMax: 200_000 });
    const [clientId, groupInstanceId] = ['c'.repeat(32_000), 'i'.repeat(32_000)];
    const first = groups.single({ clientId });
    const named = groups.single({ groupId: 'h', groupInstanceId });
    assert.equal(named.error, undefined);
    groups.join({ groupId: 'i', clientId });
    assert.equal(groups.join({ groupId: 'i', clientId })[0]?.error, 'GROUP_MAX_SIZE_REACHED');
    // It comes again under a shorter name.
    groups.join({ memberId: first.memberId });
    assert.equal(groups.join({ groupId: 'i', clientId }).length, 0, 'it waits for the other one');
    groups.reload();
    for (let at = 0; at < 10; at++) groups.advance(60_000);
    assert.equal(groups.counters.metadataBytes, 0);
  });

  it('gives out ids that come back as they were, whatever the client is called', () => {
    const groups = new Groups();
    const clientId = `${'a'.repeat(254)}\u{1F600}`;
    const [told] = groups.join({ requiresKnownMemberId: true, clientId });
    assert.equal(told?.memberId.isWellFormed(), true);
  });

  it('repeats its answer to a member that did not get it, and rebalances when its leader comes again', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    const [again] = groups.join({ memberId: first.memberId });
    const repeated = groups.join({ memberId: second[0]!.memberId });
    assert.deepEqual(repeated, second);
    groups.sync(again!, { [first.memberId]: 'a', [second[0]!.memberId]: 'b' });
    assert.equal(groups.join({ memberId: second[0]!.memberId })[0]?.generationId, 2);
    assert.equal(groups.join({ memberId: first.memberId }).length, 0);
    assert.equal(groups.state, 'PreparingRebalance');
  });

  it('answers the later of two requests of one member', () => {
    const groups = new Groups();
    groups.single();
    const [told] = groups.join({ requiresKnownMemberId: true });
    const early = groups.join({ memberId: told!.memberId });
    const late = groups.join({ memberId: told!.memberId });
    assert.equal(early[0]?.error, 'REBALANCE_IN_PROGRESS');
    assert.equal(late.length, 0);
    groups.advance(30_000);
    assert.equal(late[0]?.error, undefined);
  });
});

describe('a static member (KIP-345)', () => {
  const groupInstanceId = 'instance';

  it('takes its place back without a rebalance; its old process is fenced', () => {
    const groups = new Groups();
    const first = groups.single({ groupInstanceId });
    const [second] = groups.join({ groupInstanceId });
    assert.notEqual(second?.memberId, first.memberId);
    assert.equal(second?.generationId, 1);
    assert.equal(second?.skipAssignment, true);
    assert.equal(second?.leader, second?.memberId);
    assert.equal(groups.state, 'Stable');
    assert.equal(groups.heartbeat(first, groupInstanceId), 'FENCED_INSTANCE_ID');
    const [synced] = groups.sync(second, {}, groupInstanceId);
    assert.equal(Buffer.from(synced!.assignment).toString(), 'all');
    groups.reload();
    assert.equal(groups.heartbeat(second, groupInstanceId), undefined);
  });

  it('that leads is not told so before JoinGroup v9, or it would assign anew', () => {
    const groups = new Groups();
    const first = groups.single({ groupInstanceId });
    const [second] = groups.join({ groupInstanceId, canSkipAssignment: false });
    assert.equal(second?.leader, first.memberId);
    assert.deepEqual(second?.members, []);
  });

  it('keeps its place over a rebalance until its session ends', () => {
    const groups = new Groups();
    groups.single({ groupInstanceId, sessionTimeoutMs: 60_000 });
    const second = groups.join();
    groups.advance(30_000);
    assert.equal(second[0]?.members.length, 2);
    groups.sync(second[0], {});
    groups.advance(30_000);
    assert.equal(groups.describe().error, undefined);
  });

  it('is removed by its instance id alone', () => {
    const groups = new Groups();
    groups.single({ groupInstanceId });
    assert.equal(groups.leave('', 'unknown').results[0]?.error, 'UNKNOWN_MEMBER_ID');
    assert.equal(groups.leave('another', groupInstanceId).results[0]?.error, 'FENCED_INSTANCE_ID');
    assert.equal(groups.leave('', groupInstanceId).results[0]?.error, undefined);
    assert.equal(groups.state, 'Empty');
  });

  it('does not come by an id that was given to a dynamic one', () => {
    const groups = new Groups();
    groups.single({ groupInstanceId });
    const [told] = groups.join({ requiresKnownMemberId: true });
    const answer = groups.join({ memberId: told!.memberId, groupInstanceId });
    assert.equal(answer[0]?.error, 'UNKNOWN_MEMBER_ID');
  });

  it('fences the one that waits under its name', () => {
    const groups = new Groups();
    groups.single();
    const early = groups.join({ groupInstanceId });
    assert.equal(early.length, 0);
    const late = groups.join({ groupInstanceId });
    assert.equal(early[0]?.error, 'FENCED_INSTANCE_ID');
    assert.equal(late.length, 0);
  });
});

describe('after a restart', () => {
  it('members work on in their generation', () => {
    const groups = new Groups();
    const joined = groups.single();
    groups.reload();
    assert.equal(groups.state, 'Stable');
    assert.equal(groups.heartbeat(joined), undefined);
    const [synced] = groups.sync(joined);
    assert.equal(Buffer.from(synced!.assignment).toString(), 'all');
  });

  it('members that do not come back lose their place', () => {
    const groups = new Groups();
    groups.single();
    groups.reload();
    groups.advance(10_000);
    assert.equal(groups.state, 'Empty');
  });

  it('those who waited were told to look for the coordinator', () => {
    const groups = new Groups();
    const first = groups.single();
    const second = groups.join();
    groups.reload();
    assert.equal(second[0]?.error, 'NOT_COORDINATOR');
    assert.equal(groups.heartbeat(first), undefined);
  });

  it('an empty group remembers its generation', () => {
    const groups = new Groups();
    groups.single();
    groups.commit(5, { memberId: 'x', generationId: 9 });
    groups.leave(groups.describe().error === undefined ? 'c-id1' : '');
    assert.equal(groups.state, 'Empty');
    groups.reload();
    assert.equal(groups.join()[0]?.generationId, 3);
  });
});

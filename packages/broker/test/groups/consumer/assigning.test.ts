import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConsumerHeartbeatRequest } from '../../../src/groups/consumer/types.ts';
import { Groups, SETTINGS } from '../harness.ts';
import { ClassicMember } from './classic-member.ts';
import { ConsumerMember } from './member.ts';

/** So many that there is a pause between two assignments. */
const PARTITIONS = 1200;
const STEPS_PER_TURN_MAX = 500;
const SETTLE_MS = 20_000;

function groupsWith(partitions: number): Groups {
  const consumer = { ...SETTINGS.consumer, assignmentStepsPerTurnMax: STEPS_PER_TURN_MAX };
  const groups = new Groups({ ...SETTINGS, consumer, sessionTimeoutMaxMs: 600_000 });
  groups.times.sessionTimeoutMs = 600_000;
  groups.topics.make('input', partitions);
  return groups;
}

function member(
  groups: Groups,
  memberId: string,
  joining: Partial<ConsumerHeartbeatRequest> = {},
): ConsumerMember {
  return new ConsumerMember(groups, memberId, { rebalanceTimeoutMs: 600_000, ...joining });
}

/** Until an assignment is made and everybody has what it shall have. */
function settle(groups: Groups, members: readonly ConsumerMember[]): void {
  for (let round = 0; round < 6; round++) {
    groups.advance(SETTLE_MS);
    for (const each of members) each.beat();
  }
  assert.equal(groups.consumerState, 'Stable');
}

function assertShared(members: readonly ConsumerMember[], partitions = PARTITIONS): void {
  const owned = members.flatMap((each) => each.partitions);
  assert.equal(owned.length, partitions);
  assert.equal(new Set(owned).size, partitions);
  for (const each of members) {
    assert.ok(Math.abs(each.partitions.length - partitions / members.length) <= 1, each.memberId);
  }
}

/** How often the core has to be called until it has nothing to do at once any more. */
function turnsOf(groups: Groups): number {
  let turns = 0;
  while (groups.core.nextDeadlineMs <= groups.nowMs + 1) {
    groups.nowMs = Math.max(groups.nowMs, groups.core.nextDeadlineMs);
    groups.core.tick(groups.now);
    turns++;
  }
  return turns;
}

describe('an assignment that takes longer than a turn', () => {
  it('is made over several, and members are told to ask for it soon', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    assert.equal(groups.consumerState, 'Assigning');
    assert.equal(first.epoch, 1, 'not 0, which would mean that it joins');
    assert.equal(first.partitions.length, 0);
    assert.equal(first.heartbeatIntervalMs, 100);
    const turns = turnsOf(groups);
    assert.ok(turns > 5 && turns < 50, `${turns} turns`);
    first.beat();
    assert.equal(first.partitions.length, PARTITIONS);
    assert.equal(groups.consumerState, 'Stable');
  });

  it('takes a turn of its own for each group, one group after the other', () => {
    const groups = groupsWith(PARTITIONS);
    const alone = turnsOf2(groups, ['g']);
    const together = turnsOf2(groupsWith(PARTITIONS), ['g1', 'g2', 'g3']);
    assert.equal(together, 3 * alone);
  });

  it('takes fewer steps at a time while other coordinators make assignments too', () => {
    const groups = groupsWith(PARTITIONS);
    const alone = turnsOf2(groups, ['g']);
    assert.equal(groups.counters.assigning, 0);
    const others = groupsWith(PARTITIONS);
    others.counters.assigning = 3;
    const together = turnsOf2(others, ['g']);
    assert.ok(together > 2 * alone, `${together} turns, not ${alone}`);
    assert.equal(others.counters.assigning, 3);
  });

  it('counts among those under way until its coordinator is given up', () => {
    const groups = groupsWith(PARTITIONS);
    member(groups, 'm1');
    assert.equal(groups.counters.assigning, 1);
    groups.core.close('NOT_COORDINATOR');
    assert.equal(groups.counters.assigning, 0);
  });

  it('is not begun again by the heartbeats of those who wait for it', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    for (let beats = 0; beats < 100; beats++) first.beat();
    assert.ok(turnsOf(groups) < 50);
    const epochs = groups.log.records.filter(({ key }) => key[1] === 6).length;
    assert.equal(epochs, 2, 'that of nothing, and that of the assignment');
  });

  it('leaves out who has joined meanwhile: the next one is for them', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    turnsOf(groups);
    first.beat();
    second.beat();
    assert.equal(first.partitions.length, PARTITIONS);
    assert.equal(groups.consumerState, 'Assigning');
    settle(groups, [first, second]);
    assertShared([first, second]);
  });

  it('leaves out who has gone meanwhile', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    settle(groups, [first, second]);
    const third = member(groups, 'm3');
    assert.equal(groups.consumerState, 'Assigning');
    second.leave();
    turnsOf(groups);
    const ofGone = groups.log.records.filter(({ key }) => Buffer.from(key).includes('m2')).slice(-3);
    assert.ok(ofGone.every(({ value }) => value === null));
    settle(groups, [first, third]);
    assertShared([first, third]);
    groups.reload();
    settle(groups, [first, third]);
    assertShared([first, third]);
  });

  it('gives nobody what it does not subscribe to any more', () => {
    const groups = groupsWith(PARTITIONS);
    groups.topics.make('other', 3);
    const first = member(groups, 'm1');
    const second = member(groups, 'm2');
    turnsOf(groups);
    groups.advance(SETTLE_MS);
    second.beat();
    second.beat({ subscribedTopics: ['other'] });
    turnsOf(groups);
    second.beat();
    assert.equal(second.partitions.length, 0);
    settle(groups, [first, second]);
    assert.equal(first.partitions.length, PARTITIONS);
    assert.deepEqual(second.partitions, [0, 1, 2]);
  });

  it('is for a static member also when that has come back under another id meanwhile', () => {
    const groups = groupsWith(PARTITIONS);
    const fixed = { instanceId: 'fixed' };
    const first = member(groups, 'm1');
    const old = member(groups, 'm2', fixed);
    settle(groups, [first, old]);
    const third = member(groups, 'm3');
    assert.equal(groups.consumerState, 'Assigning');
    assert.equal(old.leave(-2), undefined);
    const back = member(groups, 'm4', fixed);
    turnsOf(groups);
    settle(groups, [first, back, third]);
    assertShared([first, back, third]);
    groups.reload();
    settle(groups, [first, back, third]);
    assertShared([first, back, third]);
  });

  it('is begun anew after a restart', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    groups.reload();
    assert.equal(turnsOf(groups), 0);
    first.beat();
    assert.ok(turnsOf(groups) > 0);
    first.beat();
    assert.equal(first.partitions.length, PARTITIONS);
  });

  it('ends with its group, of which nothing is written any more', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    first.leave();
    let failure: unknown = 'none';
    groups.core.deleteGroup('g', (error) => (failure = error));
    assert.equal(failure, undefined);
    const { length } = groups.log.records;
    turnsOf(groups);
    assert.equal(groups.log.records.length, length);
    assert.equal(groups.consumerState, 'GROUP_ID_NOT_FOUND');
  });
});

describe('a member of the classic protocol', () => {
  it('is answered when there is an assignment that counts it in', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    turnsOf(groups);
    first.beat();
    groups.advance(SETTLE_MS);
    const classic = new ClassicMember(groups, 'cooperative', () => PARTITIONS);
    classic.step();
    classic.step();
    assert.equal(classic.state, 'joining');
    classic.step();
    assert.equal(classic.state, 'joining', 'no answer yet');
    turnsOf(groups);
    classic.step();
    assert.equal(classic.state, 'syncing');
    assert.equal(classic.generation, 3);
    for (let round = 0; round < 10; round++) {
      first.beat();
      classic.step();
      groups.advance(1000);
    }
    assert.equal(classic.error, undefined);
    assert.equal(first.partitions.length + classic.owned.length, PARTITIONS);
    assert.equal(classic.owned.length, PARTITIONS / 2);
  });

  it('that joins while one is made without it gets the next one at once', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    const classic = new ClassicMember(groups, 'cooperative', () => PARTITIONS);
    classic.step();
    classic.step();
    turnsOf(groups);
    classic.step();
    assert.equal(classic.state, 'syncing');
    assert.equal(classic.generation, 3);
    first.beat();
    assert.equal(first.epoch, 3);
  });

  it('is told to join again when its group has become a classic one before that', () => {
    const groups = groupsWith(PARTITIONS);
    const first = member(groups, 'm1');
    const classic = new ClassicMember(groups, 'cooperative', () => PARTITIONS);
    classic.step();
    classic.step();
    first.leave();
    assert.equal(groups.state, 'PreparingRebalance');
    classic.step();
    assert.equal(classic.error, 'REBALANCE_IN_PROGRESS');
    turnsOf(groups);
    for (let round = 0; round < 20; round++) {
      classic.step();
      groups.advance(1000);
    }
    assert.equal(groups.state, 'Stable');
    assert.equal(classic.owned.length, PARTITIONS);
  });

  it('that has left while it waited is told that it is no member', () => {
    const groups = groupsWith(PARTITIONS);
    member(groups, 'm1');
    const answers = groups.join({ requiresKnownMemberId: false });
    assert.equal(answers.length, 0);
    const memberId = groups.log.records
      .map(({ key }) => Buffer.from(key).toString())
      .map((key) => /id\d+/.exec(key)?.[0])
      .find((id) => id !== undefined)!;
    assert.equal(groups.leave(memberId).results[0]!.error, undefined);
    turnsOf(groups);
    groups.advance(SETTLE_MS);
    assert.equal(answers[0]?.error, 'UNKNOWN_MEMBER_ID');
  });

  it('is told where to look when the coordinator moves while it waits', () => {
    const groups = groupsWith(PARTITIONS);
    member(groups, 'm1');
    const answers = groups.join({ requiresKnownMemberId: false });
    groups.reload();
    assert.equal(answers[0]?.error, 'NOT_COORDINATOR');
  });
});

/** Turns for the first members of some groups. */
function turnsOf2(groups: Groups, groupIds: readonly string[]): number {
  for (const groupId of groupIds) member(groups, 'm', { groupId });
  return turnsOf(groups);
}

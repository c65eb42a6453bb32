import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExpressionCache } from '../../../src/expressions/cache.ts';
import { SLICE_MS, StepBudget, STEPS_PER_SLICE } from '../../../src/expressions/step-budget.core.ts';
import { REGEXES_PER_GROUP_MAX } from '../../../src/groups/membership.core.ts';
import { Groups, SETTINGS } from '../harness.ts';
import { ConsumerMember } from './member.ts';

/** More than are looked at in one turn. */
const TOPICS = 2000;
/** What looking at one topic takes at least, in steps. */
const TOPICS_PER_SLICE = STEPS_PER_SLICE / 100;
/** Whoever has had a slice lets others come first. */
const NEXT_SLICE_MS = SLICE_MS + 1;
/** Of a record of a regular expression. */
const REGEX_KEY = 16;

function withTopics(count = TOPICS, shared: ConstructorParameters<typeof Groups>[1] = {}): Groups {
  // Assignments are made at once: they are not what this is about.
  const consumer = { ...SETTINGS.consumer, membersMax: 2000, assignmentStepsPerTurnMax: Infinity };
  const groups = new Groups({ membersMax: 2000, consumer }, shared);
  for (let index = 0; index < count; index++) groups.topics.make(`t-${String(index).padStart(5, '0')}`, 1);
  return groups;
}

interface Watched {
  readonly member: ConsumerMember;
  /** Topics that were looked at since this was last asked: those that the expression describes. */
  readonly looked: () => number;
}

function subscribe(groups: Groups, subscribedRegex: string, memberId = 'm1', groupId = 'g'): Watched {
  let count = 0;
  const maySee = (): boolean => {
    count++;
    return true;
  };
  const joining = { groupId, subscribedTopics: null, subscribedRegex, maySee };
  const looked = (): number => {
    const before = count;
    count = 0;
    return before;
  };
  return { member: new ConsumerMember(groups, memberId, joining), looked };
}

function regexRecords(groups: Groups): number {
  return groups.log.records.filter(({ key, value }) => key[1] === REGEX_KEY && value !== null).length;
}

function epochOf(groups: Groups, groupId = 'g'): number {
  const described = groups.describeConsumer(groupId);
  assert.equal(described.error, undefined);
  return described.error === undefined ? described.groupEpoch : -1;
}

/** All that is to be looked at has been, and the member has what it shall have. */
function finish(groups: Groups, { member }: Watched): void {
  groups.advance(2000);
  member.beat();
  member.beat();
}

describe('the search for the topics of a regular expression', () => {
  it('looks at no more topics in a turn than there is time for, and begins an epoch when it has ended', () => {
    const groups = withTopics();
    const watched = subscribe(groups, 't-.*');
    assert.equal(watched.looked(), TOPICS_PER_SLICE);
    assert.deepEqual(watched.member.partitions, []);
    assert.equal(regexRecords(groups), 0);
    const epoch = epochOf(groups);
    for (let slice = 1; slice < TOPICS / TOPICS_PER_SLICE; slice++) {
      assert.equal(epochOf(groups), epoch);
      groups.advance(NEXT_SLICE_MS);
      assert.equal(watched.looked(), TOPICS_PER_SLICE);
    }
    groups.advance(NEXT_SLICE_MS);
    assert.equal(regexRecords(groups), 1);
    // What was found is counted, and hashed.
    groups.advance(NEXT_SLICE_MS);
    assert.equal(epochOf(groups), epoch + 1);
    watched.member.beat();
    assert.equal(watched.member.partitions.length, TOPICS);
    assert.equal(groups.core.nextDeadlineMs > groups.nowMs + 1000, true, 'nothing is left to do soon');
  });

  it('takes longer for an expression that takes longer, and counts names by their length', () => {
    const groups = withTopics(0);
    for (let index = 0; index < 20; index++) groups.topics.make(`${'a'.repeat(240)}${index}`, 1);
    const watched = subscribe(groups, '.*a.{100}.*');
    assert.ok(watched.looked() <= 2);
    groups.advance(NEXT_SLICE_MS);
    assert.ok(watched.looked() <= 2);
    finish(groups, watched);
    assert.equal(watched.member.partitions.length, 20);
  });

  it('makes members ask soon what became of it', () => {
    const groups = withTopics();
    const watched = subscribe(groups, 't-.*');
    assert.equal(watched.member.heartbeatIntervalMs, 500);
    finish(groups, watched);
    assert.equal(watched.member.heartbeatIntervalMs, groups.times.heartbeatIntervalMs);
  });

  it('shares the time with that of other groups, which take turns', () => {
    const groups = withTopics();
    const first = subscribe(groups, 't-.*', 'm1', 'g1');
    const second = subscribe(groups, 't-0.*', 'm2', 'g2');
    assert.equal(first.looked() + second.looked(), TOPICS_PER_SLICE);
    for (let slice = 0; slice < 4; slice++) {
      groups.advance(NEXT_SLICE_MS);
      const [left, right] = [first.looked(), second.looked()];
      assert.equal(left + right, TOPICS_PER_SLICE);
      assert.ok(left === 0 || right === 0);
    }
    groups.advance(1000);
    for (const { member } of [first, second]) {
      member.beat();
      assert.equal(member.partitions.length, TOPICS);
    }
  });

  it('shares the time with those of other coordinators, none of which is always the first', () => {
    const budget = new StepBudget();
    const coordinators = [withTopics(TOPICS, { budget }), withTopics(TOPICS, { budget })];
    const searches = coordinators.map((groups) => subscribe(groups, 't-.*'));
    const most = [0, 0];
    for (let ms = 0; ms < 5 * SLICE_MS; ms++) {
      for (const [index, groups] of coordinators.entries()) {
        groups.advance(1);
        most[index]! += searches[index]!.looked();
      }
    }
    assert.ok(most[0]! >= 2 * TOPICS_PER_SLICE - 100, `${most[0]}`);
    assert.ok(most[1]! >= 2 * TOPICS_PER_SLICE - 100, `${most[1]}`);
  });

  it('ends where expressions are forgotten as soon as others are compiled, which takes all of the time', () => {
    const groups = withTopics(200, { expressions: new ExpressionCache({ bytesMax: 1 }) });
    const costly = (name: string): string => `t-.*|${name}${String.raw`\pL`.repeat(80)}`;
    const watched = ['a', 'b', 'c'].map((name) => subscribe(groups, costly(name), `m-${name}`, `g-${name}`));
    for (const one of watched) {
      finish(groups, one);
      assert.equal(one.member.partitions.length, 200);
    }
  });

  it('does not take up all that many expressions stand for in one turn because one topic is new', () => {
    const groups = withTopics();
    for (let index = 0; index < REGEXES_PER_GROUP_MAX; index++) {
      subscribe(groups, `t-.*|${index}`, `m${index}`);
    }
    groups.advance(20_000);
    const asking = subscribe(groups, 't-.*|0', 'm0');
    assert.equal(regexRecords(groups), REGEXES_PER_GROUP_MAX);
    groups.topics.make('t-new', 1);
    groups.core.topicsChanged(['t-new']);
    groups.advance(NEXT_SLICE_MS);
    asking.member.beat();
    const inTheFirstTurn = regexRecords(groups) - REGEXES_PER_GROUP_MAX;
    assert.ok(inTheFirstTurn > 0 && inTheFirstTurn <= 5, `${inTheFirstTurn}`);
    groups.advance(5000);
    assert.equal(regexRecords(groups), 2 * REGEXES_PER_GROUP_MAX);
  });

  it('does not have thousands of members ask all the time what became of it', () => {
    const groups = withTopics();
    groups.budget.take(Infinity);
    for (let index = 0; index < 1500; index++) subscribe(groups, 't-.*', `m${index}`);
    assert.equal(subscribe(groups, 't-.*', 'last').member.heartbeatIntervalMs, 1501);
  });

  it('looks at what came and went meanwhile when it has ended', () => {
    const groups = withTopics();
    const watched = subscribe(groups, '[a-z]-.*');
    groups.topics.make('a-new', 1);
    groups.topics.delete('t-00000');
    groups.topics.delete('t-01999');
    groups.core.topicsChanged(['a-new', 't-00000', 't-01999']);
    watched.member.beat();
    finish(groups, watched);
    assert.equal(watched.member.partitions.length, TOPICS - 2 + 1);
  });

  it('begins anew when rules of access have changed meanwhile', () => {
    const groups = withTopics();
    let hidden = '';
    const maySee = (topic: string): boolean => topic !== hidden;
    const member = new ConsumerMember(groups, 'm1', {
      subscribedTopics: null,
      subscribedRegex: 't-.*',
      maySee,
    });
    hidden = 't-00001';
    groups.core.accessChanged();
    groups.advance(1000);
    for (let round = 0; round < 2; round++) {
      member.beat({ maySee });
      groups.advance(1000);
      member.beat({ maySee });
    }
    assert.equal(member.partitions.length, TOPICS - 1);
  });

  it('takes up expressions that come while it runs, and forgets those that go', () => {
    const groups = withTopics();
    const first = subscribe(groups, 't-0.*', 'm1');
    const second = subscribe(groups, 't-00.*', 'm2');
    const third = subscribe(groups, 't-000.*', 'm3');
    second.member.leave();
    groups.advance(2000);
    for (let round = 0; round < 4; round++) for (const { member } of [first, third]) member.beat();
    assert.equal(regexRecords(groups), 2);
    const all = [...first.member.partitions, ...third.member.partitions];
    assert.equal(all.length, TOPICS);
    assert.ok(third.member.partitions.length > 0);
  });

  it('ends with its group', () => {
    const groups = withTopics();
    const watched = subscribe(groups, 't-.*');
    watched.looked();
    watched.member.leave();
    groups.core.deleteGroup('g', () => undefined);
    groups.advance(1000);
    assert.equal(watched.looked(), 0);
    assert.equal(regexRecords(groups), 0);
    assert.equal(groups.counters.metadataBytes, 0);
  });

  it('begins anew after a load', () => {
    const groups = withTopics();
    const watched = subscribe(groups, 't-.*');
    groups.reload();
    watched.member.beat();
    finish(groups, watched);
    assert.equal(watched.member.partitions.length, TOPICS);
  });

  it('compiles an expression once for all members, heartbeats and changes of topics', () => {
    const groups = withTopics(10);
    const members = ['m1', 'm2', 'm3'].map((id) => subscribe(groups, 't-.*', id).member);
    for (let round = 0; round < 5; round++) {
      groups.topics.make(`t-new-${round}`, 1);
      groups.core.topicsChanged([`t-new-${round}`]);
      for (const member of members) member.beat({ subscribedRegex: 't-.*' });
    }
    groups.reload();
    for (const member of members) member.beat();
    assert.equal(groups.expressions.compilations, 1);
  });
});

describe('the expressions of a group', () => {
  it('are no more than a limit', () => {
    const groups = withTopics(1);
    for (let index = 0; index < REGEXES_PER_GROUP_MAX; index++) {
      assert.equal(subscribe(groups, `t-${index}`, `m${index}`).member.error, undefined);
    }
    assert.equal(subscribe(groups, 'other', 'late').member.error, 'GROUP_MAX_SIZE_REACHED');
    assert.equal(subscribe(groups, 't-7', 'late').member.error, undefined);
  });

  it('count in memory with the topics that they stand for', () => {
    const few = withTopics(100);
    finish(few, subscribe(few, 't-.*'));
    const many = withTopics(400);
    const watched = subscribe(many, 't-.*');
    finish(many, watched);
    const each = (many.counters.metadataBytes - few.counters.metadataBytes) / 300;
    assert.ok(each >= 40 && each < 100, `${each} bytes a topic`);
    many.reload();
    assert.equal(many.counters.metadataBytes > 300 * 40, true);
    watched.member.beat({ subscribedRegex: '', subscribedTopics: ['t-00001'] });
    assert.ok(many.counters.metadataBytes < few.counters.metadataBytes);
  });

  it('keep others out where they take the memory that there is', () => {
    const groups = new Groups({ metadataBytesMax: 20_000 });
    for (let index = 0; index < 500; index++) groups.topics.make(`t-${index}`, 1);
    finish(groups, subscribe(groups, 't-.*', 'm1', 'g1'));
    assert.equal(subscribe(groups, 't-1.*', 'm2', 'g2').member.error, 'GROUP_MAX_SIZE_REACHED');
  });
});

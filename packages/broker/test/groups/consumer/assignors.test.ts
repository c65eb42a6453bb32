import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Assignment, partitionCount } from '../../../src/groups/consumer/assignment.core.ts';
import type { AssignorInput, GroupAssignment } from '../../../src/groups/consumer/assignor.core.ts';
import { ASSIGNORS, type AssignorName } from '../../../src/groups/consumer/assignors.core.ts';
import { Steps } from '../../../src/groups/consumer/work.core.ts';

const TOPICS = ['t0', 't1', 't2', 't3', 't4'];

/** An {@link AssignorInput} by names. */
interface Named {
  readonly members: readonly {
    readonly memberId: string;
    readonly instanceId: string | null;
    readonly topics: ReadonlySet<string>;
    readonly before: Assignment;
  }[];
  readonly partitionCounts: ReadonlyMap<string, number>;
}

interface Fixture {
  readonly members: readonly {
    readonly id: number;
    readonly isStatic: boolean;
    readonly topics: readonly string[];
  }[];
  readonly counts: readonly number[];
}

const counts = fc.array(fc.integer({ min: 1, max: 12 }), {
  minLength: TOPICS.length,
  maxLength: TOPICS.length,
});
const alike = fc.record({
  members: fc
    .uniqueArray(fc.nat(50), { minLength: 1, maxLength: 12 })
    .chain((ids) =>
      fc
        .tuple(
          fc.subarray(TOPICS, { minLength: 1 }),
          fc.array(fc.boolean(), { minLength: ids.length, maxLength: ids.length }),
        )
        .map(([topics, isStatic]) => ids.map((id, index) => ({ id, isStatic: isStatic[index]!, topics }))),
    ),
  counts,
});
const different: fc.Arbitrary<Fixture> = fc.record({
  members: fc.uniqueArray(
    fc.record({ id: fc.nat(50), isStatic: fc.boolean(), topics: fc.subarray(TOPICS, { minLength: 1 }) }),
    { selector: ({ id }) => id, minLength: 1, maxLength: 12 },
  ),
  counts,
});

function inputOf({ members, counts: numbers }: Fixture, before?: GroupAssignment): Named {
  const subscribed = new Set(members.flatMap(({ topics }) => topics));
  return {
    members: members.map(({ id, isStatic, topics }) => {
      const memberId = `m${id}`;
      return {
        memberId,
        instanceId: isStatic ? `i${id}` : null,
        topics: new Set(topics),
        before: before?.get(memberId) ?? new Map(),
      };
    }),
    partitionCounts: new Map(
      TOPICS.flatMap((topic, index) => (subscribed.has(topic) ? [[topic, numbers[index]!] as const] : [])),
    ),
  };
}

function assign(name: AssignorName, named: Named): GroupAssignment {
  const { result } = new Steps(ASSIGNORS[name](byIndexes(named))).run(Infinity)!;
  assertComplete(named, result);
  return result;
}

function byIndexes({ members, partitionCounts }: Named): AssignorInput {
  const ids = [...partitionCounts.keys()].sort();
  const texts: string[] = [];
  const subscriptions: Int32Array[] = [];
  return {
    topics: ids.map((id) => ({ id, partitions: partitionCounts.get(id)! })),
    members: members.map(({ memberId, instanceId, topics, before }) => {
      const indexes = ids.flatMap((id, index) => (topics.has(id) ? [index] : []));
      const text = indexes.join();
      let subscription = texts.indexOf(text);
      if (subscription === -1) {
        subscription = texts.push(text) - 1;
        subscriptions.push(Int32Array.from(indexes));
      }
      return { memberId, instanceId, subscription, before };
    }),
    subscriptions,
  };
}

/** Each partition has one owner, and that one subscribes to it. */
function assertComplete({ members, partitionCounts }: Named, assignment: GroupAssignment): void {
  assert.deepEqual([...assignment.keys()].sort(), members.map(({ memberId }) => memberId).sort());
  const owned: string[] = [];
  for (const { memberId, topics } of members) {
    for (const [topicId, partitions] of assignment.get(memberId)!) {
      assert.ok(topics.has(topicId), `${memberId} has ${topicId} without a subscription`);
      assert.ok(partitions.length > 0);
      assert.deepEqual(
        partitions,
        [...new Set(partitions)].sort((left, right) => left - right),
      );
      for (const partition of partitions) owned.push(`${topicId}-${partition}`);
    }
  }
  const all = [...partitionCounts].flatMap(([topicId, count]) =>
    Array.from({ length: count }, (_, partition) => `${topicId}-${partition}`),
  );
  assert.deepEqual(owned.sort(), all.sort());
}

function loadsOf(assignment: GroupAssignment): Map<string, number> {
  return new Map([...assignment].map(([memberId, assigned]) => [memberId, partitionCount(assigned)]));
}

/** Partitions that somebody had, and that another member has now. */
function movedBetween(
  before: GroupAssignment,
  after: GroupAssignment,
): { memberId: string; partition: string }[] {
  const ownerBefore = new Map<string, string>();
  for (const [memberId, assigned] of before)
    for (const name of namesOf(assigned)) ownerBefore.set(name, memberId);
  return [...after].flatMap(([memberId, assigned]) =>
    namesOf(assigned)
      .filter((name) => ownerBefore.has(name) && ownerBefore.get(name) !== memberId)
      .map((partition) => ({ memberId, partition })),
  );
}

function namesOf(assigned: Assignment): string[] {
  return [...assigned].flatMap(([topicId, partitions]) =>
    partitions.map((partition) => `${topicId}-${partition}`),
  );
}

describe('the assignor uniform', () => {
  it('gives everybody the same number, or one more, where all subscribe to the same', () => {
    fc.assert(
      fc.property(alike, (fixture) => {
        const loads = [...loadsOf(assign('uniform', inputOf(fixture))).values()];
        assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, loads.join(' '));
      }),
    );
  });

  it('leaves no partition with an owner that has two more than another subscriber', () => {
    fc.assert(
      fc.property(different, (fixture) => {
        const input = inputOf(fixture);
        assertBalanced(input, assign('uniform', input));
      }),
      { numRuns: 500 },
    );
  });

  it('changes nothing where nothing has changed', () => {
    fc.assert(
      fc.property(fc.oneof(alike, different), (fixture) => {
        const once = assign('uniform', inputOf(fixture));
        assert.deepEqual(assign('uniform', inputOf(fixture, once)), once);
      }),
    );
  });

  it('moves partitions to a newcomer only, and those of a member that leaves only', () => {
    fc.assert(
      fc.property(alike, fc.nat(), (fixture, chosen) => {
        const gone = fixture.members[chosen % fixture.members.length]!;
        const rest = { ...fixture, members: fixture.members.filter((member) => member !== gone) };
        fc.pre(rest.members.length > 0);
        const without = assign('uniform', inputOf(rest));
        const joined = assign('uniform', inputOf(fixture, without));
        for (const { memberId } of movedBetween(without, joined)) assert.equal(memberId, `m${gone.id}`);
        const left = assign('uniform', inputOf(rest, joined));
        const ofGone = new Set(namesOf(joined.get(`m${gone.id}`)!));
        for (const { partition } of movedBetween(joined, left)) assert.ok(ofGone.has(partition));
      }),
    );
  });

  it('stays complete and balanced whatever the members had before', () => {
    fc.assert(
      fc.property(different, different, (first, second) => {
        const before = assign('uniform', inputOf(first));
        const input = inputOf(second, before);
        const after = assign('uniform', input);
        assertBalanced(input, after);
        assert.deepEqual(
          assign('uniform', inputOf(second, before)),
          after,
          'the same input, the same result',
        );
      }),
      { numRuns: 500 },
    );
  });

  it('does not mind what is claimed twice, is gone or was never subscribed to', () => {
    const claimed: Assignment = new Map([
      ['t0', [0, 1, 2, 99]],
      ['gone', [0]],
    ]);
    const members = ['a', 'b'].map((memberId) => ({
      memberId,
      instanceId: null,
      topics: new Set(['t0']),
      before: claimed,
    }));
    const assignment = assign('uniform', { members, partitionCounts: new Map([['t0', 4]]) });
    assert.deepEqual(
      loadsOf(assignment),
      new Map([
        ['a', 2],
        ['b', 2],
      ]),
    );
  });

  it('spreads the partitions of a topic over the members', () => {
    const members = ['a', 'b'].map((memberId) => ({
      memberId,
      instanceId: null,
      topics: new Set(['t0', 't1']),
      before: new Map(),
    }));
    const assignment = assign('uniform', {
      members,
      partitionCounts: new Map([
        ['t0', 2],
        ['t1', 2],
      ]),
    });
    assert.deepEqual(
      assignment.get('a'),
      new Map([
        ['t0', [0]],
        ['t1', [0]],
      ]),
    );
  });
});

function assertBalanced({ members, partitionCounts }: Named, assignment: GroupAssignment): void {
  const loads = loadsOf(assignment);
  for (const topicId of partitionCounts.keys()) {
    const subscribers = members.filter(({ topics }) => topics.has(topicId));
    const least = Math.min(...subscribers.map(({ memberId }) => loads.get(memberId)!));
    for (const { memberId } of subscribers) {
      if (!assignment.get(memberId)!.has(topicId)) continue;
      assert.ok(loads.get(memberId)! <= least + 1, `${memberId} should give a partition of ${topicId} away`);
    }
  }
}

describe('the assignor range', () => {
  it('cuts each topic into consecutive ranges that differ by one at most', () => {
    fc.assert(
      fc.property(different, (fixture) => {
        const input = inputOf(fixture);
        const assignment = assign('range', input);
        for (const [topicId, count] of input.partitionCounts) {
          const subscribers = input.members.filter(({ topics }) => topics.has(topicId));
          for (const { memberId } of subscribers) {
            const partitions = assignment.get(memberId)!.get(topicId) ?? [];
            const least = Math.floor(count / subscribers.length);
            assert.ok(partitions.length === least || partitions.length === least + 1);
            assert.ok(partitions.every((partition, index) => partition === partitions[0]! + index));
          }
        }
      }),
    );
  });

  it('gives the same partitions of topics of the same size to the same members', () => {
    fc.assert(
      fc.property(alike, fc.integer({ min: 1, max: 12 }), (fixture, count) => {
        const input = inputOf({ ...fixture, counts: TOPICS.map(() => count) });
        for (const assigned of assign('range', input).values()) {
          const all = [...assigned.values()];
          for (const partitions of all) assert.deepEqual(partitions, all[0]);
        }
      }),
    );
  });

  it('leaves everybody alone when a static member comes back under another id', () => {
    fc.assert(
      fc.property(different, (fixture) => {
        const input = inputOf({
          ...fixture,
          members: fixture.members.map((member) => Object.assign(member, { isStatic: true })),
        });
        const renamed = {
          ...input,
          members: input.members.map((member) => ({
            ...member,
            memberId: `${50 - Number(member.memberId.slice(1))}`,
          })),
        };
        const before = [...assign('range', input).values()];
        assert.deepEqual([...assign('range', renamed).values()], before);
      }),
    );
  });
});

describe('both assignors', () => {
  for (const name of ['uniform', 'range'] as const) {
    it(`${name}: give the same whatever the order of members and topics`, () => {
      fc.assert(
        fc.property(different, (fixture) => {
          const input = inputOf(fixture);
          const reversed = {
            members: [...input.members].reverse(),
            partitionCounts: new Map([...input.partitionCounts].reverse()),
          };
          const [one, other] = [assign(name, input), assign(name, reversed)];
          for (const [memberId, assigned] of one)
            assert.deepEqual(sorted(other.get(memberId)!), sorted(assigned));
        }),
      );
    });

    it(`${name}: assign nothing to nobody`, () => {
      assert.equal(assign(name, { members: [], partitionCounts: new Map() }).size, 0);
    });
  }
});

function sorted(assigned: Assignment): unknown {
  return [...assigned].sort(([left], [right]) => (left < right ? -1 : 1));
}

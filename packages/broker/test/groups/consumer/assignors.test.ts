import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Assignment, normalized, partitionCount } from '../../../src/groups/consumer/assignment.core.ts';
import type { AssignorInput, GroupAssignment } from '../../../src/groups/consumer/assignor.core.ts';
import { ASSIGNORS, type AssignorName } from '../../../src/groups/consumer/assignors.core.ts';
import { sorted as sortedInSteps, Steps } from '../../../src/groups/consumer/work.core.ts';

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

  it('gives members with the same subscription the same number, or one more', () => {
    fc.assert(
      fc.property(different, different, (first, second) => {
        const input = inputOf(second, assign('uniform', inputOf(first)));
        const loads = loadsOf(assign('uniform', input));
        for (const { memberId, topics } of input.members) {
          for (const other of input.members) {
            if ([...other.topics].join() !== [...topics].join()) continue;
            assert.ok(loads.get(memberId)! <= loads.get(other.memberId)! + 1);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('moves nothing when a member has gone that had nothing', () => {
    fc.assert(
      fc.property(different, (fixture) => {
        const before = assign('uniform', inputOf(fixture));
        const gone = fixture.members.find(({ id }) => before.get(`m${id}`)!.size === 0);
        fc.pre(gone !== undefined);
        const rest = { ...fixture, members: fixture.members.filter((member) => member !== gone) };
        const after = assign('uniform', inputOf(rest, before));
        for (const [memberId, assigned] of after) assert.deepEqual(assigned, before.get(memberId));
      }),
      { numRuns: 30 },
    );
  });

  it('is as even and moves as little as single moves from the greatest to the least load do, by and large', () => {
    let squares = 0;
    let moves = 0;
    let squaresOfSimple = 0;
    let movesOfSimple = 0;
    for (const [first, second] of fc.sample(fc.tuple(different, different), { numRuns: 400, seed: 7 })) {
      const before = assign('uniform', inputOf(first));
      const input = inputOf(second, before);
      const after = assign('uniform', input);
      const simple = simplyAssigned(input);
      assertBalanced(input, simple);
      squares += sumOfSquares(after);
      squaresOfSimple += sumOfSquares(simple);
      moves += movedBetween(before, after).length;
      movesOfSimple += movedBetween(before, simple).length;
    }
    assert.ok(squares <= squaresOfSimple * 1.005, `${squares} of ${squaresOfSimple}`);
    assert.ok(moves <= movesOfSimple * 1.01, `${moves} of ${movesOfSimple}`);
  });

  it('gives up no more than a newcomer with another subscription needs', () => {
    const topics = ['t0', 't1'];
    const old = ['a', 'b', 'c'].map((memberId) => ({ memberId, instanceId: null, topics: new Set(topics) }));
    const partitionCounts = new Map(topics.map((topic) => [topic, 6] as const));
    const nothing: Assignment = new Map();
    const before = assign('uniform', {
      members: old.map((member) => ({ ...member, before: nothing })),
      partitionCounts,
    });
    const newcomer = { memberId: 'd', instanceId: null, topics: new Set(['t1']), before: nothing };
    const members = [...old.map((member) => ({ ...member, before: before.get(member.memberId)! })), newcomer];
    const after = assign('uniform', { members, partitionCounts });
    assert.deepEqual([...loadsOf(after).values()], [3, 3, 3, 3]);
    assert.deepEqual(
      movedBetween(before, after).map(({ memberId }) => memberId),
      ['d', 'd', 'd'],
    );
  });

  it('takes from who has too much what others may have, rather than to shift partitions among those that stay', () => {
    const before = new Map<string, Assignment>([
      [
        'a',
        normalized([
          ['t1', [0, 1]],
          ['t0', [1]],
        ]),
      ],
      [
        'b',
        normalized([
          ['t1', [2, 3]],
          ['t0', [0]],
        ]),
      ],
      ['c', new Map()],
    ]);
    const members = [...before].map(([memberId, had]) => ({
      memberId,
      instanceId: null,
      topics: new Set(memberId === 'c' ? ['t1'] : ['t0', 't1']),
      before: had,
    }));
    const after = assign('uniform', {
      members,
      partitionCounts: new Map([
        ['t0', 2],
        ['t1', 4],
      ]),
    });
    assert.deepEqual([...loadsOf(after).values()], [2, 2, 2]);
    assert.deepEqual(
      movedBetween(before, after).map(({ memberId }) => memberId),
      ['c', 'c'],
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

/** The same by the simplest means: keep, give what is free to the least load, move from the greatest to the least load while that helps. */
function simplyAssigned({ members: all, partitionCounts }: Named): GroupAssignment {
  const members = all.map(({ memberId, topics, before }) => ({
    memberId,
    topics,
    before,
    has: new Set<string>(),
  }));
  const topics = [...partitionCounts.keys()];
  const kept = new Set<string>();
  for (const { before, has, topics: subscribed } of members) {
    for (const name of namesOf(before)) {
      const [topic, partition] = name.split('-') as [string, string];
      const exists = Number(partition) < (partitionCounts.get(topic) ?? 0);
      if (!exists || !subscribed.has(topic) || kept.has(name)) continue;
      kept.add(name);
      has.add(name);
    }
  }
  const subscribersOf = (topic: string) =>
    members
      .filter((member) => member.topics.has(topic))
      .sort((left, right) => left.has.size - right.has.size);
  topics.sort((left, right) => subscribersOf(left).length - subscribersOf(right).length);
  for (const topic of topics) {
    for (let partition = 0; partition < partitionCounts.get(topic)!; partition++) {
      const name = `${topic}-${partition}`;
      if (!kept.has(name)) subscribersOf(topic)[0]!.has.add(name);
    }
  }
  for (let hasMoved = true; hasMoved;) {
    hasMoved = false;
    for (const topic of topics) {
      const subscribers = subscribersOf(topic);
      const to = subscribers[0]!;
      const from = subscribers.findLast(({ has }) => [...has].some((name) => name.startsWith(`${topic}-`)))!;
      if (from.has.size < to.has.size + 2) continue;
      const moved = [...from.has].findLast((name) => name.startsWith(`${topic}-`))!;
      from.has.delete(moved);
      to.has.add(moved);
      hasMoved = true;
    }
  }
  return new Map(
    members.map(({ memberId, has }) => [
      memberId,
      normalized([...has].map((name) => [name.split('-')[0]!, [Number(name.split('-')[1])]] as const)),
    ]),
  );
}

function sumOfSquares(assignment: GroupAssignment): number {
  return [...loadsOf(assignment).values()].reduce((sum, load) => sum + load * load, 0);
}

describe('the work of an assignor', () => {
  const MEMBERS = 300;
  const TOPICS_EACH = 20;

  /** Each member subscribes to more of the topics than the one before it; or to a few of its own and its neighbour. */
  function large(kind: 'nested' | 'chain', owner?: number): AssignorInput {
    const topics = Array.from({ length: MEMBERS * TOPICS_EACH }, (_, index) => ({
      id: `t${String(index).padStart(6, '0')}`,
      partitions: 5,
    }));
    const subscriptions = Array.from({ length: MEMBERS }, (_, index) => {
      const from = kind === 'nested' ? 0 : index * TOPICS_EACH;
      const to =
        kind === 'nested' ? (index + 1) * TOPICS_EACH : Math.min(from + 2 * TOPICS_EACH, topics.length);
      return Int32Array.from({ length: to - from }, (_topic, at) => from + at);
    });
    const everything = new Map(topics.map(({ id }) => [id, [0, 1, 2, 3, 4]] as const));
    const members = subscriptions.map((_, subscription) => ({
      memberId: `m${String(subscription).padStart(6, '0')}`,
      instanceId: null,
      subscription,
      before: subscription === owner ? everything : new Map<string, number[]>(),
    }));
    return { members, topics, subscriptions };
  }

  for (const [name, kind, owner] of [
    ['uniform', 'nested', undefined],
    ['uniform', 'nested', MEMBERS - 1],
    ['uniform', 'chain', undefined],
    ['range', 'nested', undefined],
  ] as const) {
    it(`is in proportion to its input: ${name}, ${kind}${owner === undefined ? '' : ', from one that has all'}`, () => {
      const input = large(kind, owner);
      const steps = new Steps(ASSIGNORS[name](input));
      const { result } = steps.run(Infinity)!;
      const partitions = 5 * input.topics.length;
      assert.equal(
        [...loadsOf(result).values()].reduce((sum, load) => sum + load, 0),
        partitions,
      );
      const subscribed = input.subscriptions.reduce((sum, { length }) => sum + length, 0);
      const size = MEMBERS + partitions + subscribed;
      assert.ok(steps.taken < 10 * size, `${steps.taken} steps for ${size}`);
      if (name === 'uniform') assert.ok(steps.taken < 20 * (MEMBERS + partitions) + subscribed);
    });
  }

  it('can be stopped after any few steps, and comes to the same', () => {
    const work = new Steps(ASSIGNORS.uniform(large('nested')));
    let turns = 0;
    let found;
    while (found === undefined) {
      const before = work.taken;
      found = work.run(1000);
      turns++;
      assert.ok(work.taken - before < 8000, `${work.taken - before} steps in one turn`);
    }
    assert.ok(turns > 100);
    assert.deepEqual(found, new Steps(ASSIGNORS.uniform(large('nested'))).run(Infinity));
  });

  it('sorts as sorting does, in short steps', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { maxLength: 3000, size: 'max' }), (numbers) => {
        const items = numbers.map((number, index) => ({ number, index }));
        const byNumber = (left: { number: number }, right: { number: number }) => left.number - right.number;
        assert.deepEqual(
          new Steps(sortedInSteps(items, byNumber)).run(Infinity)!.result,
          items.toSorted(byNumber),
        );
      }),
      { numRuns: 30 },
    );
  });
});

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

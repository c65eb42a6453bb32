import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NO_METADATA } from '../../../src/groups/consumer/consumer-group.core.ts';
import { SubscribedTopics } from '../../../src/groups/consumer/subscribed-topics.core.ts';
import { assignorInputOf } from '../../../src/groups/consumer/subscriptions.core.ts';
import type { KnownTopic, TopicView } from '../../../src/groups/consumer/types.ts';
import { Steps } from '../../../src/groups/consumer/work.core.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];

/** Partitions by name; 0: there is no such topic. Topics that are asked for are counted. */
class View implements TopicView {
  version = 1;
  asked = 0;
  readonly partitions = new Map<string, number>();

  byName(name: string): KnownTopic | undefined {
    this.asked++;
    const partitions = this.partitions.get(name) ?? 0;
    return partitions === 0 ? undefined : { id: `id-${name}`, name, partitions };
  }

  byId(): undefined {
    return undefined;
  }

  names(): Iterable<string> {
    return this.partitions.keys();
  }
}

function viewOf(partitions: Readonly<Record<string, number>>): View {
  const view = new View();
  for (const [name, count] of Object.entries(partitions)) view.partitions.set(name, count);
  return view;
}

describe('the topics that a group subscribes to', () => {
  const lists = fc.array(fc.subarray(NAMES), { maxLength: 6 });
  const counts = fc.array(fc.nat(3), { minLength: NAMES.length, maxLength: NAMES.length });

  it('have a hash that says what they are by now, whatever came before', () => {
    fc.assert(
      fc.property(lists, lists, counts, counts, (first, second, before, after) => {
        const view = viewOf(Object.fromEntries(NAMES.map((name, index) => [name, before[index]!])));
        const subscribed = new SubscribedTopics();
        for (const names of first) subscribed.add(names);
        subscribed.hash(view);
        for (const names of second) subscribed.add(names);
        for (const names of first) subscribed.remove(names);
        const changed = NAMES.filter((_, index) => before[index] !== after[index]);
        for (const [index, name] of NAMES.entries()) view.partitions.set(name, after[index]!);
        subscribed.changed(changed);
        const anew = new SubscribedTopics();
        for (const names of second.toReversed()) anew.add(names.toReversed());
        assert.equal(subscribed.hash(view), anew.hash(view));
        for (const name of NAMES) {
          assert.equal(subscribed.has(name), second.flat().includes(name), name);
        }
      }),
    );
  });

  it('have another hash when a topic comes, grows or goes, and never 0', () => {
    const hashes = [{}, { a: 1 }, { a: 2 }, { b: 1 }, { a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 2 }].map(
      (partitions) => {
        const subscribed = new SubscribedTopics();
        subscribed.add(['a', 'b']);
        return subscribed.hash(viewOf(partitions));
      },
    );
    assert.equal(new Set(hashes).size, hashes.length);
    assert.ok(!hashes.includes(0n));
  });

  it('cost what changes of them, however many there are', () => {
    const subscribed = new SubscribedTopics();
    const many = Array.from({ length: 1000 }, (_, index) => `topic-${index}`);
    const view = viewOf(Object.fromEntries(many.map((name) => [name, 1])));
    subscribed.add(many);
    subscribed.hash(view);
    view.asked = 0;
    subscribed.add([...many, 'one-more']);
    subscribed.remove(many);
    subscribed.hash(view);
    assert.equal(view.asked, 1);
    subscribed.changed(['topic-3', 'of-others']);
    subscribed.hash(view);
    assert.equal(view.asked, 2);
  });
});

describe('what an assignor sees of a group', () => {
  interface Fixture {
    readonly topics: readonly string[];
    readonly resolved?: readonly string[];
  }

  function inputOf(view: TopicView, members: readonly Fixture[]) {
    const snapshot = members.map(({ topics, resolved = [] }, index) => ({
      memberId: `m${index}`,
      metadata: { ...NO_METADATA, topics },
      resolved,
      before: new Map(),
    }));
    const steps = new Steps(assignorInputOf(snapshot, view));
    const input = steps.run(Infinity)!.result;
    const subscribedBy = input.members.map(({ subscription }) =>
      Array.from(input.subscriptions[subscription]!, (topic) => input.topics[topic]!.id),
    );
    return { input, subscribedBy, steps: steps.taken };
  }

  it('is the topics that exist, in the order of their ids, and each subscription once', () => {
    const view = viewOf({ a: 1, b: 2, c: 3 });
    const { input, subscribedBy } = inputOf(view, [
      { topics: ['c', 'a', 'gone'] },
      { topics: ['a', 'c'] },
      { topics: [], resolved: ['b', 'c'] },
      { topics: ['b'], resolved: ['c', 'b'] },
      { topics: [] },
    ]);
    assert.deepEqual(
      input.topics.map(({ id, partitions }) => [id, partitions]),
      [
        ['id-a', 1],
        ['id-b', 2],
        ['id-c', 3],
      ],
    );
    assert.deepEqual(subscribedBy, [
      ['id-a', 'id-c'],
      ['id-a', 'id-c'],
      ['id-b', 'id-c'],
      ['id-b', 'id-c'],
      [],
    ]);
    assert.equal(input.subscriptions.length, 3);
  });

  it('asks for a topic once, and reads an expression once, however many members have it', () => {
    const many = Array.from({ length: 5000 }, (_, index) => `topic-${index}`);
    const view = viewOf(Object.fromEntries(many.map((name) => [name, 1])));
    const alone = inputOf(view, [{ topics: [], resolved: many }]).steps;
    view.asked = 0;
    const members = Array.from({ length: 1000 }, () => ({ topics: [], resolved: many }));
    const { steps } = inputOf(view, members);
    assert.equal(view.asked, many.length);
    assert.ok(steps < alone + 5 * members.length, `${steps} steps, ${alone} for one member`);
  });

  it('is bounded where members with names have expressions too, and no topic is left out', () => {
    const many = Array.from({ length: 3000 }, (_, index) => `topic-${index}`);
    const names = Array.from({ length: 2000 }, (_, index) => `name-${index}`);
    const view = viewOf(Object.fromEntries([...many, ...names].map((name) => [name, 1])));
    const { input, subscribedBy } = inputOf(
      view,
      names.map((name) => ({ topics: [name], resolved: many })),
    );
    const sum = input.subscriptions.reduce((all, { length }) => all + length, 0);
    assert.ok(sum < 2_100_000, `${sum} topics of subscriptions`);
    assert.equal(subscribedBy[0]!.length, 1 + many.length);
    assert.deepEqual(subscribedBy.at(-1), ['id-name-1999']);
    assert.equal(new Set(subscribedBy.flat()).size, many.length + names.length);
  });
});

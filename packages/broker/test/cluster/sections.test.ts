import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ImageBuilder } from '../../src/cluster/image-builder.ts';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import { decodeKeyPart, encodeKeyPart, type SectionName } from '../../src/cluster/sections.ts';
import type { Transaction } from '../../src/metadata/types.ts';
import { openCluster } from '../support/cluster-bench.ts';

describe('A section of the cluster image', () => {
  it('shows a change once its promise has resolved, and tells which section changed', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const changed: SectionName[] = [];
    tracker.onChange(({ sections }) => changed.push(...sections));
    const before = tracker.image.section('users/');
    await writer.change('users/', ['alice'], () => new Map([['alice', { iterations: 4096 }]]));
    assert.deepEqual([...tracker.image.section('users/').entries()], [['alice', { iterations: 4096 }]]);
    assert.equal(before.size, 0);
    assert.deepEqual(changed, ['users/']);
    assert.equal(tracker.image.section('acls/').size, 0);
    await writer.change('users/', ['alice'], () => new Map([['alice', undefined]]));
    assert.equal(tracker.image.section('users/').size, 0);
  });

  it('decides anew when another change came in between, and loses neither', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const add = () =>
      writer.change('quotas/', ['count'], (records) => {
        const count = (records.get('count') as number | undefined) ?? 0;
        return new Map([['count', count + 1]]);
      });
    await Promise.all(Array.from({ length: 5 }, add));
    assert.equal(tracker.image.section('quotas/').get('count'), 5);
  });

  it('takes more records than one transaction holds, and loads as it was built', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const records = Array.from({ length: 300 }, (_, index) => [`k${index}`, { index }] as const);
    await writer.change(
      'acls/',
      records.map(([key]) => key),
      () => new Map(records),
    );
    await writer.changeAny('acls/', (present) => {
      assert.equal(present.size, 300);
      return new Map([...present.keys()].filter((key) => key !== 'k7').map((key) => [key, undefined]));
    });
    const { entries, revision } = await store.range('');
    const loaded = new ImageBuilder().load(entries, revision).section('acls/');
    assert.deepEqual([...loaded.entries()], [['k7', { index: 7 }]]);
    assert.deepEqual([...tracker.image.section('acls/').entries()], [...loaded.entries()]);
  });

  it('is not read when a change names its keys', async () => {
    const { store, tracker } = await openCluster();
    const asked: string[] = [];
    const counting = {
      get: (key: string) => {
        asked.push(key);
        return store.get(key);
      },
      range: () => assert.fail('all records were read'),
      transact: (transaction: Transaction) => store.transact(transaction),
    };
    const writer = new SectionWriter({ store: counting, tracker });
    const many = Array.from({ length: 300 }, (_, index) => [`k${index}`, { index }] as const);
    await writer.change('users/', new Map(many).keys(), () => new Map(many));
    asked.length = 0;
    await writer.change('users/', ['k7', 'k8'], (records) => {
      assert.deepEqual([records.get('k7'), records.size], [{ index: 7 }, 300]);
      assert.throws(() => records.get('k9'), /users\/k9 was not named/);
      return new Map([['k8', undefined]]);
    });
    assert.deepEqual(asked, ['users/k7', 'users/k8']);
    assert.equal(tracker.image.section('users/').size, 299);
  });

  it('is decided about anew with what is written already as it was, and keeps what came in between', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`);
    await writer.change('users/', keys, () => new Map(keys.map((key) => [key, 'before'])));
    const others = [
      // Of a step that is to come, and of one that is written.
      { kind: 'put', key: 'users/k299', value: '"another"' },
      { kind: 'put', key: 'users/k0', value: '"later"' },
    ] as const;
    let transactions = 0;
    const meddling = {
      get: (key: string) => store.get(key),
      range: (prefix: string) => store.range(prefix),
      transact: async (transaction: Transaction) => {
        if (++transactions === 3) await store.transact({ compare: [], operations: others });
        return store.transact(transaction);
      },
    };
    const seen: unknown[][] = [];
    await new SectionWriter({ store: meddling, tracker }).change('users/', keys, (records) => {
      seen.push([records.size, records.get('k0'), records.get('k200'), records.get('k299')]);
      return new Map(keys.map((key) => [key, undefined]));
    });
    assert.deepEqual(seen, [
      [300, 'before', 'before', 'before'],
      [301, 'before', 'before', 'another'],
    ]);
    assert.deepEqual([...tracker.image.section('users/').entries()], [['k0', 'later']]);
    assert.equal(transactions, 4);
  });

  it('writes nothing when the decision refuses', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const { revision } = await store.range('');
    await assert.rejects(
      writer.change('acls/', ['k'], () => {
        throw new Error('refused');
      }),
      /refused/,
    );
    assert.equal((await store.range('')).revision, revision);
  });

  it('takes names of any characters as parts of a key', () => {
    for (const name of ['alice', 'a/b', 'Ünal %2F', '<default>']) {
      const part = encodeKeyPart(name);
      assert.match(part, /^[\x21-\x7e]+$/);
      assert.ok(!part.includes('/'));
      assert.equal(decodeKeyPart(part), name);
    }
  });
});

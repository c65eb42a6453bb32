import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ImageBuilder } from '../../src/cluster/image-builder.ts';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import { decodeKeyPart, encodeKeyPart, type SectionName } from '../../src/cluster/sections.ts';
import { openCluster } from '../support/cluster-bench.ts';

describe('A section of the cluster image', () => {
  it('shows a change once its promise has resolved, and tells which section changed', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const changed: SectionName[] = [];
    tracker.onChange(({ sections }) => changed.push(...sections));
    const before = tracker.image.section('users/');
    await writer.change('users/', () => new Map([['alice', { iterations: 4096 }]]));
    assert.deepEqual([...tracker.image.section('users/').entries()], [['alice', { iterations: 4096 }]]);
    assert.equal(before.size, 0);
    assert.deepEqual(changed, ['users/']);
    assert.equal(tracker.image.section('acls/').size, 0);
    await writer.change('users/', () => new Map([['alice', undefined]]));
    assert.equal(tracker.image.section('users/').size, 0);
  });

  it('decides anew when another change came in between, and loses neither', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const add = () =>
      writer.change('quotas/', (records) => {
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
    await writer.change('acls/', () => new Map(records));
    await writer.change('acls/', (present) => {
      assert.equal(present.size, 300);
      return new Map([...present.keys()].filter((key) => key !== 'k7').map((key) => [key, undefined]));
    });
    const { entries, revision } = await store.range('');
    const loaded = new ImageBuilder().load(entries, revision).section('acls/');
    assert.deepEqual([...loaded.entries()], [['k7', { index: 7 }]]);
    assert.deepEqual([...tracker.image.section('acls/').entries()], [...loaded.entries()]);
  });

  it('writes nothing when the decision refuses', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const { revision } = await store.range('');
    await assert.rejects(
      writer.change('acls/', () => {
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

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  TRANSACTION_OPERATIONS_MAX,
  type MetadataEvent,
  type MetadataStore,
  type Operation,
  type Transaction,
  type TransactionOutcome,
} from '../../src/metadata/types.ts';

/** What one store under test is made of. `open` gives an empty store; `settle` lets watches hear what is due. */
export interface StoreHarness {
  open(): Promise<MetadataStore>;
  settle(): Promise<void>;
}

export const put = (key: string, value: string): Operation => ({ kind: 'put', key, value });
const remove = (key: string): Operation => ({ kind: 'delete', key });
const always = (...operations: Operation[]): Transaction => ({ compare: [], operations });

function revisionOf(outcome: TransactionOutcome): number {
  assert.ok(outcome.succeeded);
  return outcome.revision;
}

/** Every implementation of MetadataStore passes this. */
export function metadataContract(name: string, harness: StoreHarness): void {
  describe(`${name} keeps the contract of a metadata store`, () => {
    it('knows when a key was created and last written', async () => {
      const store = await harness.open();
      assert.equal(await store.get('a'), undefined);
      const first = revisionOf(await store.transact(always(put('a', '1'))));
      const second = revisionOf(await store.transact(always(put('a', '2'))));
      assert.ok(second > first);
      assert.deepEqual(await store.get('a'), {
        key: 'a',
        value: '2',
        createRevision: first,
        modRevision: second,
      });
      await store.transact(always(remove('a')));
      const third = revisionOf(await store.transact(always(put('a', '3'))));
      assert.equal((await store.get('a'))!.createRevision, third);
      await store.close();
    });

    it('applies a transaction if all comparisons hold, and else nothing of it', async () => {
      const store = await harness.open();
      const created = revisionOf(await store.transact(always(put('a', '1'))));
      const stale: Transaction = {
        compare: [
          { key: 'a', target: 'mod', revision: created },
          { key: 'b', target: 'create', revision: created },
        ],
        operations: [put('a', '2'), put('b', '2')],
      };
      assert.deepEqual(await store.transact(stale), { succeeded: false });
      assert.equal((await store.get('a'))!.value, '1');
      assert.equal(await store.get('b'), undefined);
      const fresh = await store.transact({
        compare: [
          { key: 'a', target: 'mod', revision: created },
          { key: 'b', target: 'mod', revision: 0 },
        ],
        operations: [put('a', '2'), put('b', '2'), remove('missing')],
      });
      const revision = revisionOf(fresh);
      assert.equal((await store.get('a'))!.modRevision, revision);
      assert.equal((await store.get('b'))!.createRevision, revision);
      await store.close();
    });

    it('lets exactly one of many concurrent creations of a key win', async () => {
      const store = await harness.open();
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          store.transact({
            compare: [{ key: 'a', target: 'mod', revision: 0 }],
            operations: [put('a', String(index))],
          }),
        ),
      );
      assert.equal(outcomes.filter(({ succeeded }) => succeeded).length, 1);
      await store.close();
    });

    it('lists a prefix in the order of its keys', async () => {
      const store = await harness.open();
      const operations = ['b/2', 'a/1', 'b/1', 'b/10', 'c'].map((key) => put(key, key));
      const revision = revisionOf(await store.transact(always(...operations)));
      const range = await store.range('b/');
      assert.deepEqual(
        range.entries.map(({ key }) => key),
        ['b/1', 'b/10', 'b/2'],
      );
      assert.ok(range.revision >= revision);
      assert.equal((await store.range('')).entries.length, 5);
      assert.equal((await store.range('none')).entries.length, 0);
      await store.close();
    });

    it('refuses transactions that are too large or name a key twice', async () => {
      const store = await harness.open();
      const many = Array.from({ length: TRANSACTION_OPERATIONS_MAX }, (_, index) => put(`k${index}`, ''));
      assert.ok((await store.transact(always(...many))).succeeded);
      await assert.rejects(store.transact(always(...many, put('one more', ''))), RangeError);
      await assert.rejects(store.transact(always(put('a', '1'), remove('a'))), RangeError);
      await store.close();
    });

    it('tells a watch everything under its prefix after the revision, whole and in order', async () => {
      const store = await harness.open();
      const before = revisionOf(await store.transact(always(put('t/old', '0'))));
      await store.transact(always(put('t/a', '1'), put('other', '1')));
      const heard: MetadataEvent[] = [];
      const watch = store.watch({
        prefix: 't/',
        afterRevision: before,
        onEvents: (events) => heard.push(...events),
        onCompacted: () => assert.fail('compacted'),
      });
      assert.equal(heard.length, 0, 'never synchronously');
      await store.transact(always(put('t/a', '2'), put('t/b', '1')));
      await store.transact(always(remove('t/a')));
      await store.transact(always(put('other', '2')));
      await harness.settle();
      assert.deepEqual(
        heard.map((event) => (event.kind === 'put' ? `${event.entry.key}=${event.entry.value}` : event.key)),
        ['t/a=1', 't/a=2', 't/b=1', 't/a'],
      );
      const revisions = heard.map(({ revision }) => revision);
      assert.deepEqual(
        revisions,
        revisions.toSorted((left, right) => left - right),
      );
      watch.cancel();
      await store.transact(always(put('t/c', '1')));
      await harness.settle();
      assert.equal(heard.length, 4);
      await store.close();
    });

    it('removes the keys of a lease with it, and those only', async () => {
      const store = await harness.open();
      const lease = await store.grantLease({ ttlMs: 10_000 });
      const other = await store.grantLease({ ttlMs: 10_000 });
      await store.transact({
        compare: [],
        operations: [
          { kind: 'put', key: 'mine', value: '', lease },
          { kind: 'put', key: 'theirs', value: '', lease: other },
          put('free', ''),
        ],
      });
      await store.transact(always(put('mine', 'without a lease from now on')));
      await store.transact({ compare: [], operations: [{ kind: 'put', key: 'second', value: '', lease }] });
      await lease.revoke();
      const { entries } = await store.range('');
      assert.deepEqual(
        entries.map(({ key }) => key),
        ['free', 'mine', 'theirs'],
      );
      await store.close();
    });
  });
}

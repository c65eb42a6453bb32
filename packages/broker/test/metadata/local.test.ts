import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LocalMetadataStore } from '../../src/metadata/local/store.ts';
import type { MetadataEvent, MetadataStore } from '../../src/metadata/types.ts';
import type { Loop } from '../../src/platform/index.ts';
import { ManualClock, SILENT } from '../replication/helpers.ts';
import { MemoryLogs } from '../support/memory-logs.ts';
import { metadataContract, put } from './contract.ts';

const immediateLoop: Loop = {
  afterTurn: (callback) => void setImmediate(callback),
  lastInTurn: (callback) => void setImmediate(callback),
};
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function open(logs: MemoryLogs): Promise<LocalMetadataStore> {
  return LocalMetadataStore.open({ logs, clock: new ManualClock(), loop: immediateLoop, logger: SILENT });
}

metadataContract('The embedded store', { open: () => open(new MemoryLogs()), settle });

describe('The embedded metadata store', () => {
  it('answers, reads and watches only what is durable', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    logs.manual = true;
    const events: MetadataEvent[] = [];
    store.watch({
      prefix: '',
      afterRevision: 0,
      onEvents: (some) => events.push(...some),
      onCompacted: () => assert.fail(),
    });
    let answered = 0;
    const count = (): void => {
      answered++;
    };
    const write = store.transact({ compare: [], operations: [put('a', '1')] }).then(count);
    const refused = store
      .transact({ compare: [{ key: 'a', target: 'mod', revision: 0 }], operations: [] })
      .then(count);
    const read = store.get('a').then(count);
    await settle();
    assert.equal(answered, 0, 'a refusal, too, tells of a change that may be lost');
    assert.equal(events.length, 0);
    logs.sync();
    await Promise.all([write, refused, read]);
    assert.equal(events.length, 1);
  });

  it('forgets at a loss of power only what it has not answered', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    await store.transact({ compare: [], operations: [put('kept', '1')] });
    logs.manual = true;
    void store.transact({ compare: [], operations: [put('lost', '1')] });
    logs.crash();
    logs.manual = false;
    const again = await open(logs);
    const { entries } = await again.range('');
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['kept'],
    );
  });

  it('ends the leases of an earlier process', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    const lease = await store.grantLease({ ttlMs: 1000 });
    await store.transact({ compare: [], operations: [{ kind: 'put', key: 'brokers/1', value: '', lease }] });
    const again = await open(logs);
    assert.equal(await again.get('brokers/1'), undefined);
  });

  it('tells a watch that its history is gone', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    await store.transact({ compare: [], operations: [put('a', '1')] });
    const again = await open(logs);
    let compacted = 0;
    again.watch({
      prefix: '',
      afterRevision: 0,
      onEvents: () => assert.fail('events'),
      onCompacted: () => {
        compacted++;
      },
    });
    await again.transact({ compare: [], operations: [put('b', '1')] });
    await settle();
    assert.equal(compacted, 1);
  });

  it('rejects when the log cannot be written, and changes nothing', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    logs.get('__cluster', 0)!.failNext = 'cut';
    await assert.rejects(store.transact({ compare: [], operations: [put('a', '1')] }), {
      code: 'KAFKA_STORAGE_ERROR',
    });
    assert.equal(await store.get('a'), undefined);
    assert.ok((await store.transact({ compare: [], operations: [put('a', '2')] })).succeeded);
  });

  it('rejects what waits when the disk fails for good', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    logs.manual = true;
    const waiting = store.transact({ compare: [], operations: [put('a', '1')] });
    store.abort(new Error('fsync failed'));
    await assert.rejects(waiting, { code: 'KAFKA_STORAGE_ERROR' });
    await assert.rejects(store.get('a'), { code: 'KAFKA_STORAGE_ERROR' });
  });

  it('keeps its log short, and every key with its revisions over that', async () => {
    const logs = new MemoryLogs();
    const store = await open(logs);
    await store.transact({ compare: [], operations: [put('first', 'x')] });
    const value = 'v'.repeat(10_000);
    for (let round = 0; round < 400; round++) {
      await store.transact({ compare: [], operations: [put(`k${round % 7}`, `${round} ${value}`)] });
    }
    await settle();
    const log = logs.get('__cluster', 0)!;
    assert.ok(log.startOffset > 0, 'rewritten');
    const before = await store.range('');
    for (const start of [log.startOffset, 0, Math.floor(log.startOffset / 2)]) {
      log.startOffset = start;
      const again = await open(logs);
      assert.deepEqual((await again.range('')).entries, before.entries, `from ${start}`);
      const outcome = await again.transact({ compare: [], operations: [put('next', '')] });
      assert.ok(outcome.succeeded && outcome.revision > before.revision);
      await again.transact({ compare: [], operations: [{ kind: 'delete', key: 'next' }] });
    }
  });

  it('holds the same state as a plain map, over restarts and losses of power', async () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), key: fc.nat(5), value: fc.string() }),
      fc.record({ kind: fc.constant('delete' as const), key: fc.nat(5) }),
      fc.record({ kind: fc.constant('restart' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const logs = new MemoryLogs();
        let store: MetadataStore = await open(logs);
        const model = new Map<string, string>();
        for (const step of actions) {
          if (step.kind === 'restart') {
            logs.crash();
            store = await open(logs);
          } else if (step.kind === 'put') {
            await store.transact({ compare: [], operations: [put(`k${step.key}`, step.value)] });
            model.set(`k${step.key}`, step.value);
          } else {
            await store.transact({ compare: [], operations: [{ kind: 'delete', key: `k${step.key}` }] });
            model.delete(`k${step.key}`);
          }
        }
        const { entries } = await store.range('');
        assert.deepEqual(
          new Map(entries.map(({ key, value }) => [key, value])),
          new Map([...model].toSorted(([a], [b]) => (a < b ? -1 : 1))),
        );
      }),
      { numRuns: 50 },
    );
  });
});

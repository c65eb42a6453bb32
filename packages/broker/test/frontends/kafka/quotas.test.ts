import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { apis } from '@polylog/kafka-protocol';

import { quotaSection } from '../../support/quotas.ts';
import { batchOf, fetchBody, produceBody, world, type TestClient, type World } from './harness.ts';

/** A client of the front end sends `test` as its client id, and is ANONYMOUS. */
async function limited(values: Readonly<Record<string, number>>): Promise<{
  readonly world: World;
  readonly client: TestClient;
}> {
  const made = await world();
  made.broker.add('t');
  made.broker.quotas.clients.load(quotaSection({ 'user:ANONYMOUS/client-id:test': values }));
  return { world: made, client: await made.connect() };
}

/** About 1 kB each. */
const VALUE = 'x'.repeat(1000);
const ask = { topics: [], allowAutoTopicCreation: false };

describe('A client over its quota', () => {
  test('is answered at once with the time to wait, and not read from until then', async () => {
    const { world: w, client } = await limited({ producer_byte_rate: 100 });
    const nowMs = (): number => w.platform.clock.monotonicMs();
    const first = await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE])));
    assert.equal(first.throttleTimeMs > 0, true);
    assert.equal(first.responses[0]!.partitionResponses[0]!.errorCode, 0);
    const answeredMs = nowMs();
    const next = await client.call(apis.metadata, 9, ask);
    const waitedMs = nowMs() - answeredMs;
    assert.ok(Math.abs(waitedMs - first.throttleTimeMs) < 20, `${waitedMs} of ${first.throttleTimeMs} ms`);
    // What is not produced is not throttled.
    assert.equal(next.throttleTimeMs, 0);
    assert.equal(w.broker.quotas.clients.throttled.produce.count, 1);
  });

  test('keeps nobody else from being served', async () => {
    const { world: w, client } = await limited({ producer_byte_rate: 100 });
    await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE, VALUE])));
    const other = await w.connect();
    const sentMs = w.platform.clock.monotonicMs();
    await other.call(apis.metadata, 9, ask);
    assert.ok(w.platform.clock.monotonicMs() - sentMs < 100);
  });

  test('waits without a response too, where it asked for none', async () => {
    const { world: w, client } = await limited({ producer_byte_rate: 100 });
    client.sendWithoutResponse(9, { ...produceBody('t', batchOf([VALUE])), acks: 0 });
    const sentMs = w.platform.clock.monotonicMs();
    const answer = await client.call(apis.metadata, 9, ask);
    assert.equal(answer.throttleTimeMs, 0);
    assert.ok(w.platform.clock.monotonicMs() - sentMs > 200);
  });

  test('is not closed as idle or stalled while the broker makes it wait', async () => {
    const w = await world({ limits: { idleMs: 2000, frameProgressMs: 1000 } });
    w.broker.add('t');
    w.broker.quotas.clients.load(quotaSection({ 'client-id:': { producer_byte_rate: 1 } }));
    const client = await w.connect();
    const { throttleTimeMs } = await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE])));
    // The whole window, and no more.
    assert.equal(throttleTimeMs, 11_000);
    await client.call(apis.metadata, 9, ask);
    assert.equal(client.isClosed, false);
  });

  test('is told the largest time that there is where the window is longer', async () => {
    const w = await world({ quotaWindow: { samples: 3600, sampleMs: 3_600_000 } });
    w.broker.add('t');
    const values = { producer_byte_rate: 1e-9, controller_mutation_rate: 1e-9, request_percentage: 1e-9 };
    w.broker.quotas.clients.load(quotaSection({ 'client-id:': values }));
    const client = await w.connect();
    const { throttleTimeMs } = await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE])));
    assert.equal(throttleTimeMs, 2 ** 31 - 1);
    const mutations = w.broker.quotas.clients.of(undefined, 'u', 'test').mutations({ strict: false })!;
    mutations.take(1);
    mutations.take(1);
    assert.equal(mutations.throttleMs, 2 ** 31 - 1);
  });

  test('is told in each version that has the field, and served in those that lack it', async () => {
    const { world: w, client } = await limited({ request_percentage: 1 });
    // Virtual time does not pass while a request is worked on.
    const spend = (): void => w.broker.quotas.clients.of(undefined, 'ANONYMOUS', 'test').spent(1000);
    for (let version = 0; version <= 13; version++) {
      spend();
      const body = version < 4 ? { topics: [] } : ask;
      const { throttleTimeMs } = await client.call(apis.metadata, version, body);
      assert.equal(throttleTimeMs, version >= 3 ? 1000 : 0, `v${version}`);
    }
    for (const version of [0, 1, 4]) {
      spend();
      const software = version >= 3 ? { clientSoftwareName: 'a', clientSoftwareVersion: '1' } : {};
      const { throttleTimeMs } = await client.call(apis.apiVersions, version, software);
      assert.equal(throttleTimeMs, version >= 1 ? 1000 : 0, `v${version}`);
    }
    assert.equal(w.broker.quotas.clients.throttled.request.count, 17);
  });
});

describe('A fetch over its quota', () => {
  test('is answered without records, which come when it has waited', async () => {
    const { world: w, client } = await limited({ consumer_byte_rate: 200 });
    for (let index = 0; index < 3; index++) {
      await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE])));
    }
    const fetchAt = (offset: number) => client.call(apis.fetch, 11, fetchBody([{ topic: 't', offset }]));
    let offset = 0;
    let empty = 0;
    const startMs = w.platform.clock.monotonicMs();
    while (offset < 3) {
      const answer = await fetchAt(offset);
      const bytes = answer.responses[0]?.partitions[0]?.records?.length ?? 0;
      if (bytes > 0) {
        assert.equal(answer.throttleTimeMs, 0);
        offset++;
        continue;
      }
      empty++;
      assert.ok(answer.throttleTimeMs > 0);
      assert.equal(answer.errorCode, 0);
    }
    assert.ok(empty > 0);
    // A beginner has 2,000 bytes at once; the third batch of about 1,070 comes when the window has moved on.
    assert.ok(w.platform.clock.monotonicMs() - startMs > 5000);
    assert.equal(w.broker.topics.get('t')!.logs[0]!.slicesOut, 0);
  });

  test('gives no session to a full fetch, and keeps the session of an incremental one', async () => {
    const { world: w, client } = await limited({ consumer_byte_rate: 1_000_000 });
    await client.call(apis.produce, 9, produceBody('t', batchOf([VALUE])));
    const targets = [{ topic: 't', offset: 0 }];
    const opened = await client.call(apis.fetch, 11, fetchBody(targets, { sessionEpoch: 0 }));
    assert.ok(opened.sessionId > 0);
    w.broker.quotas.clients.load(quotaSection({ 'client-id:': { consumer_byte_rate: 0 } }));
    const next = fetchBody([], { sessionId: opened.sessionId, sessionEpoch: 1 });
    const incremental = await client.call(apis.fetch, 11, next);
    assert.ok(incremental.throttleTimeMs > 0);
    assert.equal(incremental.sessionId, opened.sessionId);
    assert.deepEqual(incremental.responses, []);
    const full = await client.call(apis.fetch, 11, fetchBody(targets, { sessionEpoch: 0 }));
    assert.ok(full.throttleTimeMs > 0);
    assert.equal(full.sessionId, 0);
    assert.deepEqual(full.responses, []);
    // Its session lives on.
    w.broker.quotas.clients.load(quotaSection({}));
    const later = fetchBody([], { sessionId: opened.sessionId, sessionEpoch: 2 });
    const answer = await client.call(apis.fetch, 11, later);
    assert.equal(answer.errorCode, 0);
    assert.equal(answer.responses[0]!.partitions[0]!.records!.length > 0, true);
  });
});

describe('A connection over the rate of new ones', () => {
  test('of its address is held, and then closed without an answer', async () => {
    const w = await world();
    w.broker.quotas.connections.load(quotaSection({ 'ip:': { connection_creation_rate: 0 } }));
    const client = await w.connect();
    const startMs = w.platform.clock.monotonicMs();
    await assert.rejects(client.call(apis.metadata, 9, ask), /connection closed/);
    assert.ok(Math.abs(w.platform.clock.monotonicMs() - startMs - 1000) < 50);
    await w.sim.advance(5000);
    assert.equal(w.frontend.connectionCount, 0);
  });

  test('of the broker is served later', async () => {
    const w = await world();
    w.broker.quotas.connections.broker = 0.1;
    const first = await w.connect();
    await first.call(apis.metadata, 9, ask);
    const second = await w.connect();
    const startMs = w.platform.clock.monotonicMs();
    await second.call(apis.metadata, 9, ask);
    assert.ok(w.platform.clock.monotonicMs() - startMs > 5000);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, encodeRequest } from '@polylog/kafka-protocol';

import { SortedMap } from '../../../src/cluster/sorted-map.ts';
import { BrokerError } from '../../../src/errors.ts';
import { defineHandler, type Exchange, type KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { deleteRecordsHandler } from '../../../src/frontends/kafka/handlers/delete-records.ts';
import { apiVersionsHandler } from '../../../src/frontends/kafka/handlers/api-versions.ts';
import { backend, batchOf, fetchBody, PORT, produceBody, world } from './harness.ts';

const ASK = { topics: [], allowAutoTopicCreation: false };
const NO_FEATURES = { version: 1, section: () => SortedMap.empty<unknown>() };
const ANSWER = { brokers: [], topics: [] };

/** Metadata requests that stay open until the test answers them. */
function openRequests() {
  const open: Exchange<typeof ANSWER>[] = [];
  const handler = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle(_request, exchange: Exchange<typeof ANSWER>) {
      open.push(exchange);
      return undefined;
    },
    failure: () => ANSWER,
  });
  return {
    open,
    handlers: [
      handler,
      apiVersionsHandler(
        () => NO_FEATURES,
        () => [handler],
      ),
    ],
  };
}

function frame(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  return Buffer.concat([length, body]);
}

test('responses keep the order of the requests, whichever is ready first', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect } = await world({ handlers });
  const client = await connect();
  const all = [1, 2, 3].map(() => client.send(apis.metadata, 9, ASK));
  const last = client.send(apis.apiVersions, 3, { clientSoftwareName: 'x', clientSoftwareVersion: '1' });
  await sim.runUntil(() => open.length === 3);
  open[2]!.respond(ANSWER);
  open[1]!.respond(ANSWER);
  await sim.advance(100);
  assert.equal(client.receivedBytes, 0);
  open[0]!.respond(ANSWER);
  // The client throws if an answer comes out of order.
  await sim.settle(Promise.all([...all, last]));
});

test('a response waits behind a long-polling fetch', async () => {
  const { sim, connect, broker } = await world();
  broker.add('t');
  const client = await connect();
  const fetched = client.send(apis.fetch, 12, fetchBody([{ topic: 't', offset: 0 }], { maxWaitMs: 400 }));
  const metadata = client.send(apis.metadata, 9, ASK);
  await sim.advance(300);
  assert.equal(client.unanswered, 2);
  await sim.settle(Promise.all([fetched, metadata]), 300);
});

test('frames are found however the bytes are cut', async () => {
  const { sim, connect, broker } = await world();
  broker.add('t');
  const client = await connect();
  const chunks = encodeRequest(apis.produce as never, 9, 1, 'c', produceBody('t', batchOf(['abc'])) as never);
  const bytes = Buffer.concat(chunks);
  client.takesAnything = true;
  for (let index = 0; index < bytes.length; index++) {
    client.raw(bytes.subarray(index, index + 1));
    await sim.advance(5);
  }
  const log = broker.topics.get('t')!.logs[0]!;
  await sim.runUntil(() => log.endOffset === 1, 1000);
});

test('a frame length out of bounds closes the connection before anything is allocated, and nobody else notices', async () => {
  const { sim, connect, warnings } = await world({ limits: { requestBytesMax: 1000 } });
  const healthy = await connect();
  for (const length of [1001, 0x7fffffff, -1, -0x80000000]) {
    const client = await connect();
    const prefix = Buffer.alloc(4);
    prefix.writeInt32BE(length);
    client.raw(prefix);
    await sim.runUntil(() => client.isClosed, 5000);
  }
  assert.equal(warnings.length, 4);
  assert.match(warnings[0]!, /out of bounds.*|frameBytes/);
  await healthy.call(apis.metadata, 9, ASK);
});

const GARBAGE: readonly [name: string, bytes: Buffer][] = [
  ['an empty frame', frame(Buffer.alloc(0))],
  ['an unknown API', frame(Buffer.from('7fff0000000000010000', 'hex'))],
  ['a negative API key', frame(Buffer.from('ffff0000000000010000', 'hex'))],
  ['a version that is not served', frame(Buffer.from('0003006300000001000000', 'hex'))],
  ['Produce v2', frame(Buffer.from('000000020000000100000001000003e800000000', 'hex'))],
  ['a body that ends too early', frame(Buffer.from('00030001000000010000000000ff', 'hex'))],
  ['an array longer than the frame', frame(Buffer.from('000300010000000100007fffffff', 'hex'))],
  ['a client id that is longer than the frame', frame(Buffer.from('00030001000000017fff', 'hex'))],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
];

for (const [name, bytes] of GARBAGE) {
  test(`${name} closes the connection with a line in the log`, async () => {
    const { sim, connect, warnings, errors } = await world();
    const client = await connect();
    const other = await connect();
    client.raw(bytes);
    await sim.runUntil(() => client.isClosed, 5000);
    assert.equal(warnings.length, 1);
    assert.deepEqual(errors, []);
    await other.call(apis.metadata, 9, ASK);
  });
}

test('what was answered before a malformed request is still sent', async () => {
  const { sim, connect } = await world();
  const client = await connect();
  const answered = client.send(apis.metadata, 9, ASK);
  client.raw(frame(Buffer.from('7fff0000000000010000', 'hex')));
  await sim.settle(answered, 1000);
});

test('the log takes only so many lines about bad requests', async () => {
  const { sim, connect, warnings } = await world();
  for (let index = 0; index < 40; index++) {
    const client = await connect();
    client.raw(frame(Buffer.alloc(0)));
    await sim.runUntil(() => client.isClosed, 5000);
  }
  assert.equal(warnings.length, 20);
  await sim.advance(11_000);
  const client = await connect();
  client.raw(frame(Buffer.alloc(0)));
  await sim.runUntil(() => client.isClosed, 5000);
  assert.match(warnings[20]!, /suppressed.*20/);
});

test('requests beyond the limit in flight stay unparsed until one is answered', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect } = await world({ handlers, limits: { requestsInFlightPerConnectionMax: 3 } });
  const client = await connect();
  const all = Array.from({ length: 10 }, () => client.send(apis.metadata, 9, ASK));
  await sim.advance(100);
  assert.equal(open.length, 3);
  open[0]!.respond(ANSWER);
  await sim.advance(100);
  assert.equal(open.length, 4);
  for (let index = 1; index < 10; index++) {
    await sim.runUntil(() => open.length > index, 1000);
    open[index]!.respond(ANSWER);
  }
  await sim.settle(Promise.all(all));
});

test('a thousand requests that are answered at once do not deepen the stack', async () => {
  const { sim, connect } = await world({ limits: { requestsInFlightPerConnectionMax: 1 } });
  const client = await connect();
  const all = Array.from({ length: 5000 }, () => client.send(apis.metadata, 9, ASK));
  await sim.settle(Promise.all(all));
});

test('frames wait in line for the byte budget, and all get their turn', async () => {
  const limits = { requestBytesInFlightMax: 300_000 };
  const { sim, connect, broker } = await world({ limits });
  broker.add('t', { partitions: 6 });
  const all = [];
  for (let partition = 0; partition < 6; partition++) {
    const client = await connect();
    const records = batchOf([String(partition).repeat(200_000)]);
    for (let round = 0; round < 3; round++) {
      all.push(client.send(apis.produce, 9, produceBody('t', records, { partition, timeoutMs: 60_000 })));
    }
  }
  const responses = await sim.settle(Promise.all(all));
  assert.ok(responses.every(({ responses: [topic] }) => topic!.partitionResponses[0]!.errorCode === 0));
  for (const log of broker.topics.get('t')!.logs) assert.equal(log.endOffset, 3);
});

/** The first bytes of a frame that says it is this large. */
function beginningOf(frameBytes: number, bytes: number): Buffer {
  const beginning = Buffer.alloc(4 + bytes);
  beginning.writeInt32BE(frameBytes);
  return beginning;
}

test('frames that are announced, and hardly come, keep nobody waiting', async () => {
  const { sim, connect, broker } = await world({ limits: { requestBytesInFlightMax: 1_000_000 } });
  broker.add('t');
  for (let peer = 0; peer < 5; peer++) (await connect()).raw(beginningOf(100_000_000, 6));
  await sim.advance(10);
  const client = await connect();
  const records = batchOf(['x'.repeat(200_000)]);
  await sim.settle(client.send(apis.produce, 9, produceBody('t', records)), 200);
});

test('a frame that holds memory for which others wait is closed within seconds if it stalls, and they go on', async () => {
  const { sim, connect, broker } = await world({ limits: { requestBytesInFlightMax: 300_000 } });
  broker.add('t');
  const stalled = await connect();
  stalled.raw(beginningOf(250_000, 100_000));
  await sim.advance(10);
  const client = await connect();
  const produced = client.send(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(200_000)])));
  const other = await connect();
  const next = other.send(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(200_000)])));
  await sim.settle(Promise.all([produced, next]), 5000);
  assert.equal(stalled.isClosed, true);
});

test('a slow frame keeps its connection while nobody waits for its memory', async () => {
  const { sim, connect } = await world({ limits: { requestBytesInFlightMax: 300_000 } });
  const slow = await connect();
  slow.raw(beginningOf(250_000, 100_000));
  await sim.advance(10_000);
  assert.equal(slow.isClosed, false);
});

test('a frame that stalls is closed also while another request of its connection is open', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect } = await world({ handlers, limits: { frameProgressMs: 1000 } });
  const client = await connect();
  const answer = client.send(apis.metadata, 9, ASK);
  await sim.runUntil(() => open.length === 1);
  client.raw(beginningOf(250_000, 10));
  await sim.runUntil(() => client.isClosed, 5000);
  await assert.rejects(answer);
});

test('frames that together hold the whole budget, and all want more, all become whole', async () => {
  const { sim, connect, broker } = await world({ limits: { requestBytesInFlightMax: 300_000 } });
  broker.add('t', { partitions: 6, configs: { 'max.message.bytes': '10000000' } });
  const rest: (() => void)[] = [];
  for (let partition = 0; partition < 6; partition++) {
    const client = await connect();
    client.takesAnything = true;
    const records = batchOf([String(partition).repeat(500_000)]);
    const body = produceBody('t', records, { partition, timeoutMs: 60_000 });
    const bytes = Buffer.concat(encodeRequest(apis.produce as never, 9, 1, 'c', body as never));
    client.raw(bytes.subarray(0, 70_000));
    rest.push(() => client.raw(bytes.subarray(70_000)));
  }
  await sim.advance(100);
  for (const send of rest) send();
  const { logs } = broker.topics.get('t')!;
  await sim.runUntil(() => logs.every((log) => log.endOffset === 1), 5000);
});

test('a slow frame that keeps its rate is not closed', async () => {
  const { sim, connect, broker } = await world({ limits: { frameProgressMs: 1000, handshakeMs: 100_000 } });
  broker.add('t');
  const client = await connect();
  const bytes = Buffer.concat(
    encodeRequest(apis.produce as never, 9, 1, 'c', produceBody('t', batchOf(['y'.repeat(20_000)])) as never),
  );
  client.takesAnything = true;
  for (let at = 0; at < bytes.length; at += 800) {
    client.raw(bytes.subarray(at, at + 800));
    await sim.advance(500);
  }
  assert.equal(client.isClosed, false);
  assert.equal(broker.topics.get('t')!.logs[0]!.endOffset, 1);
});

test('a connection without a complete request is closed at its handshake deadline', async () => {
  const { sim, connect } = await world({ limits: { handshakeMs: 5000, idleMs: 1e9 } });
  const silent = await connect();
  const client = await connect();
  await client.call(apis.metadata, 9, ASK);
  await sim.advance(7000);
  assert.deepEqual([silent.isClosed, client.isClosed], [true, false]);
});

test('an idle connection is closed, one that waits for its answer is not', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect } = await world({ handlers, limits: { idleMs: 5000 } });
  const idle = await connect();
  await idle.call(apis.apiVersions, 3, { clientSoftwareName: 'x', clientSoftwareVersion: '1' });
  const waiting = await connect();
  const answer = waiting.send(apis.metadata, 9, ASK);
  await sim.advance(20_000);
  assert.deepEqual([idle.isClosed, waiting.isClosed], [true, false]);
  open[0]!.respond(ANSWER);
  await sim.settle(answer);
});

test('connections that come before the broker serves wait', async () => {
  const { sim, connect, frontend, broker, metrics } = await world({ serve: false });
  const client = await connect();
  const answer = client.send(apis.metadata, 9, ASK);
  await sim.advance(60_000);
  assert.equal(client.unanswered, 1);
  frontend.serve(backend(broker, metrics));
  await sim.settle(answer, 100);
});

test('a BrokerError becomes the response of its API, a bug closes the connection', async () => {
  let error: Error = new BrokerError('POLICY_VIOLATION', 'no');
  const handler = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle(): typeof ANSWER {
      throw error;
    },
    failure: (_request, errorCode) => ({ ...ANSWER, topics: [{ errorCode, name: 't', partitions: [] }] }),
  });
  const { sim, connect, errors, metrics } = await world({ handlers: [handler] });
  const client = await connect();
  assert.equal((await client.call(apis.metadata, 9, ASK)).topics[0]!.errorCode, 44);
  error = new TypeError('a bug');
  await assert.rejects(sim.settle(client.send(apis.metadata, 9, ASK)), /closed/);
  assert.match(errors[0]!, /a bug/);
  assert.equal(metrics.apis.get('Metadata')!.errors, 2);
});

test('an answer that breaks its schema closes its own connection only', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect, errors } = await world({ handlers });
  const client = await connect();
  const other = await connect();
  void client.send(apis.metadata, 9, ASK);
  await sim.runUntil(() => open.length === 1);
  open[0]!.respond({ brokers: [{ nodeId: 'x', host: 'h', port: 1 }], topics: [] } as never);
  await sim.runUntil(() => client.isClosed, 5000);
  assert.equal(errors.length, 1);
  await other.call(apis.apiVersions, 3, { clientSoftwareName: 'x', clientSoftwareVersion: '1' });
});

test('a connection that goes abandons its requests, and late answers are dropped', async () => {
  const { open, handlers } = openRequests();
  const { sim, connect, metrics } = await world({ handlers });
  const client = await connect();
  void client.send(apis.metadata, 9, ASK);
  await sim.runUntil(() => open.length === 1);
  let abandoned = 0;
  open[0]!.waiter = { abandoned: () => void abandoned++ };
  client.connection.destroy();
  await sim.runUntil(() => abandoned === 1, 5000);
  open[0]!.respond(ANSWER);
  assert.equal(metrics.counts.open, 0);
});

test('no connection is parsed for longer than its budget in one turn', async () => {
  const perTurn = [0];
  let counting = false;
  const handler = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle() {
      if (!counting) {
        counting = true;
        w.platform.loop.afterTurn(() => {
          counting = false;
          perTurn.push(0);
        });
      }
      perTurn[perTurn.length - 1]!++;
      return ANSWER;
    },
    failure: () => ANSWER,
  });
  const w = await world({ handlers: [handler], limits: { parseBytesPerTurnMax: 300 } });
  const client = await w.connect();
  const all = Array.from({ length: 500 }, () => client.send(apis.metadata, 9, ASK));
  await w.sim.settle(Promise.all(all));
  // A request has 23 bytes; what is resumed at the end of a turn may add its share to the same turn.
  assert.ok(Math.max(...perTurn) <= 2 * Math.ceil(300 / 23), `${Math.max(...perTurn)} requests in one turn`);
});

test('close ends every connection', async () => {
  const { sim, connect, frontend } = await world();
  const clients = [await connect(), await connect()];
  await sim.settle(frontend.close());
  await sim.runUntil(() => clients.every(({ isClosed }) => isClosed), 5000);
  assert.equal(frontend.connectionCount, 0);
});

test('a request with more entries than clients send closes its connection, an admin one is INVALID_REQUEST', async () => {
  let handled = 0;
  const metadata = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle: () => {
      handled++;
      return ANSWER;
    },
    failure: () => ANSWER,
  });
  const deleting = deleteRecordsHandler(undefined as unknown as KafkaServices);
  const { sim, connect, warnings } = await world({
    handlers: [metadata, deleting],
    limits: { requestEntriesMax: 100, adminRequestEntriesMax: 10 },
  });
  const client = await connect();
  const named = (count: number) => ({
    topics: Array.from({ length: count }, (_, index) => ({ name: `t${index}` })),
    allowAutoTopicCreation: false,
  });
  await sim.settle(client.send(apis.metadata, 9, named(100)));
  assert.equal(handled, 1);
  const partitions = Array.from({ length: 10 }, (_, partitionIndex) => ({ partitionIndex, offset: 0 }));
  const topics = [{ name: 't', partitions }];
  const answer = await sim.settle(client.send(apis.deleteRecords, 2, { topics, timeoutMs: 1000 }));
  assert.deepEqual(
    answer.topics[0]!.partitions.map(({ errorCode }) => errorCode),
    partitions.map(() => 42),
  );
  await assert.rejects(sim.settle(client.send(apis.metadata, 9, named(101))));
  assert.equal(handled, 1);
  assert.match(warnings.join(), /too many entries/);
});

test('a connection beyond the bound is counted as refused', async () => {
  const { sim, connect, metrics, platform } = await world({});
  for (let index = 0; index < 100; index++) await connect();
  assert.equal(metrics.counts.refused, 0);
  void platform.network.connect({ host: '127.0.0.1', port: PORT, timeoutMs: 1000 }).catch(() => undefined);
  await sim.advance(100);
  assert.equal(metrics.counts.refused, 1);
  assert.equal(metrics.counts.open, 100);
});

test('peers that do not read cannot fill the memory together, and are closed when others need it', async () => {
  const KIB = 1024;
  let handled = 0;
  const handler = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle: () => {
      handled++;
      return { ...ANSWER, clusterId: 'x'.repeat(8 * KIB) };
    },
    failure: () => ANSWER,
  });
  const { sim, connect, frontend } = await world({
    handlers: [handler],
    limits: { responseBytesInFlightMax: 256 * KIB, encodedBytesGuaranteed: 32 * KIB },
  });
  const stuck = [];
  for (let index = 0; index < 8; index++) stuck.push(await connect());
  for (const client of stuck) client.connection.pauseReading();
  const reader = await connect();
  for (const client of stuck)
    for (let index = 0; index < 200; index++) void client.send(apis.metadata, 9, ASK);
  await sim.advance(1000);
  // Unbounded, it would be all 1600. The simulated network holds some answers as well.
  assert.ok(handled < 400, `${handled} answers of 8 KiB`);
  // Who reads is served meanwhile.
  for (let index = 0; index < 50; index++) await sim.settle(reader.send(apis.metadata, 9, ASK));
  await sim.advance(8000);
  const left = frontend.connectionCount;
  assert.ok(left < 9, 'some were closed');
  assert.ok(!reader.isClosed);
  await sim.settle(Promise.all(Array.from({ length: 200 }, () => reader.send(apis.metadata, 9, ASK))));
});

/** V8 hashes longer strings by their length alone: a table of them would be searched from end to end. */
const NAME_BYTES_MAX = 16_383;

test('a name that is longer than tables can bear is INVALID_REQUEST before anybody looks at it', async () => {
  const seen: number[] = [];
  const metadata = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle({ topics }) {
      for (const { name } of topics ?? []) seen.push(Buffer.byteLength(name ?? ''));
      return ANSWER;
    },
    failure: ({ topics }, errorCode) => ({
      ...ANSWER,
      topics: (topics ?? []).map(({ name }) => ({ errorCode, name, partitions: [] })),
    }),
  });
  const { sim, connect } = await world({ handlers: [metadata] });
  const client = await connect();
  const ask = (...names: readonly string[]) =>
    sim.settle(client.send(apis.metadata, 9, { ...ASK, topics: names.map((name) => ({ name })) }));
  const refused = await ask('short', 'é'.repeat(NAME_BYTES_MAX / 2 + 1));
  assert.deepEqual(
    refused.topics.map(({ errorCode }) => errorCode),
    [42, 42],
  );
  assert.deepEqual(seen, []);
  await ask('short', 'x'.repeat(NAME_BYTES_MAX));
  assert.deepEqual(seen, [5, NAME_BYTES_MAX]);
});

test('such a name closes the connection where the request wants no answer', async () => {
  const { sim, connect, warnings } = await world();
  const client = await connect();
  const body = produceBody('x'.repeat(NAME_BYTES_MAX + 1), batchOf(['a']), { acks: 0 });
  client.sendWithoutResponse(9, body);
  await sim.runUntil(() => client.isClosed, 5000);
  assert.match(warnings[0]!, /A name of 16384 bytes in the request is longer than 16383 bytes/);
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';

import { apis, encodeRequest } from '@polylog/kafka-protocol';

import { resolveConfig } from '../../../src/config/load.ts';
import { defineHandler, type Exchange, type KafkaHandler } from '../../../src/frontends/kafka/handler.ts';
import { kafkaLimitsOf } from '../../../src/frontends/kafka/limits.ts';
import { startKafkaFrontend } from '../../../src/frontends/kafka/server.ts';
import { createNodePlatform, type LoggerOptions } from '../../../src/platform/node/index.ts';
import type { Connection, ConnectionHandler, Network } from '../../../src/platform/network.ts';
import { backend, batchOf, produceBody, TestBroker, TestMetrics } from './harness.ts';

const QUIET: LoggerOptions = { level: 'silent' };
const ANSWER = { brokers: [], topics: [] };
/** A length prefix that no request may have. */
const BAD_FRAME = Buffer.from('ffffffff', 'hex');
const UNKNOWN_API = Buffer.from('0000000a7fff0000000000010000', 'hex');

function requestOf(api: unknown, version: number, correlationId: number, body: unknown): Buffer {
  return Buffer.concat(encodeRequest(api as never, version, correlationId, 'c', body as never));
}

const metadata = (correlationId: number): Buffer =>
  requestOf(apis.metadata, 9, correlationId, { topics: [], allowAutoTopicCreation: false });

/** Correlation ids of whole frames. */
function correlationIdsOf(bytes: Buffer): number[] {
  const ids: number[] = [];
  for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) ids.push(bytes.readInt32BE(at + 4));
  return ids;
}

async function serve(t: TestContext, network?: Network, handlers?: readonly KafkaHandler[]) {
  const node = createNodePlatform({ logger: QUIET });
  const platform = { ...node, network: network ?? node.network };
  const broker = new TestBroker(platform);
  const frontend = await startKafkaFrontend({
    listeners: [
      { name: 'kafka', host: '127.0.0.1', port: 0, connectionsMax: 10, connectionsPerAddressMax: 10 },
    ],
    limits: kafkaLimitsOf(resolveConfig([]).settings),
    platform,
  });
  const metrics = new TestMetrics();
  frontend.serve(backend(broker, metrics), handlers);
  t.after(async () => {
    await frontend.close();
    await node.compute.close();
  });
  return { broker, frontend, metrics, port: frontend.addresses.get('kafka')!.port };
}

/** Writes all of it at once, and returns what came until the broker closed. */
async function conversation(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(bytes);
  const received: Buffer[] = [];
  for await (const chunk of socket) received.push(chunk as Buffer);
  return Buffer.concat(received);
}

for (const [name, bad] of [
  ['a frame length out of bounds', BAD_FRAME],
  ['an API that is not served', UNKNOWN_API],
] as const) {
  test(`over a socket, ${name} ends the connection behind the answers of the requests before it`, async (t) => {
    const { broker, port } = await serve(t);
    const topic = broker.add('t');
    const produce = requestOf(apis.produce, 9, 1, produceBody('t', batchOf(['a'])));
    const received = await conversation(port, Buffer.concat([produce, metadata(2), bad, metadata(3)]));
    assert.equal(topic.logs[0]!.endOffset, 1);
    assert.deepEqual(correlationIdsOf(received), [1, 2]);
  });
}

/** A socket that says what it was given, and how many of its chunks are on loan. */
class FakeConnection implements Connection {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  readonly localPort = 2;
  readonly peerCertificate = undefined;
  readonly bufferedBytes = 0;
  readonly written: Buffer[] = [];
  lent = 0;
  ended: 'close' | 'destroy' | undefined;
  #handler: ConnectionHandler | undefined;

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
  }
  receive(bytes: Buffer): void {
    this.lent++;
    this.#handler!.data(bytes, () => void this.lent--);
  }
  write(chunks: readonly Uint8Array[]): number {
    if (this.ended === undefined) for (const chunk of chunks) this.written.push(Buffer.from(chunk));
    return 0;
  }
  flush(): number {
    return 0;
  }
  pauseReading(): void {}
  resumeReading(): void {}
  close(): void {
    this.ended ??= 'close';
  }
  destroy(): void {
    this.ended ??= 'destroy';
  }
  get answered(): number[] {
    return correlationIdsOf(Buffer.concat(this.written));
  }
}

/** Answers Metadata requests when the test does, in `open`. */
function patientHandler() {
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
  return { open, handler };
}

/** A connection to a front end whose Metadata requests stay open until the test answers them. */
async function held(t: TestContext) {
  const { open, handler } = patientHandler();
  let accept: ((connection: Connection) => void) | undefined;
  const network: Network = {
    listen: async ({ host }, accepted) => {
      accept = accepted;
      return { host, port: 1, renewTls: () => undefined, close: () => Promise.resolve() };
    },
    connect: () => Promise.reject(new Error('not used here')),
  };
  const { metrics } = await serve(t, network, [handler]);
  const connection = new FakeConnection();
  accept!(connection);
  return { open, connection, metrics };
}

test('a bad frame waits for the answers of what came before, and nothing is parsed behind it', async (t) => {
  const { open, connection } = await held(t);
  connection.receive(Buffer.concat([metadata(1), metadata(2), UNKNOWN_API, metadata(3)]));
  connection.receive(metadata(4));
  assert.equal(open.length, 2);
  open[1]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended], [[], undefined]);
  open[0]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended], [[1, 2], 'close']);
  assert.equal(connection.lent, 0);
});

test('a request that ends its connection instead of an answer does so behind those before it', async (t) => {
  const { open, connection } = await held(t);
  connection.receive(Buffer.concat([metadata(1), metadata(2), metadata(3)]));
  open[1]!.closeConnection('for the test');
  let abandoned = 0;
  open[0]!.waiter = { abandoned: () => void abandoned++ };
  assert.equal(connection.ended, undefined);
  open[2]!.respond(ANSWER);
  open[0]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended, abandoned], [[1], 'close', 0]);
  assert.equal(connection.lent, 0);
});

test('a request that is still coming gives its memory back when its connection is about to end', async (t) => {
  const { open, connection, metrics } = await held(t);
  connection.receive(Buffer.concat([metadata(1), metadata(2)]));
  connection.receive(Buffer.concat([metadata(3).subarray(0, 20)]));
  assert.ok(metrics.measures.get('request_buffer_bytes')!() > 0);
  open[1]!.closeConnection('for the test');
  assert.equal(connection.ended, undefined);
  assert.equal(metrics.measures.get('request_buffer_bytes')!(), 0);
  connection.receive(metadata(3).subarray(20));
  assert.deepEqual([open.length, connection.lent], [2, 0]);
  open[0]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended], [[1], 'close']);
});

test('a bug ends its connection behind the answers of the requests before it', async (t) => {
  const { open, connection } = await held(t);
  connection.receive(Buffer.concat([metadata(1), metadata(2)]));
  open[1]!.respond({ brokers: [{ nodeId: 'x', host: 'h', port: 1 }], topics: [] } as never);
  assert.equal(connection.ended, undefined);
  open[0]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended], [[1], 'close']);
});

test('a connection that ends behind a response gives back what it has not parsed', async (t) => {
  const { open, connection } = await held(t);
  connection.receive(metadata(1));
  open[0]!.closeAfterResponse('for the test', {});
  connection.receive(Buffer.concat([metadata(2), metadata(3)]));
  open[0]!.respond(ANSWER);
  await turn();
  assert.deepEqual([connection.answered, connection.ended], [[1], 'close']);
  assert.equal(connection.lent, 0);
});

test(
  'a connection that ends behind a long wait is given up when its peer goes meanwhile',
  { timeout: 30_000 },
  async (t) => {
    const { open, handler } = patientHandler();
    const { frontend, port } = await serve(t, undefined, [handler]);
    const socket = net.connect(port, '127.0.0.1');
    let abandoned = 0;
    socket.write(metadata(1));
    while (open.length === 0) await turn();
    open[0]!.waiter = { abandoned: () => void abandoned++ };
    socket.write(Buffer.concat([BAD_FRAME, metadata(2)]));
    socket.destroySoon();
    await once(socket, 'close');
    while (frontend.connectionCount > 0) await turn();
    assert.equal(abandoned, 1);
  },
);

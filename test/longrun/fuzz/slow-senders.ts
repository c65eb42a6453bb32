import { type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { apis, encodeRequest } from '@polylog/kafka-protocol';

import { FrameReader, KafkaClient, openSocket } from './client.ts';
import { describeHealth } from './healthy.ts';
import type { FuzzSession } from './run.ts';

const IDLE_CONNECTIONS = 1000;
const HALF_FRAMES = 200;
const HALF_FRAME_BYTES = 1024 * 1024;
/** Three of them claim more than all requests in flight may have together. */
const GREEDY_FRAMES = 3;
const GREEDY_FRAME_BYTES = 100 * 1024 * 1024;
const TRICKLE_CONNECTIONS = 50;
const CONNECT_MS_MAX = 10_000;
/** What a healthy client's large batch may take while others hold half frames open. */
const STARVED_MS = 5000;

/** Clients that send slowly, or nothing, and many of them: each kind for a while, with the healthy client beside it. */
export async function slowSenders(
  session: FuzzSession,
  options: { readonly holdMs: number; readonly connectionsPerAddressMax: number },
): Promise<void> {
  const { print } = session;
  await byteByByte(session);
  await phase(session, 'half frames', options.holdMs, async (sockets) => {
    for (let index = 0; index < HALF_FRAMES; index++) {
      const socket = await openQuietly(session.broker.port);
      socket.write(prefixed(HALF_FRAME_BYTES, 100));
      sockets.push(socket);
    }
  });
  await phase(session, 'half frames of 100 MiB', options.holdMs, async (sockets) => {
    for (let index = 0; index < GREEDY_FRAMES; index++) {
      const socket = await openQuietly(session.broker.port);
      socket.write(prefixed(GREEDY_FRAME_BYTES, 100));
      sockets.push(socket);
    }
  });
  await phase(session, `${IDLE_CONNECTIONS} idle connections`, options.holdMs, async (sockets) => {
    for (let index = 0; index < IDLE_CONNECTIONS; index++)
      sockets.push(await openQuietly(session.broker.port));
  });
  await flood(session, options);
  print('slow senders: done');
}

/** Each request byte by byte, over many connections: all are answered. */
async function byteByByte({ broker, findings, print, healthy }: FuzzSession): Promise<void> {
  await healthy.report();
  const frame = Buffer.concat(encodeRequest(apis.metadata, 12, 7, 'slow', { topics: [] }));
  const one = async (): Promise<boolean> => {
    const socket = await openQuietly(broker.port);
    const reader = new FrameReader();
    let answers = 0;
    socket.on('data', (bytes: Buffer) => (answers += reader.push(bytes).length));
    for (const byte of frame) {
      socket.write(Uint8Array.of(byte));
      await sleep(5);
    }
    for (let waited = 0; answers === 0 && waited < 100; waited++) await sleep(50);
    socket.destroy();
    return answers === 1;
  };
  const results = await Promise.all(Array.from({ length: TRICKLE_CONNECTIONS }, one));
  const answered = results.filter(Boolean).length;
  print(`byte by byte: ${answered} of ${results.length} requests answered`);
  print(describeHealth('beside them', await healthy.report()));
  if (answered < results.length)
    findings.add({ what: 'byte by byte', title: `${answered} answers`, hex: '' });
}

async function phase(
  { broker, healthy, findings, print }: FuzzSession,
  name: string,
  holdMs: number,
  open: (sockets: Socket[]) => Promise<void>,
): Promise<void> {
  const before = await broker.memory();
  const sockets: Socket[] = [];
  await open(sockets);
  await healthy.report();
  await sleep(holdMs);
  const health = await healthy.report();
  const during = await broker.memory();
  const stillOpen = sockets.filter(({ destroyed }) => !destroyed).length;
  for (const socket of sockets) socket.destroy();
  await sleep(1000);
  const after = await broker.memory();
  print(
    `${name}: ${stillOpen} of ${sockets.length} open after ${holdMs} ms; ${before.rssMib.toFixed(0)} MiB resident before, ` +
      `${during.rssMib.toFixed(0)} during, ${after.rssMib.toFixed(0)} after`,
  );
  print(describeHealth(`beside ${name}`, health));
  // Large batches come about every second: none within the time means that they wait.
  const isStarved = health.largeAck.max > STARVED_MS || (holdMs > STARVED_MS && health.largeAck.count === 0);
  if (isStarved) findings.add({ what: `${name} starve others`, title: 'Produce of 300 kB', hex: '' });
}

/** More connections than one address may have: those above are closed, and those below live. */
async function flood(
  { broker, findings, print }: FuzzSession,
  { connectionsPerAddressMax }: { readonly connectionsPerAddressMax: number },
): Promise<void> {
  const sockets: Socket[] = [];
  const wanted = connectionsPerAddressMax + 200;
  let refused = 0;
  for (let index = 0; index < wanted; index++) {
    const socket = await openQuietly(broker.port);
    socket.once('close', () => refused++);
    socket.resume();
    sockets.push(socket);
  }
  await sleep(1000);
  const refusedByLimit = refused;
  for (const socket of sockets) socket.destroy();
  await sleep(1000);
  const client = await KafkaClient.open(broker.port);
  await client.request(apis.apiVersions, 0, {});
  client.close();
  print(
    `flood: ${wanted} connections at a limit of ${connectionsPerAddressMax}, ${refusedByLimit} closed at once`,
  );
  if (refusedByLimit < wanted - connectionsPerAddressMax) {
    findings.add({ what: 'flood', title: `${refusedByLimit} refused of ${wanted}`, hex: '' });
  }
}

async function openQuietly(port: number): Promise<Socket> {
  const socket = await Promise.race([
    openSocket(port),
    sleep(CONNECT_MS_MAX, undefined, { ref: false }).then(() => undefined),
  ]);
  if (socket === undefined) throw new Error(`no connection within ${CONNECT_MS_MAX} ms`);
  socket.on('error', () => undefined);
  return socket;
}

function prefixed(claimedBytes: number, sentBytes: number): Buffer {
  const bytes = Buffer.alloc(4 + sentBytes);
  bytes.writeInt32BE(claimedBytes);
  return bytes;
}

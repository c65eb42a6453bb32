import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';

import {
  apis,
  type Api,
  type ConsumerGroupHeartbeatRequest,
  type FetchRequest,
  type JoinGroupRequest,
} from '@polylog/kafka-protocol';

import { attack, noCounts } from './fuzz/attacker.ts';
import { bombs } from './fuzz/bombs.ts';
import type { Memory } from './fuzz/broker-process.ts';
import { predict, type Served } from './fuzz/expectation.ts';
import { Findings } from './fuzz/findings.ts';
import { FrameSource, type Frame } from './fuzz/frames.ts';
import { growthsOf, type Footprint } from './fuzz/growth.ts';
import { fuzz } from './fuzz/run.ts';
import { ANSWER_MS_MAX } from './fuzz/waits.ts';
import { newWorld } from './fuzz/world.ts';

const FRAMES = 20_000;

const everyApi = Object.values(apis) as Api[];
const everyVersion: Served = new Map(
  everyApi.map(({ key, versionMin, versionMax }) => [key, { min: versionMin, max: versionMax }]),
);

function framesOf(seed: number, count: number): Frame[] {
  const source = new FrameSource({ seed, world: newWorld(), served: everyVersion, apis: everyApi });
  return Array.from({ length: count }, () => source.next());
}

test('the frames follow from the seed', () => {
  const hex = (seed: number): string[] =>
    framesOf(seed, 500).map(({ bytes }) => Buffer.from(bytes).toString('hex'));
  assert.deepEqual(hex(1), hex(1));
  assert.notDeepEqual(hex(1), hex(2));
});

test('every API and version comes, and each kind of outcome', () => {
  const frames = framesOf(3, 20_000);
  const titles = new Set(frames.map(({ title }) => title));
  for (const { name, versionMin, versionMax } of everyApi) {
    for (let version = versionMin; version <= versionMax; version++) {
      assert.ok(titles.has(`${name} v${version}`), `${name} v${version}`);
    }
  }
  const kinds = new Set(frames.map(({ expectation }) => expectation.kind));
  assert.deepEqual([...kinds].sort(), ['answer', 'close', 'silence', 'wait']);
});

test('no frame asks the broker for more patience than the fuzzer has', () => {
  const waits = { Fetch: 0, JoinGroup: 0, ConsumerGroupHeartbeat: 0 };
  const refused: number[] = [];
  for (const { bytes, expectation } of framesOf(5, 40_000)) {
    if (expectation.kind !== 'answer') continue;
    const { api, body } = predict(bytes, everyVersion);
    if (api?.key === apis.fetch.key) {
      waits.Fetch = Math.max(waits.Fetch, (body as FetchRequest).maxWaitMs);
    } else if (api?.key === apis.joinGroup.key) {
      const { sessionTimeoutMs, rebalanceTimeoutMs } = body as JoinGroupRequest;
      const patience = rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs;
      // As the broker's defaults have it.
      if (sessionTimeoutMs > 1_800_000) refused.push(patience);
      else waits.JoinGroup = Math.max(waits.JoinGroup, patience);
    } else if (api?.key === apis.consumerGroupHeartbeat.key) {
      const { rebalanceTimeoutMs } = body as ConsumerGroupHeartbeatRequest;
      waits.ConsumerGroupHeartbeat = Math.max(waits.ConsumerGroupHeartbeat, rebalanceTimeoutMs);
    }
  }
  assert.deepEqual(waits, { Fetch: 5, JoinGroup: 6000, ConsumerGroupHeartbeat: 6000 });
  assert.ok(waits.JoinGroup * 2 < ANSWER_MS_MAX);
  assert.ok(refused.length > 0);
});

test('memory for what the broker says that it keeps is no leak, and more of it for each frame is', () => {
  const before: Footprint = {
    frames: 15_000,
    memory: { rssMib: 125, privateMib: 65, heapUsedMib: 27, externalMib: 75 },
    kept: {
      'partition(s)': 50,
      'segment(s)': 60,
      'group(s)': 4,
      'transactional id(s)': 4,
      'producer(s)': 10,
      'quota(s)': 0,
      'byte(s) of free buffers': 4096,
    },
  };
  const excessAfter = (moreMib: Partial<Memory>, kept: Partial<Footprint['kept']> = {}): string[] => {
    const memory = { ...before.memory };
    memory.heapUsedMib += moreMib.heapUsedMib ?? 0;
    memory.externalMib += moreMib.externalMib ?? 0;
    memory.privateMib += moreMib.privateMib ?? 0;
    const after = { frames: 60_000, memory, kept: { ...before.kept, ...kept } };
    return growthsOf(before, after).flatMap(({ what, bytes, bytesMax }) => (bytes > bytesMax ? [what] : []));
  };
  assert.deepEqual(excessAfter({ heapUsedMib: 4, externalMib: 2, privateMib: 15 }), []);
  // 250 bytes for each frame.
  assert.deepEqual(excessAfter({ heapUsedMib: 10.8, privateMib: 10.8 }), ['what JavaScript holds']);
  assert.deepEqual(excessAfter({ externalMib: 10.8, privateMib: 10.8 }), ['what JavaScript holds']);
  assert.deepEqual(excessAfter({ heapUsedMib: 10.8, privateMib: 10.8 }, { 'partition(s)': 350 }), []);
  assert.deepEqual(excessAfter({ externalMib: 30, privateMib: 30 }, { 'byte(s) of free buffers': 32e6 }), []);
  assert.deepEqual(excessAfter({ privateMib: 70 }), ['other memory of the process']);
});

test('a server that answers wrongly is found out', async () => {
  const server = createServer((socket) => {
    // An answer of four bytes, with one and the same correlation id, to whatever comes.
    socket.on('data', () => socket.write(Uint8Array.of(0, 0, 0, 4, 9, 9, 9, 9)));
    socket.on('error', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const findings = new Findings(() => undefined);
  // Frames that are answered only: to wait for a server that does not close takes too long for a test.
  const source = new FrameSource({ seed: 1, world: newWorld(), served: everyVersion, apis: everyApi });
  const answered = {
    next: (): Frame => {
      for (;;) {
        const frame = source.next();
        if (frame.expectation.kind === 'answer') return frame;
      }
    },
  };
  let left = 1;
  await attack({ port, source: answered, findings, counts: noCounts(), take: () => left-- });
  server.close();
  assert.ok(findings.list.length > 0);
});

test(`${FRAMES} mutated frames and a bomb of each kind leave the broker and a healthy client unharmed`, async () => {
  const { findings, counts, exit } = await fuzz({
    frames: FRAMES,
    warmUpFrames: FRAMES / 4,
    seed: 1,
    aloneMs: 500,
    idleMs: 200,
    print: () => undefined,
    afterFrames: async (session) => bombs(session, { clients: 1, rounds: 1 }),
  });
  assert.deepEqual(findings.list, []);
  assert.equal(exit, undefined);
  assert.equal(counts.frames, FRAMES);
  assert.ok(counts.reachedBody > FRAMES / 2, `${counts.reachedBody} frames reached a body decoder`);
  assert.ok(counts.answers > FRAMES / 4, `${counts.answers} answers`);
});

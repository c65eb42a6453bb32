import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeClock, NodeRandom, NodeTimers } from '../../src/platform/node/clock.ts';
import { NodeDisk } from '../../src/platform/node/disk.ts';
import { NodeLogger } from '../../src/platform/node/logger.ts';
import { NodeLoop } from '../../src/platform/node/loop.ts';
import { NodeNetwork } from '../../src/platform/node/network.ts';
import { adoptionWorks, ReceivePool } from '../../src/platform/node/receive-buffer.ts';
import { testDisk } from './disk-contract.ts';
import { testNetwork } from './network-contract.ts';
import { testTime } from './time-contract.ts';

const WAIT_MS_MAX = 5000;

testDisk('Node', () => {
  const root = mkdtempSync(join(tmpdir(), 'polylog-disk-'));
  return {
    disk: new NodeDisk(),
    root,
    settle: (promise) => promise,
    close: () => rmSync(root, { recursive: true }),
  };
});

for (const receive of ['pooled', 'plain'] as const) {
  testNetwork(`Node (${receive})`, () => {
    const pool = new ReceivePool({ poison: true });
    const logger = NodeLogger.create({ level: 'silent' });
    const network = new NodeNetwork({ loop: new NodeLoop(), logger, pool, receive });
    return {
      server: network,
      client: network,
      host: '127.0.0.1',
      settle: (promise) => promise,
      async until(condition) {
        for (let waitedMs = 0; !condition(); waitedMs += 2) {
          assert.ok(waitedMs < WAIT_MS_MAX, 'the condition does not come true');
          await sleep(2);
        }
      },
      pass: (milliseconds) => sleep(milliseconds),
      close: () => undefined,
    };
  });
}

testTime('Node', () => ({
  clock: new NodeClock(),
  timers: new NodeTimers(),
  loop: new NodeLoop(),
  random: new NodeRandom(),
  pass: (milliseconds) => sleep(milliseconds),
}));

describe('the platform on Node', () => {
  it('can use the reusable receive buffers', async () => {
    assert.equal(await adoptionWorks(), true);
  });

  it('keeps the work of the others when a callback at the end of a turn throws', async () => {
    const loop = new NodeLoop();
    const ran: string[] = [];
    const thrown = new Promise<unknown>((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
    loop.afterTurn(() => {
      throw new Error('a bug');
    });
    loop.afterTurn(() => ran.push('b'));
    assert.match(String(await thrown), /a bug/);
    process.setUncaughtExceptionCaptureCallback(null);
    await sleep(5);
    assert.deepEqual(ran, ['b']);
  });

  it('logs JSON lines from its level on, with errors in full', () => {
    const lines: string[] = [];
    const logger = NodeLogger.create({ level: 'info', output: { write: (line) => lines.push(line) } });
    logger.debug({}, 'not this');
    logger
      .child({ partition: 3 })
      .warn({ error: new Error('outer', { cause: new Error('inner') }) }, 'a warning');
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0]!) as {
      msg: string;
      partition: number;
      level: number;
      error: { message: string };
    };
    assert.equal(line.msg, 'a warning');
    assert.equal(line.partition, 3);
    assert.equal(line.level, 40);
    assert.match(line.error.message, /outer/);
    assert.match(JSON.stringify(line.error), /inner/);
  });

  it('logs from another level on when it is told, in what came from the logger too', () => {
    const lines: string[] = [];
    const logger = NodeLogger.create({ level: 'info', output: { write: (line) => lines.push(line) } });
    const child = logger.child({ part: 'a' });
    logger.setLevel('debug');
    child.debug({}, 'this');
    child.setLevel('silent');
    logger.error({}, 'not this');
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /"level":20.*"msg":"this"/);
  });
});

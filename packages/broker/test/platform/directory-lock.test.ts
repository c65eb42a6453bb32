import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { NodeDisk } from '../../src/platform/node/disk.ts';

/** Takes the lock of its argument, says how that went, and stays. */
const HOLDER = `
  import { NodeDisk } from ${JSON.stringify(new URL('../../src/platform/node/disk.ts', import.meta.url).href)};
  try {
    await new NodeDisk().lock(process.argv[1]);
    console.log('held');
    setInterval(() => undefined, 1000);
  } catch (error) {
    console.log(error.code);
  }
`;

interface Holder {
  readonly process: ChildProcess;
  readonly outcome: string;
}

describe('the lock of a folder on Node', () => {
  const disk = new NodeDisk();
  const children: ChildProcess[] = [];
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'polylog-lock-'));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(root, { recursive: true });
  });

  const start = async (folder: string): Promise<Holder> => {
    const args = [
      ...process.execArgv.filter((arg) => arg.startsWith('--conditions')),
      '--input-type=module',
      '-e',
      HOLDER,
      folder,
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { process: child, outcome: line.toString().trim() };
  };

  const kill = async ({ process }: Holder): Promise<void> => {
    process.kill('SIGKILL');
    await once(process, 'exit');
  };

  it('names the process that holds it, and is free once that is killed', async () => {
    const holder = await start(root);
    assert.equal(holder.outcome, 'held');
    await assert.rejects(disk.lock(root), {
      code: 'LOCKED',
      message: new RegExp(`process ${holder.process.pid} `),
    });
    await kill(holder);
    const lock = await disk.lock(root);
    assert.equal(readdirSync(join(root, '.lock')).length, 1, 'the name of the dead one is gone');
    assert.equal((await start(root)).outcome, 'LOCKED');
    await lock.release();
    assert.deepEqual(readdirSync(join(root, '.lock')), []);
  });

  it('is held by a process that is stopped and cannot answer', async () => {
    const holder = await start(root);
    holder.process.kill('SIGSTOP');
    await assert.rejects(disk.lock(root), { code: 'LOCKED', message: /does not answer/ });
  });

  it('goes to one of many starters that find a dead holder', async () => {
    await kill(await start(root));
    const starters = await Promise.all([start(root), start(root), start(root), start(root)]);
    const held = starters.filter(({ outcome }) => outcome === 'held');
    assert.equal(held.length, 1, starters.map(({ outcome }) => outcome).join(' '));
  });

  it('is one lock by all paths to the folder, also by one that is too long for a socket', async () => {
    const deep = join(root, 'x'.repeat(120));
    mkdirSync(deep);
    symlinkSync(deep, join(root, 'short'));
    const lock = await disk.lock(deep);
    await assert.rejects(disk.lock(join(root, 'short')), { code: 'LOCKED' });
    await lock.release();
    await (await disk.lock(join(root, 'short'))).release();
  });
});

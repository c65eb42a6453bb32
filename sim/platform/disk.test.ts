import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DiskError } from '../../packages/broker/src/platform/disk.ts';
import { PAGE_BYTES } from './inode.ts';
import { ProcessDead, SimWorld } from './world.ts';

const text = (value: string): Uint8Array => Buffer.from(value);

function readAll(path: string, disk: ReturnType<ReturnType<SimWorld['node']>['boot']>['disk']): string {
  const file = disk.open(path, 'read');
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return Buffer.from(bytes).toString();
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed);

describe('the simulated disk', () => {
  it('keeps the page cache over a crash of the process, and the boot id', () => {
    const node = new SimWorld({ seed: 1 }).node('a');
    const { disk } = node.boot();
    const boot = disk.bootId();
    disk.open('f', 'create').write([text('hello')], 0);
    node.crash({ kind: 'process' });
    const after = node.boot().disk;
    assert.equal(readAll('f', after), 'hello');
    assert.equal(after.bootId(), boot);
  });

  it('changes the boot id when the power goes', () => {
    const node = new SimWorld({ seed: 1 }).node('a');
    const boot = node.boot().disk.bootId();
    node.crash({ kind: 'power' });
    assert.notEqual(node.boot().disk.bootId(), boot);
  });

  it('keeps synced bytes under a synced entry over a loss of power, whatever the seed', () => {
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      file.write([text('durable')], 0);
      file.datasync();
      disk.syncDirectory('/');
      file.write([text(' and lost')], 7);
      node.crash({ kind: 'power' });
      assert.ok(readAll('f', node.boot().disk).startsWith('durable'), `seed ${seed}`);
    }
  });

  it('loses or keeps unsynced pages, tears them, and leaves zeros and short files', () => {
    const world = { faults: new Map<string, number>() };
    for (const seed of seeds) {
      const one = new SimWorld({ seed });
      const node = one.node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      disk.syncDirectory('/');
      file.write([new Uint8Array(10 * PAGE_BYTES).fill(7)], 0);
      node.crash({ kind: 'power' });
      for (const [name, count] of one.faults) world.faults.set(name, (world.faults.get(name) ?? 0) + count);
    }
    for (const fault of ['page-lost', 'page-kept', 'page-torn', 'length-cut', 'tail-zeros']) {
      assert.ok((world.faults.get(`disk.${fault}`) ?? 0) > 0, fault);
    }
  });

  it('may lose an entry that was not synced, also of a file whose bytes were', () => {
    const found = new Set<boolean>();
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      file.write([text('x')], 0);
      file.datasync();
      node.crash({ kind: 'power' });
      found.add(node.boot().disk.stat('f') !== undefined);
    }
    assert.deepEqual(found, new Set([false, true]));
  });

  it('leaves the old or the new file after an unsynced rename, never neither', () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      for (const name of ['old', 'new']) {
        const file = disk.open(name, 'create');
        file.write([text(name)], 0);
        file.datasync();
      }
      disk.syncDirectory('/');
      disk.rename('new', 'old');
      node.crash({ kind: 'power' });
      found.add(readAll('old', node.boot().disk));
    }
    assert.deepEqual([...found].sort(), ['new', 'old']);
  });

  it('makes durable with an asynchronous datasync what was written before its start, and not by promise what came later', async () => {
    let lostLater = 0;
    for (const seed of seeds) {
      const world = new SimWorld({ seed });
      const node = world.node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      disk.syncDirectory('/');
      file.write([text('before')], 0);
      const synced = file.datasyncAsync();
      file.write([text('after!')], 0);
      await world.settle(synced);
      node.crash({ kind: 'power' });
      const found = readAll('f', node.boot().disk);
      assert.ok(found === 'before' || found === 'after!', found);
      if (found === 'before') lostLater++;
    }
    assert.ok(lostLater > 0);
  });

  it('keeps a truncation that was synced, and brings no old bytes back when the file grows again', () => {
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      file.write([new Uint8Array(3 * PAGE_BYTES).fill(1)], 0);
      file.datasync();
      disk.syncDirectory('/');
      file.truncate(10);
      file.truncate(2 * PAGE_BYTES);
      file.datasync();
      node.crash({ kind: 'power' });
      const bytes = new Uint8Array(3 * PAGE_BYTES);
      assert.equal(node.boot().disk.open('f', 'read').read(bytes, 0), 2 * PAGE_BYTES);
      assert.equal(bytes.lastIndexOf(1), 9);
    }
  });

  it('forgets pages after a failed datasync, though the next one succeeds', () => {
    let lost = 0;
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      disk.syncDirectory('/');
      file.write([text('x')], 0);
      node.disk.faults.datasyncError = 1;
      assert.throws(() => file.datasync(), { code: 'EIO' });
      node.disk.faults.datasyncError = 0;
      file.datasync();
      assert.equal(readAll('f', disk), 'x');
      node.crash({ kind: 'power' });
      if (readAll('f', node.boot().disk) !== 'x') lost++;
    }
    assert.ok(lost > 0);
  });

  it('can lie about a datasync', () => {
    let lost = 0;
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      node.disk.faults.datasyncLie = 1;
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      file.write([text('x')], 0);
      file.datasync();
      disk.syncDirectory('/');
      node.crash({ kind: 'power' });
      if (readAll('f', node.boot().disk) !== 'x') lost++;
    }
    assert.ok(lost > 0);
  });

  it('ends a write half-way', () => {
    const lengths = new Set<number>();
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      node.disk.faults.writeError = 1;
      const file = disk.open('f', 'create');
      assert.throws(() => file.write([text('0123'), text('4567')], 0), DiskError);
      lengths.add(file.size());
      assert.equal(readAll('f', disk), '01234567'.slice(0, file.size()));
    }
    assert.ok(lengths.size > 3 && !lengths.has(8));
  });

  it('fills up, writes what fits, and has room again after a remove', () => {
    const node = new SimWorld({ seed: 3 }).node('a');
    node.disk.setCapacity(4 * PAGE_BYTES);
    const { disk } = node.boot();
    const file = disk.open('f', 'create');
    assert.throws(() => file.write([new Uint8Array(5 * PAGE_BYTES)], 100), { code: 'ENOSPC' });
    assert.equal(file.size(), 4 * PAGE_BYTES);
    assert.equal(disk.freeSpace('/').freeBytes, 0);
    disk.remove('f');
    assert.equal(disk.freeSpace('/').freeBytes, 0, 'an open file keeps its space');
    file.close();
    assert.equal(disk.freeSpace('/').freeBytes, 4 * PAGE_BYTES);
  });

  it('flips a bit that stays flipped', () => {
    const node = new SimWorld({ seed: 3 }).node('a');
    const { disk } = node.boot();
    const file = disk.open('f', 'create');
    file.write([text('abc')], 0);
    file.datasync();
    disk.syncDirectory('/');
    node.disk.flipBit('f', 1, 0);
    assert.equal(readAll('f', disk), 'acc');
    node.crash({ kind: 'power' });
    assert.equal(readAll('f', node.boot().disk), 'acc');
  });

  it('kills the process inside an operation: a write is then done in part, and nothing works afterwards', () => {
    const lengths = new Set<number>();
    for (const seed of seeds) {
      const node = new SimWorld({ seed }).node('a');
      const { disk } = node.boot();
      const file = disk.open('f', 'create');
      node.killWithin(1, 'process');
      assert.throws(() => file.write([text('0123456789')], 0), ProcessDead);
      assert.equal(node.isUp, false);
      assert.throws(() => file.size(), ProcessDead);
      assert.throws(() => disk.list('/'), ProcessDead);
      lengths.add(readAll('f', node.boot().disk).length);
    }
    assert.ok(lengths.size > 3);
  });

  it('never completes an operation of a dead process', async () => {
    const world = new SimWorld({ seed: 4 });
    const node = world.node('a');
    const file = node.boot().disk.open('f', 'create');
    let settled = false;
    const mark = (): void => void (settled = true);
    file.writeAsync([text('x')], 0).then(mark, mark);
    node.crash({ kind: 'process' });
    await world.advance(10_000);
    assert.equal(settled, false);
  });

  it('frees the lock when its process dies', async () => {
    const world = new SimWorld({ seed: 5 });
    const node = world.node('a');
    const first = node.boot().disk;
    first.makeDirectory('data');
    await first.lock('data');
    await assert.rejects(first.lock('data'), { code: 'LOCKED' });
    node.crash({ kind: 'process' });
    await node.boot().disk.lock('data');
  });
});

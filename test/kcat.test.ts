import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { kcatMetadata, kcatOffset, kcatProduce, kcatRead } from './clients/kcat.ts';
import { requirePeer } from './peers/peers.ts';
import { run } from './peers/process.ts';
import { startTarget, type Target } from './target.ts';

const { skip } = await requirePeer('kcat');

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

describe('kcat (librdkafka)', { skip }, () => {
  let target: Target;
  let address: string;
  before(async () => {
    target = await startTarget();
    address = target.kafkaAddress;
  });
  after(() => target.stop());

  test('lists one broker, at the address it was reached by', async () => {
    const { brokers } = await kcatMetadata(address);
    assert.equal(brokers.length, 1);
    assert.equal(brokers[0]?.name, address);
  });

  test('producing to an unknown topic creates it, led by the broker', async () => {
    await kcatProduce(address, 'kcat-created', ['hello']);
    const { brokers, topics } = await kcatMetadata(address, 'kcat-created');
    const partitions = topics.find(({ topic }) => topic === 'kcat-created')?.partitions ?? [];
    assert.equal(partitions.length, 1);
    assert.equal(partitions[0]?.leader, brokers[0]?.id);
    assert.deepEqual(partitions[0]?.isrs, partitions[0]?.replicas);
    assert.deepEqual(
      (await kcatRead(address, 'kcat-created')).map(({ value }) => value),
      ['hello'],
    );
  });

  test('records come back in order, with dense offsets, keys, headers and time', async () => {
    const startMs = Date.now();
    const lines = Array.from({ length: 100 }, (_, index) => `key-${index % 7}|value-${index}`);
    await kcatProduce(address, 'kcat-records', lines, {
      keySeparator: '|',
      headers: { trace: 'abc', empty: '' },
    });
    const records = await kcatRead(address, 'kcat-records');
    for (const [index, record] of records.entries()) {
      assert.equal(record.offset, index);
      assert.equal(`${record.key}|${record.value}`, lines[index]);
      assert.deepEqual(record.headers, [
        ['trace', 'abc'],
        ['empty', ''],
      ]);
      assert.ok(
        record.timestampMs >= startMs && record.timestampMs <= Date.now(),
        String(record.timestampMs),
      );
    }
    assert.equal(records.length, lines.length);
  });

  for (const codec of CODECS) {
    for (const idempotent of ['false', 'true']) {
      test(`${codec} batches pass through unchanged (enable.idempotence=${idempotent})`, async () => {
        const topic = `kcat-${codec}-${idempotent}`;
        const lines = Array.from(
          { length: 5_000 },
          (_, index) => `${index} ${'abcdefgh'.repeat(index % 50)}`,
        );
        // Checking CRCs makes librdkafka verify what the broker stamped into the batch.
        const settings = { 'enable.idempotence': idempotent, 'batch.num.messages': '500' };
        await kcatProduce(address, topic, lines, { codec, settings });
        const records = await kcatRead(address, topic, { settings: { 'check.crcs': 'true' } });
        assert.deepEqual(
          records.map(({ value }) => value),
          lines,
        );
        assert.deepEqual(
          records.map(({ offset }) => offset),
          lines.map((_, index) => index),
        );
      });
    }
  }

  for (const acks of ['0', '1', 'all']) {
    test(`acks=${acks} stores the record`, async () => {
      const topic = `kcat-acks-${acks}`;
      await kcatProduce(address, topic, ['first', 'second'], { settings: { acks } });
      const records = await kcatRead(address, topic);
      assert.deepEqual(
        records.map(({ value }) => value),
        ['first', 'second'],
      );
    });
  }

  test('a message of 900 KiB passes', async () => {
    const large = 'x'.repeat(900 * 1024);
    await kcatProduce(address, 'kcat-large', [large]);
    const [record] = await kcatRead(address, 'kcat-large');
    assert.equal(record?.value, large);
  });

  test('a message above max.message.bytes is refused and not stored', async () => {
    await kcatProduce(address, 'kcat-too-large', ['before']);
    const args = ['-P', '-b', address, '-t', 'kcat-too-large', '-X', 'message.max.bytes=4000000'];
    const refused = await run('kcat', args, { input: `${'x'.repeat(2_000_000)}\n` });
    assert.match(refused.stderr, /Message size too large/);
    await kcatProduce(address, 'kcat-too-large', ['after']);
    const records = await kcatRead(address, 'kcat-too-large');
    assert.deepEqual(
      records.map(({ offset, value }) => [offset, value]),
      [
        [0, 'before'],
        [1, 'after'],
      ],
    );
  });

  test('reading starts where it is told to: an offset, the last records, a time', async () => {
    const topic = 'kcat-positions';
    await kcatProduce(address, topic, ['a', 'b', 'c']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const betweenMs = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await kcatProduce(address, topic, ['d', 'e']);
    const valuesFrom = async (from: string): Promise<(string | null)[]> =>
      (await kcatRead(address, topic, { from })).map(({ value }) => value);
    assert.deepEqual(await valuesFrom('2'), ['c', 'd', 'e']);
    assert.deepEqual(await valuesFrom('-2'), ['d', 'e']);
    assert.deepEqual(await valuesFrom(`s@${betweenMs}`), ['d', 'e']);
    assert.equal(await kcatOffset(address, topic, betweenMs), 3);
    assert.equal(await kcatOffset(address, topic, -2), 0);
    assert.equal(await kcatOffset(address, topic, -1), 5);
  });

  test('a waiting consumer gets a record as soon as it is produced', async () => {
    const topic = 'kcat-waiting';
    await kcatProduce(address, topic, ['early']);
    const waiting = run('kcat', ['-C', '-q', '-b', address, '-t', topic, '-p', '0', '-o', '1', '-c', '1']);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await kcatProduce(address, topic, ['late']);
    const { stdout } = await waiting;
    assert.equal(stdout, 'late\n');
  });

  test('a record without a value is a tombstone', async () => {
    const topic = 'kcat-null';
    const args = ['-P', '-b', address, '-t', topic, '-K', '|', '-Z'];
    const { code, stderr } = await run('kcat', args, { input: 'key|\n' });
    assert.equal(code, 0, stderr);
    const [record] = await kcatRead(address, topic);
    assert.deepEqual([record?.key, record?.value], ['key', null]);
  });
});

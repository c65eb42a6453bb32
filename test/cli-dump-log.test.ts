/** `polylog dump-log` on real data folders: whole ones, and ones with a byte changed in each kind of file. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { Broker } from 'polylog';
import { PolylogCli } from './clients/polylog.ts';

interface DumpLine {
  type: string;
  text?: string;
  topic?: string;
  partition?: number;
  offset?: number;
  value?: string;
  records?: number;
  segments?: number;
  damaged?: boolean;
  unfinishedTails?: number;
  baseOffset?: number;
}

const SEGMENT = '00000000000000000000';
const MESSAGES = 3000;

describe('polylog dump-log', () => {
  let folder: string;
  let data: string;
  let cli: PolylogCli;
  let copies = 0;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'polylog-dump-'));
    data = path.join(folder, 'data');
    const broker = await Broker.start({ http: false, data });
    cli = new PolylogCli(broker.kafkaAddress);
    await cli.ok(['topic', 'create', 'orders', '-p', '2', '-c', 'index.interval.bytes=512']);
    // Many batches: each rate pause ends one.
    await cli.ok([
      'produce',
      'orders',
      '-p',
      '0',
      '-v',
      'order {i} of some length',
      '-n',
      String(MESSAGES),
      '--rate',
      '2000',
    ]);
    await cli.ok(['produce', 'orders', '-p', '1', '-K', ':', '-z', 'zstd', '-H', 'a=b'], { input: 'k:v\n' });
    await cli.ok(['consume', 'orders', '-g', 'billing', '-n', '5']);
    await broker.stop();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function copyOf(): string {
    const copy = path.join(folder, `copy${copies++}`);
    cpSync(data, copy, { recursive: true });
    return copy;
  }

  function flip(file: string, at: number): void {
    const bytes = readFileSync(file);
    bytes[at]! ^= 0x01;
    writeFileSync(file, bytes);
  }

  async function dump(args: readonly string[]): Promise<{ code: number | null; lines: DumpLine[] }> {
    const { code, stdout, stderr } = await cli.run(['dump-log', ...args, '--json']);
    assert.equal(stderr, '');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as DumpLine);
    return { code, lines };
  }

  it('finds a folder whole', async () => {
    const { code, lines } = await dump([data, '--topic', 'orders']);
    assert.equal(code, 0);
    assert.partialDeepStrictEqual(lines.at(-1), {
      type: 'summary',
      partitions: 2,
      segments: 2,
      records: MESSAGES + 1,
      problems: 0,
      damaged: false,
    });
    const [first] = lines.filter(({ type }) => type === 'segment') as (DumpLine & {
      offsetEntries: number;
    })[];
    assert.ok(first!.offsetEntries > 5, 'the index has entries to check');
    const text = await cli.ok(['dump-log', data]);
    assert.match(
      text,
      /^orders-0\n {2}0{20} {2}offsets 0 to 2999, [\d.]+ KiB\n {4}3,000 records in \d+ batches; index with \d+ entries/m,
    );
    assert.match(text, /^ {2}leader epochs: 0 from offset 0$/m);
    assert.match(text, /^Whole: \d+ partitions/m);
  });

  it('shows records, compressed ones too', async () => {
    const { lines } = await dump([path.join(data, 'orders-1'), '--records']);
    assert.partialDeepStrictEqual(
      lines.find(({ type }) => type === 'record'),
      {
        topic: 'orders',
        partition: 1,
        offset: 0,
        key: 'k',
        value: 'v',
        headers: [{ name: 'a', value: 'b' }],
      },
    );
    const { lines: all } = await dump([data, '-t', 'orders', '-p', '0', '--records']);
    const values = all.filter(({ type }) => type === 'record').map(({ value }) => value);
    assert.deepEqual(
      values,
      Array.from({ length: MESSAGES }, (_, index) => `order ${index} of some length`),
    );
    assert.match(
      await cli.ok(['dump-log', path.join(data, `orders-1/${SEGMENT}.log`), '--records', '--batches']),
      /^ {4}0-0 {2}at byte 0, 1 record, \d+ B, zstd, epoch 0, .*producer \d+\/0 sequence 0\n {6}0 {2}.* key "k" value "v" a="b"$/m,
    );
  });

  it('reads what groups have stored', async () => {
    const text = await cli.ok(['dump-log', data, '--topic', '__consumer_offsets', '--records']);
    assert.match(text, / group billing, orders-\d: committed \d+ at 20\d\d-/);
    assert.match(text, / group billing: generation \d+, (range|roundrobin), 1 member polylog-cli-/);
    const { lines } = await dump([data, '--topic', '__consumer_offsets', '--records']);
    const meanings = lines.map((line) => (line as { meaning?: string }).meaning ?? '');
    assert.ok(meanings.some((meaning) => meaning.startsWith('group billing, orders-')));
  });

  it('reads what transactions have done', async () => {
    const own = path.join(folder, 'transactions');
    const broker = await Broker.start({ http: false, data: own });
    const kafka = new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'payments', numPartitions: 1 }] });
    await admin.disconnect();
    const producer = kafka.producer({ transactionalId: 'cashier', idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: 'payments', messages: [{ value: 'paid' }] });
    await transaction.commit();
    await producer.disconnect();
    await broker.stop();
    const text = await cli.ok(['dump-log', own, '--topic', '__transaction_state', '--records']);
    const of = 'transactional id cashier:';
    assert.match(text, new RegExp(`${of} Empty at 20\\d\\d-.*, producer \\d+/0$`, 'm'));
    assert.match(text, new RegExp(`${of} PrepareCommit at .*, producer \\d+/0, payments-0$`, 'm'));
  });

  it('shows index entries and producers', async () => {
    const { lines } = await dump([path.join(data, 'orders-0'), '--indexes', '--producers']);
    for (const type of ['index', 'timeindex', 'snapshot', 'producer', 'epochs']) {
      assert.ok(
        lines.some((line) => line.type === type),
        type,
      );
    }
  });

  it('finds a flipped bit in a log, and reads the rest', async () => {
    const copy = copyOf();
    const log = path.join(copy, `orders-0/${SEGMENT}.log`);
    flip(log, Math.floor(statSync(log).size / 2));
    const { code, lines } = await dump([copy]);
    assert.equal(code, 5);
    const problems = lines.filter(({ type }) => type === 'problem');
    assert.equal(problems.length, 1);
    assert.partialDeepStrictEqual(problems[0], { topic: 'orders', partition: 0 });
    assert.match(problems[0]!.text!, /offsets \d+ to \d+\) cannot be read: bad_crc/);
    const { records = 0, damaged } = lines.at(-1)!;
    assert.ok(damaged && records > MESSAGES / 2 && records < MESSAGES + 100);
    const text = await cli.run(['dump-log', copy]);
    assert.equal(text.code, 5);
    assert.match(text.stdout, /^ {2}DAMAGE {2}segment 0, byte \d+: /m);
    assert.match(text.stdout, /^Damaged: 1 problem/m);
  });

  it('finds its way back behind a broken length', async () => {
    const copy = copyOf();
    const log = path.join(copy, `orders-0/${SEGMENT}.log`);
    // The top byte of the first batch's length.
    flip(log, 8);
    const { code, lines } = await dump([path.join(copy, 'orders-0')]);
    assert.equal(code, 5);
    assert.match(
      lines.find(({ type }) => type === 'problem')!.text!,
      /byte 0: .*\(offsets 0 to \d+\) cannot be read/,
    );
    assert.ok(lines.at(-1)!.records! > MESSAGES / 2);
  });

  const files: [name: string, file: string, at: number, message: RegExp][] = [
    ['an index', `${SEGMENT}.index`, 11, /\.index entry 1 .* matches no batch/],
    ['a time index', `${SEGMENT}.timeindex`, 7, /\.timeindex entry 0 .* matches no batch/],
    [
      'a snapshot',
      `${String(MESSAGES).padStart(20, '0')}.snapshot`,
      20,
      /the snapshot at offset 3000 has a wrong CRC/,
    ],
    ['the leader epochs', 'leader-epoch-checkpoint', 0, /leader-epoch-checkpoint cannot be read/],
  ];
  for (const [name, file, at, message] of files) {
    it(`finds a flipped bit in ${name}`, async () => {
      const copy = copyOf();
      flip(path.join(copy, 'orders-0', file), at);
      const { code, lines } = await dump([copy]);
      assert.match(
        lines
          .filter(({ type }) => type === 'problem')
          .map(({ text }) => text)
          .join('\n'),
        message,
      );
      assert.equal(code, 5);
    });
  }

  it('takes a torn batch above the recovery point for what a crash leaves, below it for damage', async () => {
    const copy = copyOf();
    const log = path.join(copy, `orders-0/${SEGMENT}.log`);
    appendFileSync(log, Buffer.alloc(100, 1));
    const above = await dump([copy]);
    assert.equal(above.code, 0);
    assert.match(
      above.lines.find(({ type }) => type === 'tail')!.text!,
      /100 B \(from offset 3000 on\) cannot be read/,
    );
    assert.equal(above.lines.at(-1)!.unfinishedTails, 1);
    truncateSync(log, statSync(log).size - 150);
    const below = await dump([copy]);
    assert.equal(below.code, 5);
  });

  it('takes zeros at the end of an index for room, as Kafka leaves it in the active segment', async () => {
    const copy = copyOf();
    for (const ending of ['index', 'timeindex']) {
      appendFileSync(path.join(copy, `orders-0/${SEGMENT}.${ending}`), Buffer.alloc(4096 * 12));
    }
    assert.equal((await dump([copy])).code, 0);
  });

  it('tells what is not there', async () => {
    for (const [args, message] of [
      [[path.join(folder, 'nowhere')], /cannot read .*nowhere/],
      [[folder], /no partitions in/],
      [[data, '-t', 'nothing'], /no such topic or partition/],
    ] as [string[], RegExp][]) {
      const { code, stderr } = await cli.run(['dump-log', ...args]);
      assert.equal(code, 3);
      assert.match(stderr, message);
    }
  });
});

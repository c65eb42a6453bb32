/** `polylog produce` and `polylog consume` against a broker, with pipes, signals and much data. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { Broker } from 'polylog';
import { platformaticRead } from './clients/platformatic.ts';
import { PolylogCli } from './clients/polylog.ts';
import { BrokerProcess } from './longrun/broker-process.ts';

interface Line {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  key?: string | null;
  value?: string | null;
  valueBase64?: string;
  headers: { name: string; value?: string | null }[];
}

const MESSAGES_MANY = 300_000;
/** Far below what that many messages take as objects. */
const RESIDENT_KIB_MAX = 400_000;

describe('polylog produce and consume', () => {
  let broker: Broker;
  let cli: PolylogCli;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'polylog-cli-'));
    broker = await Broker.start({ http: false });
    cli = new PolylogCli(broker.kafkaAddress);
  });
  after(async () => {
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  describe('produce', () => {
    it('sends each line of its input, a last one without newline too', async () => {
      const { code, stdout, stderr } = await cli.run(['produce', 'lines'], { input: 'one\n\nthree' });
      assert.deepEqual(
        { code, stdout, stderr },
        { code: 0, stdout: '', stderr: 'Sent 3 messages to lines.\n' },
      );
      const records = await platformaticRead(broker.kafkaAddress, 'lines');
      assert.deepEqual(
        records.map(({ key, value }) => ({ key, value })),
        [
          { key: null, value: 'one' },
          { key: null, value: '' },
          { key: null, value: 'three' },
        ],
      );
    });

    it('splits keys, adds headers, and makes tombstones', async () => {
      await cli.ok(['produce', 'keys', '-K', ':', '-H', 'a=1', '-H', 'b=x=y', '--null-marker', 'NULL'], {
        input: 'k1:v:1\nk2:NULL\n',
      });
      const headers = [
        ['a', '1'],
        ['b', 'x=y'],
      ];
      const records = await platformaticRead(broker.kafkaAddress, 'keys');
      assert.deepEqual(
        records.map(({ key, value, headers: given }) => ({ key, value, headers: given })),
        [
          { key: 'k1', value: 'v:1', headers },
          { key: 'k2', value: null, headers },
        ],
      );
    });

    it('stops at a line without its key separator, and says which', async () => {
      const { code, stderr } = await cli.run(['produce', 'keys-missing', '-K', '\\t'], {
        input: 'a\tb\nplain\n',
      });
      assert.equal(code, 1);
      assert.match(stderr, /line 2 has no key separator "\\t"/);
    });

    it('reports partitions and offsets to programs', async () => {
      await cli.ok(['topic', 'create', 'report', '-p', '2']);
      await cli.ok(['produce', 'report', '-p', '1', '-v', 'x']);
      assert.deepEqual(await cli.json(['produce', 'report', '-p', '1', '-v', 'abc', '-n', '3']), {
        topic: 'report',
        records: 3,
        bytes: 9,
        partitions: [{ partition: 1, records: 3, firstOffset: 1, lastOffset: 3 }],
      });
    });

    it('puts a key where other clients put it', async () => {
      await cli.ok(['topic', 'create', 'by-key', '-p', '7']);
      const kafka = new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING });
      const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
      const keys = Array.from({ length: 50 }, (_, index) => `key-${index * index}`);
      await producer.connect();
      await producer.send({ topic: 'by-key', messages: keys.map((key) => ({ key, value: 'theirs' })) });
      await producer.disconnect();
      await cli.ok(['produce', 'by-key', '-K', '='], { input: keys.map((key) => `${key}=ours\n`).join('') });
      const lines = await cli.jsonLines<Line>(['consume', 'by-key', '--format', 'json']);
      const places = Map.groupBy(lines, ({ key }) => key);
      assert.equal(places.size, keys.length);
      for (const [key, both] of places) {
        assert.equal(both.length, 2);
        assert.equal(both[0]!.partition, both[1]!.partition, `key ${key}`);
      }
    });

    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      it(`compresses with ${codec}, and consume reads it`, async () => {
        const input = Array.from({ length: 2000 }, (_, index) => `line ${index % 7} of many\n`).join('');
        await cli.ok(['produce', `codec-${codec}`, '-z', codec], { input });
        assert.equal(await cli.ok(['consume', `codec-${codec}`]), input);
      });
    }

    for (const [name, args] of Object.entries({
      'acks 0': ['-a', '0'],
      'acks 1': ['-a', '1'],
      'acks all without idempotence': ['--no-idempotence'],
    })) {
      it(`sends with ${name}`, async () => {
        const topic = name.replaceAll(' ', '-');
        await cli.ok(['topic', 'create', topic]);
        await cli.ok(['produce', topic, ...args], { input: 'a\nb\n' });
        // Nobody has acknowledged acks 0, but the connection has been read to its end.
        for (let tries = 0; tries < 50; tries++) {
          if ((await cli.ok(['consume', topic])) === 'a\nb\n') return;
          await sleep(50);
        }
        assert.fail('the messages did not arrive');
      });
    }

    it('gives a producer id to its batches unless told otherwise', async () => {
      const data = path.join(folder, 'idempotence');
      const own = await Broker.start({ http: false, data });
      const to = new PolylogCli(own.kafkaAddress);
      await to.ok(['produce', 'with', '-v', 'x']);
      await to.ok(['produce', 'without', '-v', 'x', '--no-idempotence']);
      await own.stop();
      const batches = await to.jsonLines<{ type: string; producerId: number; baseSequence: number }>([
        'dump-log',
        data,
        '--topic',
        'with,without',
        '--batches',
        '--json',
      ]);
      const ids = batches
        .filter(({ type }) => type === 'batch')
        .map(({ producerId, baseSequence }) => [producerId, baseSequence]);
      assert.deepEqual(ids, [
        [0, 0],
        [-1, -1],
      ]);
    });

    it('holds a rate', async () => {
      const startedMs = performance.now();
      await cli.ok(['produce', 'rate', '-v', 'm{i}', '-n', '40', '--rate', '40']);
      const seconds = (performance.now() - startedMs) / 1000;
      assert.ok(seconds > 0.9 && seconds < 30, `${seconds} s for 40 messages at 40 per second`);
      assert.match(await cli.ok(['consume', 'rate']), /^m0\nm1\n.*m39\n$/s);
    });

    it('refuses a message above the limit of the topic, with its reason', async () => {
      await cli.ok(['topic', 'create', 'small', '-c', 'max.message.bytes=1000']);
      const { code, stderr } = await cli.run(['produce', 'small'], { input: `${'x'.repeat(5000)}\n` });
      assert.equal(code, 1);
      assert.match(stderr, /MESSAGE_TOO_LARGE/);
    });

    it('refuses partitions and files that do not exist', async () => {
      await cli.ok(['topic', 'create', 'one-partition']);
      const partition = await cli.run(['produce', 'one-partition', '-p', '1', '-v', 'x']);
      assert.equal(partition.code, 3);
      assert.match(partition.stderr, /has no partition 1: it has 1/);
      const file = await cli.run(['produce', 'one-partition', '-f', path.join(folder, 'nowhere')]);
      assert.equal(file.code, 3);
      assert.match(file.stderr, /no file .*nowhere/);
    });
  });

  describe('consume', () => {
    before(async () => {
      await cli.ok(['topic', 'create', 'read', '-p', '2']);
      await cli.ok(['produce', 'read', '-p', '0', '-K', ':', '-H', 'source=test'], {
        input: 'a:0\nb:1\nc:2\nd:3\n',
      });
      await cli.ok(['produce', 'read', '-p', '1', '--null-marker', '-', '-k', 'dead', '-v', '-']);
    });

    const reads: [args: string[], expected: string][] = [
      [[], '0\n1\n2\n3\n\n'],
      [['-p', '0', '-o', '2'], '2\n3\n'],
      [['-p', '0', '--tail', '1'], '3\n'],
      [['-p', '0', '-n', '2'], '0\n1\n'],
      [['-p', '0', '--since', '1h', '-n', '1'], '0\n'],
      [['-p', '0', '--from-time', '2020-01-01', '-n', '1'], '0\n'],
      [['-p', '0', '--from-time', '2099-01-01T00:00:00Z'], ''],
      [['-p', '0', '-K', ' = ', '-n', '1'], 'a = 0\n'],
      [['-p', '1', '--null-marker', '(null)'], '(null)\n'],
      [['-p', '0', '--format', 'raw'], '0123'],
      [['-p', '0', '-n', '1', '--format', 'hex', '-K', ' '], '61 30\n'],
      [
        [
          '-p',
          '0',
          '-o',
          '1',
          '-n',
          '1',
          '--format',
          '{topic}-{partition}@{offset} {key}={value:hex} {headers}\\n',
        ],
        'read-0@1 b=31 source=test\n',
      ],
      [
        ['-p', '1', '--format', '{keysize}/{valuesize} {value:json} {header.none}|', '--null-marker', 'none'],
        '4/-1 null none|',
      ],
    ];
    for (const [args, expected] of reads) {
      it(`read ${args.join(' ')}`, async () =>
        assert.equal(await cli.ok(['consume', 'read', ...args]), expected));
    }

    it('gives programs one object per line', async () => {
      const lines = await cli.jsonLines<Line>(['consume', 'read', '--json']);
      assert.deepEqual(Object.keys(lines[0]!), [
        'topic',
        'partition',
        'offset',
        'timestamp',
        'key',
        'value',
        'headers',
      ]);
      assert.partialDeepStrictEqual(lines[0], {
        topic: 'read',
        partition: 0,
        offset: 0,
        key: 'a',
        value: '0',
        headers: [{ name: 'source', value: 'test' }],
      });
      assert.partialDeepStrictEqual(lines[4], { partition: 1, key: 'dead', value: null, headers: [] });
    });

    it('keeps bytes that are no text', async () => {
      const file = path.join(folder, 'binary');
      const bytes = Buffer.from([0, 255, 10, 254, 13, 10, 128]);
      writeFileSync(file, bytes);
      await cli.ok(['produce', 'binary', '-f', file, '-d', '\\x00']);
      const { code } = await cli.shell(`polylog consume binary --format '{value}\\0' > '${file}.out'`);
      assert.equal(code, 0);
      assert.deepEqual(
        readFileSync(`${file}.out`),
        Buffer.concat([Buffer.from([0]), bytes.subarray(1), Buffer.from([0])]),
      );
      const [, second] = await cli.jsonLines<Line>(['consume', 'binary', '--format', 'json']);
      assert.equal(second!.valueBase64, bytes.subarray(1).toString('base64'));
    });

    it('copies a topic, keys, headers, nulls and timestamps included', async () => {
      const copied = await cli.shell(
        'polylog consume read --format json | polylog produce copy --input json',
      );
      assert.equal(copied.code, 0, copied.stderr);
      const plain = ({ key, value, headers, timestamp }: Line): unknown => ({
        key,
        value,
        headers,
        timestamp,
      });
      assert.deepEqual(
        (await cli.jsonLines<Line>(['consume', 'copy', '--json'])).map(plain),
        (await cli.jsonLines<Line>(['consume', 'read', '--json'])).map(plain),
      );
    });

    const mistakes: [args: string[], code: number, message: RegExp][] = [
      [['nowhere'], 3, /no topic nowhere/],
      [['read', '-p', '5'], 3, /topic read has no partition 5: it has 2/],
      [['read', '-p', '0', '-o', '9'], 1, /read-0 has no offset 9: it holds 0 to 3/],
      [['read', '-o', '1', '--tail', '1'], 2, /exclude each other/],
      [['read', '--from-end'], 2, /prints nothing/],
      [['read', '--format', 'xml'], 2, /"xml" is not a format/],
      [['read', '--format', '{vaule}'], 2, /\{vaule\} is not a field/],
      [['read', '--from-time', 'yesterday'], 2, /Give a date/],
      [['read', '--since', 'long'], 2, /Give a duration/],
      [['read', '-g', 'g', '-o', '1'], 2, /a group starts where it has committed/],
    ];
    for (const [args, code, message] of mistakes) {
      it(`refuses ${args.join(' ')}`, async () => {
        const result = await cli.run(['consume', ...args]);
        assert.match(result.stderr, message);
        assert.equal(result.code, code);
        assert.equal(result.stdout, '');
      });
    }

    it('follows until Ctrl-C', async () => {
      await cli.ok(['topic', 'create', 'followed', '-p', '2']);
      await cli.ok(['produce', 'followed', '-v', 'old']);
      const consumer = cli.start(['consume', 'followed', '--follow', '--from-end', '--format', '{value}\n']);
      let output = '';
      consumer.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
      let sent = 0;
      while (output === '' && sent < 200) {
        await cli.ok(['produce', 'followed', '-v', `new ${sent++}`]);
        await sleep(50);
      }
      const closed = once(consumer, 'close');
      consumer.kill('SIGINT');
      assert.deepEqual(await closed, [130, null]);
      assert.match(output, /^new \d+\n/);
    });

    it('ends quietly when nobody reads on', async () => {
      await cli.ok(['produce', 'much', '-v', 'message {i}', '-n', '200000']);
      const { code, stdout, stderr } = await cli.shell(
        'polylog consume much | head -2; echo "${PIPESTATUS[0]}"',
      );
      assert.deepEqual(
        { code, stdout, stderr },
        { code: 0, stdout: 'message 0\nmessage 1\n0\n', stderr: '' },
      );
    });

    it('goes on when the broker is killed and comes back, as produce does', async () => {
      const killed = await BrokerProcess.create({ data: path.join(folder, 'killed') });
      await killed.start();
      const to = new PolylogCli(killed.kafkaAddress);
      await to.ok(['topic', 'create', 'through', '-p', '2']);
      const total = 1500;
      const reading = to.run(['consume', 'through', '-f', '-n', String(total)]);
      const sending = to.run(['produce', 'through', '-v', 'm{i}', '-n', String(total), '--rate', '500']);
      for (let round = 0; round < 2; round++) {
        await sleep(900);
        await killed.kill();
        await sleep(300);
        await killed.start();
      }
      const [sent, read] = await Promise.all([sending, reading]);
      await killed.stop();
      assert.deepEqual(
        { code: sent.code, stderr: sent.stderr },
        { code: 0, stderr: 'Sent 1,500 messages to through.\n' },
      );
      assert.equal(read.code, 0, read.stderr);
      const expected = Array.from({ length: total }, (_, index) => `m${index}`);
      assert.deepEqual(read.stdout.trimEnd().split('\n').toSorted(), expected.toSorted());
    });

    it('gives up after its time-out when no broker comes back', async () => {
      const killed = await BrokerProcess.create({ data: path.join(folder, 'gone') });
      await killed.start();
      const to = new PolylogCli(killed.kafkaAddress);
      await to.ok(['produce', 'left', '-v', 'x']);
      const reading = to.run(['consume', 'left', '-f', '--timeout', '1s']);
      await sleep(1000);
      await killed.kill();
      const { code, stdout, stderr } = await reading;
      assert.equal(code, 4);
      assert.equal(stdout, 'x\n');
      assert.match(stderr, /^polylog: .*(nobody listens|closed the connection)/);
    });

    it('streams many messages in bounded memory, in order and unchanged', async () => {
      const file = path.join(folder, 'many');
      const lines = Array.from(
        { length: MESSAGES_MANY },
        (_, index) => `${index} ${'payload '.repeat(index % 20)}\n`,
      );
      writeFileSync(file, lines.join(''));
      await cli.ok(['produce', 'many', '-f', file]);
      // The command itself, not a function around it, so that the process is the one that is watched.
      const script = `${cli.shellCommand} consume many > '${file}.out' & pid=$!
        peak=0; while kill -0 $pid 2> /dev/null; do
          now=$(awk '/VmHWM/ { print $2 }' /proc/$pid/status 2> /dev/null); peak=\${now:-$peak}; sleep 0.02
        done
        wait $pid; cmp '${file}' '${file}.out' && echo "$peak"`;
      const { code, stdout, stderr } = await cli.shell(script);
      assert.equal(code, 0, stderr);
      assert.ok(Number(stdout) < RESIDENT_KIB_MAX, `${stdout} KiB resident`);
    });
  });
});

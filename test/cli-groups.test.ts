/** `polylog group` and `polylog consume --group` against a broker. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer } from '@platformatic/kafka';
import { Broker } from 'polylog';
import { PolylogCli } from './clients/polylog.ts';

interface Described {
  group: string;
  type: string;
  state: string;
  epoch: number | null;
  assignor: string;
  lag: number;
  members: { memberId: string; clientId: string; assignments: { topic: string; partitions: number[] }[] }[];
  offsets: {
    partition: number;
    committed: number | null;
    end: number;
    lag: number | null;
    clientId: string | null;
  }[];
}

interface Reset {
  executed: boolean;
  offsets: { topic: string; partition: number; before: number | null; after: number; lag: number }[];
}

const DEADLINE_MS = 30_000;
const LOOK_MS = 100;

describe('polylog with consumer groups', () => {
  let broker: Broker;
  let cli: PolylogCli;
  before(async () => {
    broker = await Broker.start({ http: false });
    cli = new PolylogCli(broker.kafkaAddress);
  });
  after(() => broker.stop());

  async function produce(topic: string, perPartition: number, partitions = 2): Promise<void> {
    await cli.ok(['topic', 'create', topic, '-p', String(partitions), '--if-not-exists']);
    for (let partition = 0; partition < partitions; partition++) {
      await cli.ok([
        'produce',
        topic,
        '-p',
        String(partition),
        '-v',
        `${partition}/{i}`,
        '-n',
        String(perPartition),
      ]);
    }
  }

  async function described(group: string): Promise<Described> {
    const { groups } = await cli.json<{ groups: Described[] }>(['group', 'describe', group]);
    return groups[0]!;
  }

  async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
    for (const endMs = performance.now() + DEADLINE_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
      if (await isSo()) return;
    }
    assert.fail(`not within ${DEADLINE_MS} ms: ${what}`);
  }

  function committed({ offsets }: Described): (number | null)[] {
    return offsets.map((one) => one.committed);
  }

  async function reset(...args: string[]): Promise<Reset> {
    return cli.json<Reset>(['group', 'reset', ...args]);
  }

  it('shows groups of the newer protocol (KIP-848) beside the others', async () => {
    await produce('newer', 2);
    const consumer = new Consumer({
      clientId: 'newer-client',
      groupId: 'newer',
      groupProtocol: 'consumer',
      bootstrapBrokers: [broker.kafkaAddress],
      autocommit: 100,
    });
    const stream = await consumer.consume({ topics: ['newer'], mode: 'earliest' });
    stream.resume();
    await until('all is committed', async () => (await described('newer')).lag === 0);
    const { groups } = await cli.json<{ groups: { group: string; type: string; state: string }[] }>([
      'group',
      'list',
      '--type',
      'consumer',
    ]);
    assert.deepEqual(groups, [
      { group: 'newer', state: 'Stable', type: 'consumer', protocolType: 'consumer' },
    ]);
    const one = await described('newer');
    assert.deepEqual([one.type, one.state, one.assignor, one.epoch], ['consumer', 'Stable', 'uniform', 1]);
    assert.deepEqual(one.members[0]!.assignments, [{ topic: 'newer', partitions: [0, 1] }]);
    assert.deepEqual(
      one.offsets.map(({ clientId }) => clientId),
      ['newer-client', 'newer-client'],
    );
    assert.match(await cli.ok(['group', 'describe', 'newer']), /^Epoch +1, of the consumer protocol$/m);
    await consumer.close(true);
    await until('the group is empty', async () => (await described('newer')).state === 'Empty');
    await reset('newer', '-t', 'newer', '--to-earliest', '--execute');
    assert.equal((await described('newer')).lag, 4);
    await cli.ok(['group', 'delete', 'newer', '--yes']);
  });

  it('reads everything once, commits it, and leaves', async () => {
    await produce('once', 3);
    const first = await cli.ok(['consume', 'once', '-g', 'once']);
    assert.deepEqual(first.trimEnd().split('\n').toSorted(), ['0/0', '0/1', '0/2', '1/0', '1/1', '1/2']);
    assert.equal(await cli.ok(['consume', 'once', '-g', 'once']), '');
    const group = await described('once');
    assert.partialDeepStrictEqual(group, { state: 'Empty', lag: 0, members: [] });
    assert.deepEqual(committed(group), [3, 3]);
  });

  it('commits what it printed, not more', async () => {
    await produce('some', 5, 1);
    assert.equal(await cli.ok(['consume', 'some', '-g', 'some', '-n', '2']), '0/0\n0/1\n');
    assert.deepEqual((await described('some')).offsets, [
      { topic: 'some', partition: 0, committed: 2, end: 5, lag: 3, memberId: null, clientId: null },
    ]);
    assert.equal(await cli.ok(['consume', 'some', '-g', 'some']), '0/2\n0/3\n0/4\n');
  });

  it('keeps keys, headers and nulls, as without a group', async () => {
    await cli.ok(['topic', 'create', 'same']);
    await cli.ok(['produce', 'same', '-K', ':', '-H', 'h=1', '--null-marker', '-'], { input: 'k:v\nk:-\n' });
    assert.equal(
      await cli.ok(['consume', 'same', '-g', 'same', '--json']),
      await cli.ok(['consume', 'same', '--json']),
    );
  });

  it('shares partitions between members, shows who has which, and goes on after Ctrl-C', async () => {
    await produce('shared', 1);
    const start = (): { stop(): Promise<void>; output(): string } => {
      const member = cli.start(['consume', 'shared', '-g', 'shared', '-f']);
      let output = '';
      member.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
      return {
        output: () => output,
        async stop() {
          const closed = once(member, 'close');
          member.kill('SIGINT');
          assert.deepEqual(await closed, [130, null]);
        },
      };
    };
    const one = start();
    await until('the first member has read all', () => one.output().split('\n').length === 3);
    const two = start();
    await until('each has a partition', async () => {
      const { state, members } = await described('shared');
      return (
        state === 'Stable' &&
        members.length === 2 &&
        members.every(({ assignments }) => assignments.length === 1)
      );
    });
    const group = await described('shared');
    assert.ok(['range', 'roundrobin'].includes(group.assignor));
    assert.deepEqual(
      group.members
        .flatMap(({ assignments }) => assignments.flatMap(({ partitions }) => partitions))
        .toSorted((a, b) => a - b),
      [0, 1],
    );
    assert.deepEqual(
      group.offsets.map(({ clientId }) => clientId),
      ['polylog-cli', 'polylog-cli'],
    );
    const text = await cli.ok(['group', 'describe', 'shared']);
    assert.match(text, /^State +Stable, (range|roundrobin)$/m);
    assert.match(text, /^polylog-cli +127\.0\.0\.1 +- +shared:[01]$/m);

    const refused = await cli.run(['group', 'reset', 'shared', '--all-topics', '--to-earliest', '--execute']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /group shared has 2 members/);
    const kept = await cli.run(['group', 'delete', 'shared', '--yes']);
    assert.equal(kept.code, 1);
    assert.match(kept.stderr, /NON_EMPTY_GROUP/);

    await one.stop();
    await until('the second member has both partitions', async () => {
      const { state, members } = await described('shared');
      return state === 'Stable' && members[0]!.assignments[0]?.partitions.length === 2;
    });
    await produce('shared', 1);
    await until('it reads both', () => two.output().split('\n').length >= 3);
    await two.stop();
    // Left, not timed out: a session takes half a minute.
    const left = await described('shared');
    assert.partialDeepStrictEqual(left, { state: 'Empty', members: [], lag: 0 });
  });

  it('lists groups, by state too', async () => {
    await produce('listed', 1, 1);
    await cli.ok(['consume', 'listed', '-g', 'listed']);
    assert.match(await cli.ok(['group', 'list']), /^listed +Empty +\w+ +consumer$/m);
    const { groups } = await cli.json<{ groups: { group: string; state: string }[] }>([
      'group',
      'list',
      '--state',
      'empty',
    ]);
    assert.partialDeepStrictEqual(
      groups.find(({ group }) => group === 'listed'),
      { state: 'Empty' },
    );
    assert.deepEqual(await cli.json(['group', 'list', '--state', 'Stable']), { groups: [] });
  });

  describe('reset', () => {
    before(async () => {
      await produce('moved', 10);
      await cli.ok(['consume', 'moved', '-g', 'moved']);
    });

    it('shows what would change, and changes nothing', async () => {
      const { code, stdout, stderr } = await cli.run([
        'group',
        'reset',
        'moved',
        '--all-topics',
        '--to-earliest',
      ]);
      assert.equal(code, 0);
      assert.match(stdout, /^TOPIC +PARTITION +BEFORE +AFTER +CHANGE +LAG\nmoved +0 +10 +0 +-10 +10\n/);
      assert.equal(stderr, 'Nothing was changed: --execute changes it.\n');
      assert.deepEqual(committed(await described('moved')), [10, 10]);
    });

    const moves: [args: string[], after: number[]][] = [
      [
        ['--all-topics', '--to-earliest'],
        [0, 0],
      ],
      [
        ['--all-topics', '--to-latest'],
        [10, 10],
      ],
      [
        ['--topic', 'moved', '--to-offset', '4'],
        [4, 4],
      ],
      [
        ['--topic', 'moved', '--to-offset', '99'],
        [10, 10],
      ],
      [
        ['--topic', 'moved:1', '--shift-by', '-3'],
        [10, 7],
      ],
      [
        ['--topic', 'moved:0', '--topic', 'moved:1', '--shift-by', '2'],
        [10, 9],
      ],
      [
        ['--all-topics', '--shift-by', '-99'],
        [0, 0],
      ],
      [
        ['--all-topics', '--to-time', '2099-01-01'],
        [10, 10],
      ],
      [
        ['--all-topics', '--to-time', '2020-01-01T00:00:00Z'],
        [0, 0],
      ],
      [
        ['--all-topics', '--by-duration', '1ms'],
        [10, 10],
      ],
      [
        ['--all-topics', '--by-duration', '1d'],
        [0, 0],
      ],
    ];
    for (const [args, expected] of moves) {
      it(`moves with ${args.join(' ')}`, async () => {
        const { executed, offsets } = await reset('moved', ...args, '--execute');
        assert.equal(executed, true);
        assert.deepEqual(committed(await described('moved')), expected);
        for (const one of offsets) {
          assert.equal(one.after, expected[one.partition]);
          assert.equal(one.lag, 10 - one.after);
        }
      });
    }

    it('makes the group read again from there', async () => {
      await reset('moved', '--topic', 'moved:0', '--to-offset', '8', '--execute');
      await reset('moved', '--topic', 'moved:1', '--to-latest', '--execute');
      assert.equal(await cli.ok(['consume', 'moved', '-g', 'moved']), '0/8\n0/9\n');
    });

    it('makes a group that starts there', async () => {
      const { offsets } = await reset('unborn', '--topic', 'moved', '--to-offset', '9', '--execute');
      assert.deepEqual(
        offsets.map(({ before: was }) => was),
        [null, null],
      );
      const read = await cli.ok(['consume', 'moved', '-g', 'unborn']);
      assert.deepEqual(read.trimEnd().split('\n').toSorted(), ['0/9', '1/9']);
    });

    const mistakes: [args: string[], code: number, message: RegExp][] = [
      [['moved', '--all-topics'], 2, /where to\?/],
      [['moved', '--to-earliest'], 2, /for which topics\?/],
      [['moved', '--all-topics', '--topic', 'moved', '--to-latest'], 2, /for which topics\?/],
      [['moved', '--all-topics', '--to-latest', '--to-earliest'], 2, /give one of/],
      [['moved', '--topic', 'moved:x', '--to-latest'], 2, /Give a topic, or some of its partitions/],
      [['moved', '--topic', 'moved:7', '--to-latest'], 3, /topic moved has no partition 7/],
      [['moved', '--topic', 'movd', '--to-latest'], 3, /no topic movd \(did you mean moved\?\)/],
      [['nobody', '--all-topics', '--to-latest'], 3, /group nobody has committed nothing/],
      [['nobody', '--topic', 'moved', '--shift-by', '1'], 1, /nothing is committed for moved-0/],
    ];
    for (const [args, code, message] of mistakes) {
      it(`refuses ${args.join(' ')}`, async () => {
        const result = await cli.run(['group', 'reset', ...args]);
        assert.match(result.stderr, message);
        assert.equal(result.code, code);
      });
    }
  });

  it('deletes groups and single offsets', async () => {
    await produce('gone', 2);
    await cli.ok(['consume', 'gone', '-g', 'gone']);
    assert.deepEqual(await cli.json(['group', 'delete-offsets', 'gone', '--topic', 'gone:1', '--yes']), {
      group: 'gone',
      deleted: [{ topic: 'gone', partition: 1, offset: 2 }],
    });
    assert.deepEqual(
      (await described('gone')).offsets.map(({ partition }) => partition),
      [0],
    );
    assert.equal((await cli.run(['group', 'delete-offsets', 'gone', '--topic', 'gone:1', '--yes'])).code, 3);
    assert.equal((await cli.run(['group', 'delete', 'gone'])).code, 2);
    assert.equal(await cli.ok(['group', 'delete', 'gone', '--yes']), 'Deleted group gone.\n');
    const missing = await cli.run(['group', 'describe', 'gone']);
    assert.equal(missing.code, 3);
    assert.match(missing.stderr, /^polylog: no group gone/);
  });

  it('completes names of groups in bash', async () => {
    await reset('completed-group', '--topic', 'moved', '--to-latest', '--execute');
    const { stdout } = await cli.shell(`eval "$(polylog completion bash)"
      COMP_WORDS=(polylog group describe completed-); COMP_CWORD=3; _polylog polylog; echo "\${COMPREPLY[@]}"`);
    assert.equal(stdout, 'completed-group\n');
  });
});

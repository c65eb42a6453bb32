/** The command line against a broker: topics, settings, cluster, errors, completion. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { Broker } from 'polylog';
import { PolylogCli } from './clients/polylog.ts';
import { freePorts } from './peers/ports.ts';
import { run, start } from './peers/process.ts';

interface TopicList {
  topics: { name: string; id: string; internal: boolean; partitions: number; replicationFactor: number }[];
}

interface Settings {
  resource: { kind: string; name: string };
  configs: { name: string; value: string | null; source: string; documentation: string | null }[];
}

describe('polylog', () => {
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

  describe('topic', () => {
    it('creates, lists and describes topics, for people', async () => {
      assert.equal(
        await cli.ok(['topic', 'create', 'people', '-p', '3', '-c', 'retention.ms=86400000']),
        'Created topic people with 3 partitions.\n',
      );
      const listed = await cli.ok(['topic', 'list']);
      assert.match(listed, /^TOPIC +PARTITIONS +REPLICAS\n/);
      assert.match(listed, /^people +3 +1$/m);
      await cli.ok(['produce', 'people', '-p', '1', '-v', 'hello', '-n', '5']);
      const described = await cli.ok(['topic', 'describe', 'people']);
      assert.match(described, /^Partitions {2}3$/m);
      assert.match(described, /^Settings {4}retention\.ms=86400000$/m);
      assert.match(described, /^ +0 +1 +1 +1 +0 +0 +0 B$/m);
      assert.match(described, /^ +1 +1 +1 +1 +0 +5 +\d+ B$/m);
    });

    it('says the same to programs', async () => {
      const created = await cli.json<{
        topics: { name: string; id: string; partitions: number; created: boolean }[];
      }>(['topic', 'create', 'programs', '-p', '2']);
      const { id, ...rest } = created.topics[0]!;
      assert.match(id, /^[\w-]{22}$/);
      assert.deepEqual(rest, { name: 'programs', partitions: 2, replicationFactor: 1, created: true });
      const { topics } = await cli.json<TopicList>(['topic', 'list']);
      assert.deepEqual(
        topics.find(({ name }) => name === 'programs'),
        {
          name: 'programs',
          id,
          internal: false,
          partitions: 2,
          replicationFactor: 1,
        },
      );
      await cli.ok(['produce', 'programs', '-p', '0', '-v', 'x']);
      const described = await cli.json<{
        topics: {
          partitions: { partition: number; leader: number; startOffset: number; endOffset: number }[];
        }[];
      }>(['topic', 'describe', 'programs']);
      const [first] = described.topics[0]!.partitions;
      assert.partialDeepStrictEqual(first, {
        partition: 0,
        leader: 1,
        replicas: [1],
        isr: [1],
        startOffset: 0,
        endOffset: 1,
      });
    });

    it('refuses a topic that exists, unless that is fine', async () => {
      await cli.ok(['topic', 'create', 'twice']);
      const again = await cli.run(['topic', 'create', 'twice']);
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /^polylog: cannot create topic twice: .*already exists \(TOPIC_ALREADY_EXISTS\)\n$/,
      );
      assert.equal(
        await cli.ok(['topic', 'create', 'twice', '--if-not-exists']),
        'Topic twice exists already.\n',
      );
    });

    it('says what it did when one of several topics is refused', async () => {
      const { code, stderr } = await cli.run(['topic', 'create', 'fine', 'not/fine']);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^polylog: cannot create topic not\/fine: .*INVALID_TOPIC_EXCEPTION\)\n {2}Created nevertheless: fine\.\n$/,
      );
    });

    it('creates nothing in a dry run', async () => {
      assert.match(await cli.ok(['topic', 'create', 'dry', '--dry-run']), /could be created/);
      assert.equal((await cli.run(['topic', 'describe', 'dry'])).code, 3);
    });

    it('adds partitions and changes settings', async () => {
      await cli.ok(['topic', 'create', 'altered']);
      const text = await cli.ok(['topic', 'alter', 'altered', '-p', '4', '-c', 'cleanup.policy=compact']);
      assert.equal(
        text,
        'Set cleanup.policy=compact on topic altered.\nTopic altered has 4 partitions now.\n',
      );
      const fewer = await cli.run(['topic', 'alter', 'altered', '-p', '2']);
      assert.equal(fewer.code, 1);
      assert.match(fewer.stderr, /INVALID_PARTITIONS/);
      await cli.ok(['topic', 'alter', 'altered', '--unset', 'cleanup.policy']);
      const described = await cli.json<{ topics: { configs: object; partitions: unknown[] }[] }>([
        'topic',
        'describe',
        'altered',
      ]);
      assert.deepEqual(described.topics[0]!.configs, {});
      assert.equal(described.topics[0]!.partitions.length, 4);
    });

    it('deletes with --yes only, where nobody can be asked', async () => {
      await cli.ok(['topic', 'create', 'doomed']);
      const refused = await cli.run(['topic', 'delete', 'doomed']);
      assert.equal(refused.code, 2);
      assert.match(
        refused.stderr,
        /Delete topic doomed with all messages\? Nobody can be asked here\.\n {2}Pass --yes/,
      );
      assert.equal(await cli.ok(['topic', 'delete', 'doomed', '--yes']), 'Deleted topic doomed.\n');
      assert.equal((await cli.run(['topic', 'delete', 'doomed', '--yes'])).code, 3);
      assert.deepEqual(await cli.json(['topic', 'delete', 'doomed', '--yes', '--if-exists']), {
        deleted: [],
        missing: ['doomed'],
      });
    });

    it('asks on a terminal before it deletes', { timeout: 60_000 }, async (test) => {
      if ((await run('script', ['--version']).catch(() => ({ code: 1 }))).code !== 0)
        return test.skip('no script(1)');
      await cli.ok(['topic', 'create', 'asked']);
      // script(1) gives it a terminal; the answer is typed once the question is there.
      const answer = async (keys: string): Promise<{ code: number | null; stdout: string }> => {
        const command = `stty cols 80; ${cli.shellCommand} topic delete asked`;
        const terminal = start('script', ['-qec', command, '/dev/null'], {
          stdio: ['pipe', 'pipe', 'inherit'],
          env: { ...process.env, ...cli.env },
        });
        let stdout = '';
        terminal.stdout!.setEncoding('utf8').on('data', (text: string) => {
          const isAsked = stdout.includes('Type yes');
          stdout += text;
          if (!isAsked && stdout.includes('Type yes')) terminal.stdin!.write(keys);
        });
        const [code] = (await once(terminal, 'close')) as [number | null];
        return { code, stdout };
      };
      const no = await answer('y\r');
      assert.match(no.stdout, /Delete topic asked with all messages\?/);
      assert.match(no.stdout, /Nothing was deleted/);
      assert.equal(no.code, 1);
      const yes = await answer('yes\r');
      assert.match(yes.stdout, /Deleted topic asked\./);
      assert.equal(yes.code, 0);
    });
  });

  describe('quota', () => {
    it('sets, lists and deletes what users, client ids and addresses may do', async () => {
      const both = ['--user', 'alice', '--client-id', 'app'];
      await cli.ok(['quota', 'set', ...both, 'producer_byte_rate=1000', 'request_percentage=12.5']);
      await cli.ok(['quota', 'set', '--default-user', 'consumer_byte_rate=5']);
      await cli.ok(['quota', 'set', '--ip', '::ffff:10.0.0.1', 'connection_creation_rate=3']);
      const { quotas } = await cli.json<{ quotas: unknown[] }>(['quota', 'list']);
      assert.deepEqual(quotas, [
        { entity: { ip: '10.0.0.1' }, values: { connection_creation_rate: 3 } },
        { entity: { user: null }, values: { consumer_byte_rate: 5 } },
        {
          entity: { user: 'alice', clientId: 'app' },
          values: { producer_byte_rate: 1000, request_percentage: 12.5 },
        },
      ]);
      const listed = await cli.ok(['quota', 'list', '--user', 'alice']);
      assert.match(listed, /^user alice, client-id app +producer_byte_rate +1000$/m);
      assert.doesNotMatch(listed, /default user/);
      assert.equal(
        await cli.ok(['quota', 'delete', ...both, 'request_percentage']),
        'Deleted request_percentage of user alice, client-id app.\n',
      );
      await cli.ok(['quota', 'delete', ...both]);
      const again = await cli.run(['quota', 'delete', ...both]);
      assert.equal(again.code, 3);
      assert.match(again.stderr, /user alice, client-id app has no quota/);
      await cli.ok(['quota', 'delete', '--default-user']);
      await cli.ok(['quota', 'delete', '--ip', '10.0.0.1']);
      assert.equal(await cli.ok(['quota', 'list']), '');
    });

    it('tells why a quota is refused', async () => {
      const { code, stderr } = await cli.run(['quota', 'set', '--user', 'alice', 'bytes=5']);
      assert.equal(code, 1);
      assert.match(stderr, /Unknown quota "bytes"; users and client ids have producer_byte_rate/);
    });
  });

  describe('config', () => {
    it('sets, shows and unsets what a topic has', async () => {
      await cli.ok(['topic', 'create', 'configured']);
      assert.equal(await cli.ok(['config', 'list', 'topic', 'configured']), '');
      assert.equal(
        await cli.ok([
          'config',
          'set',
          'topic',
          'configured',
          'retention.ms=5000',
          'cleanup.policy=compact,delete',
        ]),
        'topic configured: retention.ms = 5000\ntopic configured: cleanup.policy = compact,delete\n',
      );
      assert.match(await cli.ok(['config', 'list', 'topic', 'configured']), /^retention\.ms +5000 +topic$/m);
      const shown = await cli.ok(['config', 'get', 'topic', 'configured', 'retention.ms']);
      assert.match(
        shown,
        /^retention\.ms = 5000\n {4}long, from topic; beneath it: default .*=604800000\n {4}How long/,
      );
      assert.ok(
        shown.split('\n').every((line) => line.length <= 80),
        shown,
      );
      assert.match(
        await cli.ok(['config', 'unset', 'topic', 'configured', 'retention.ms']),
        /604800000 \(default\)/,
      );
    });

    it('sets and unsets what brokers and groups have, while they run', async () => {
      await cli.ok(['topic', 'create', 'default-size']);
      const size = () => cli.ok(['config', 'get', 'topic', 'default-size', 'segment.bytes']);
      assert.equal(
        await cli.ok(['config', 'set', 'broker', 'all', 'log.segment.bytes=2000000']),
        'all brokers: log.segment.bytes = 2000000\n',
      );
      assert.match(
        await cli.ok(['config', 'list', 'broker', 'all']),
        /^log\.segment\.bytes +2000000 +cluster$/m,
      );
      assert.match(await size(), /^segment\.bytes = 2000000\n.*from cluster; beneath it: default/);
      await cli.ok(['config', 'unset', 'broker', 'all', 'log.segment.bytes']);
      assert.match(await size(), /from default/);
      const group = ['group', 'configured', 'consumer.session.timeout.ms'];
      await cli.ok(['config', 'set', ...group.with(2, `${group[2]}=50000`)]);
      assert.match(await cli.ok(['config', 'get', ...group]), / = 50000\n {4}int, from group; beneath it/);
      assert.match(await cli.ok(['config', 'unset', ...group]), /= 45000 \(default\)/);
    });

    it('gives programs values, sources and explanations', async () => {
      await cli.ok(['topic', 'create', 'configured-json', '-c', 'segment.ms=60000']);
      const { resource, configs } = await cli.json<Settings>([
        'config',
        'list',
        'topic',
        'configured-json',
        '--all',
      ]);
      assert.deepEqual(resource, { kind: 'topic', name: 'configured-json' });
      assert.ok(configs.length > 20);
      assert.partialDeepStrictEqual(
        configs.find(({ name }) => name === 'segment.ms'),
        { value: '60000', source: 'topic', type: 'long', readOnly: false, sensitive: false },
      );
      assert.ok(configs.every(({ documentation }) => (documentation?.length ?? 0) > 10));
    });

    it('shows a broker its own settings', async () => {
      const { configs } = await cli.json<Settings>([
        'config',
        'get',
        'broker',
        '1',
        'node.id',
        'log.retention.ms',
      ]);
      assert.deepEqual(
        configs.map(({ name }) => name),
        ['node.id', 'log.retention.ms'],
      );
      assert.equal((await cli.run(['config', 'list', 'broker', '7'])).code, 3);
    });

    it('names a similar setting for one that does not exist', async () => {
      await cli.ok(['topic', 'create', 'typo']);
      const get = await cli.run(['config', 'get', 'topic', 'typo', 'retention.mss']);
      assert.equal(get.code, 3);
      assert.match(get.stderr, /topic typo has no setting retention\.mss \(did you mean retention\.ms\?\)/);
      const set = await cli.run(['config', 'set', 'topic', 'typo', 'retention.ms=soon']);
      assert.equal(set.code, 1);
      assert.match(set.stderr, /INVALID_CONFIG/);
    });
  });

  describe('cluster', () => {
    it('describes brokers', async () => {
      assert.match(
        await cli.ok(['cluster', 'describe']),
        new RegExp(`^ +1 +${broker.kafkaAddress} +- +\\d+ `, 'm'),
      );
      const described = await cli.json<{ controllerId: number; brokers: { id: number; storage: object }[] }>([
        'cluster',
        'describe',
      ]);
      assert.equal(described.controllerId, 1);
      const [one] = described.brokers;
      assert.partialDeepStrictEqual(one, { id: 1, fenced: false, error: null });
      assert.deepEqual(Object.keys(one!.storage), ['partitions', 'bytes', 'totalBytes', 'usableBytes']);
    });

    it('is healthy', async () => {
      assert.match(await cli.ok(['cluster', 'health']), /^Healthy: 1 broker, .* all led and in sync\.\n$/);
      assert.partialDeepStrictEqual(await cli.json(['cluster', 'health']), {
        healthy: true,
        brokers: 1,
        problems: [],
      });
    });
  });

  describe('errors', () => {
    it('tell what to do when no broker answers', async () => {
      const [port] = await freePorts(1);
      const result = await cli.run(['topic', 'list', '--bootstrap', `127.0.0.1:${port}`]);
      assert.equal(result.code, 4);
      assert.equal(
        result.stderr,
        `polylog: nobody listens at 127.0.0.1:${port}\n` +
          '  Start a broker with `polylog start`, or name another one with --bootstrap HOST:PORT.\n',
      );
    });

    it('are objects for programs', async () => {
      const { code, stdout, stderr } = await cli.run(['topic', 'describe', 'peopel', '--json']);
      assert.equal(code, 3);
      assert.equal(stdout, '');
      assert.partialDeepStrictEqual(JSON.parse(stderr), {
        error: {
          code: 'UNKNOWN_TOPIC_OR_PARTITION',
          message: 'no topic peopel (did you mean people?)',
          exitCode: 3,
        },
      });
    });

    const mistakes: [args: string[], message: RegExp][] = [
      [['tpoic', 'list'], /unknown command 'tpoic' \(did you mean topic\?\)/],
      [['topic', 'lst'], /unknown command 'lst' \(did you mean list\?\)/],
      [['consume', 'people', '--folow'], /unknown option '--folow' \(did you mean --follow\?\)/],
      [['topic', 'create'], /missing required argument 'name'/],
      [['topic', 'create', 'x', '-p', 'many'], /'many' is invalid\. Give a whole number from 1 to 100000/],
      [['topic', 'list', '--timeout', '5'], /'5' is invalid\. Give a duration, such as/],
      [['topic', 'list', '--bootstrap', '127.0.0.1:nine'], /"127\.0\.0\.1:nine" is not an address/],
      [['config', 'list', 'queue', 'x'], /Allowed choices are topic, broker, group/],
      [['topic', 'alter', 'people'], /nothing to change/],
      [['quota', 'set', 'producer_byte_rate=1'], /Whose quota\?/],
      [['quota', 'set', '--user', 'a', 'producer_byte_rate=fast'], /is not QUOTA=NUMBER/],
      [['quota', 'set', '--user', 'a', '--default-user', 'producer_byte_rate=1'], /exclude each other/],
      [['quota', 'set', '--user', 'a', '--ip', '::1', 'producer_byte_rate=1'], /or for a user/],
    ];
    for (const [args, message] of mistakes) {
      it(`of usage end with 2: polylog ${args.join(' ')}`, async () => {
        const { code, stdout, stderr } = await cli.run(args);
        assert.equal(code, 2);
        assert.equal(stdout, '');
        assert.match(stderr, message);
      });
    }

    it('name what does not speak the protocol', async () => {
      const http = await Broker.start({});
      const { code, stderr } = await cli.run([
        'topic',
        'list',
        '--timeout',
        '2s',
        '--bootstrap',
        http.httpAddress!,
      ]);
      await http.stop();
      assert.equal(code, 4, stderr);
      assert.match(stderr, /^polylog: 127\.0\.0\.1:\d+ /);
    });
  });

  describe('colours', () => {
    const escape = '\u001B[';
    it('are for terminals only, and not where NO_COLOR is set', async (test) => {
      await cli.ok(['topic', 'create', 'colourful', '--if-not-exists']);
      const list = `${cli.shellCommand} topic list`;
      const piped = await cli.shell(`unset NO_COLOR; ${list} | cat`);
      assert.ok(!piped.stdout.includes(escape), piped.stdout);
      if ((await run('script', ['--version']).catch(() => ({ code: 1 }))).code !== 0)
        return test.skip('no script(1)');
      const terminal = await cli.shell(
        // With CI set Node takes no terminal for one that has colours.
        `unset NO_COLOR CI; script -qec "stty cols 80; TERM=xterm ${list}" /dev/null`,
      );
      assert.ok(terminal.stdout.includes(escape), terminal.stdout);
      const without = await cli.shell(`script -qec "stty cols 80; TERM=xterm NO_COLOR=1 ${list}" /dev/null`);
      assert.ok(!without.stdout.includes(escape), without.stdout);
      assert.match(without.stdout, /colourful/);
    });
  });

  describe('help', () => {
    it('of the program lists its commands', async () => {
      const help = await cli.ok(['--help']);
      for (const name of [
        'start',
        'topic',
        'produce',
        'consume',
        'config',
        'cluster',
        'dump-log',
        'completion',
      ]) {
        assert.match(help, new RegExp(`^ {2}${name} `, 'm'));
      }
    });

    it('can be asked for by a word', async () => {
      assert.equal(await cli.ok(['help']), await cli.ok(['--help']));
      assert.equal(await cli.ok(['help', 'consume']), await cli.ok(['consume', '--help']));
      assert.match(await cli.ok(['--version']), /^\d+\.\d+\.\d+\n$/);
      assert.equal(await cli.ok(['--json', '--version']), await cli.ok(['--version']));
    });

    it('of start lists the settings of a broker', async () => {
      assert.match(await cli.ok(['start', '--help']), /log\.retention\.ms/);
    });

    it('of each command has examples and fits on 80 columns', async () => {
      const words = await commandPaths(cli);
      assert.ok(words.length > 10);
      for (const command of words) {
        const help = await cli.ok([...command.split(' '), '--help']);
        const tooLong = help.split('\n').filter((line) => line.length > 80 && !line.startsWith('  polylog '));
        assert.deepEqual(tooLong, [], command);
        if (!/^Commands:/m.test(help)) assert.match(help, /^Examples:\n {2}# /m, command);
      }
    });
  });

  describe('completion', () => {
    async function complete(line: string): Promise<string[]> {
      const words = line.split(' ');
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const script = `eval "$(polylog completion bash)"
        COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _polylog polylog
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { code, stdout, stderr } = await cli.shell(script);
      assert.equal(code, 0, stderr);
      return stdout.trim().split('\n');
    }

    it('in bash knows commands, options and choices', async () => {
      assert.deepEqual(await complete('polylog con'), ['consume', 'config']);
      assert.deepEqual(await complete('polylog topic '), [
        'create',
        'list',
        'describe',
        'alter',
        'delete',
        '--help',
        '-h',
      ]);
      assert.deepEqual(await complete('polylog topic create --par'), ['--partitions']);
      assert.deepEqual(await complete('polylog completion b'), ['bash']);
    });

    it('in bash asks the broker for topics', async () => {
      await cli.ok(['topic', 'create', 'completed-topic']);
      assert.deepEqual(await complete('polylog topic describe completed-'), ['completed-topic']);
      assert.deepEqual(await complete('polylog consume completed-'), ['completed-topic']);
    });

    for (const shell of ['zsh', 'fish']) {
      it(`has a script that ${shell} can read`, async (test) => {
        const script = await cli.ok(['completion', shell]);
        assert.match(script, /polylog/);
        const file = path.join(folder, shell);
        writeFileSync(file, script);
        const checked = await run(shell, ['-n', file]).catch(() => undefined);
        if (checked === undefined) return test.skip(`no ${shell} here`);
        assert.equal(checked.code, 0, checked.stderr);
      });
    }
  });
});

/** Every command that the completion knows. */
async function commandPaths(cli: PolylogCli): Promise<string[]> {
  const script = await cli.ok(['completion', 'bash']);
  return [...script.matchAll(/^ {4}'([a-z -]+)'\) words=/gm)]
    .map((match) => match[1]!)
    .filter((command) => !['start', 'help'].includes(command));
}

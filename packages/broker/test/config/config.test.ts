import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BROKER_DEFINITIONS } from '../../src/config/broker-config.ts';
import { ConfigValueError } from '../../src/config/definition.ts';
import { ConfigError, environmentSettings, resolveConfig, type RawSetting } from '../../src/config/load.ts';
import { editDistance, suggest } from '../../src/config/suggest.ts';
import { topicConfigDefinitions } from '../../src/config/topic-config-definitions.ts';
import { alterOverrides, parseTopicSettings } from '../../src/config/topic-config.ts';
import { yamlSettings } from '../../src/config/yaml-file.ts';

const flag = (name: string, text: string): RawSetting => ({
  name,
  text,
  source: 'flag',
  where: `--${name}`,
});

function mistakesOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.mistakes;
  }
  assert.fail('no mistake was found');
}

describe('The broker configuration', () => {
  it('has a legal default for every setting', () => {
    const config = resolveConfig([]);
    assert.deepEqual(config.settings.kafka, { host: '127.0.0.1', port: 9092 });
    assert.equal(config.settings['node.id'], 1);
    assert.equal(config.settings['advertised.kafka'], undefined);
    assert.equal(config.settings['auto.create.topics.enable'], true);
    for (const { name, defaultText, parse } of BROKER_DEFINITIONS.values()) {
      if (defaultText !== null) assert.doesNotThrow(() => parse(defaultText), name);
    }
    assert.throws(() => Object.assign(config.settings, { data: 'elsewhere' }), TypeError);
  });

  it('lets flags win over the environment, and that over the file', () => {
    const file = yamlSettings('p.yaml', 'num:\n  partitions: 2\nkafka: 0.0.0.0:1\ndata: here\n');
    const environment = environmentSettings({
      POLYLOG_NUM_PARTITIONS: '3',
      POLYLOG_KAFKA: ':2',
      // Of the command line, and the file's own name: no settings.
      POLYLOG_BOOTSTRAP: 'elsewhere:9092',
      POLYLOG_CONFIG: 'p.yaml',
      PATH: '/bin',
    });
    const { settings, entries } = resolveConfig([...file, ...environment, flag('num-partitions', '4')]);
    assert.equal(settings['num.partitions'], 4);
    assert.deepEqual(settings.kafka, { host: '0.0.0.0', port: 2 });
    assert.equal(settings.data, 'here');
    assert.equal(entries.get('kafka')!.source, 'environment');
  });

  it('says where a mistake is, what is legal, and what was probably meant', () => {
    const file = yamlSettings('p.yaml', '# mine\nlog:\n  retnetion.ms: 5\nnum.partitions: 0\n');
    assert.deepEqual(
      mistakesOf(() => resolveConfig([...file, flag('kafka', 'nowhere')])),
      [
        'p.yaml:3: unknown setting log.retnetion.ms (did you mean log.retention.ms?)',
        'p.yaml:4: num.partitions must be an integer from 1 to 2147483647, not "0"',
        '--kafka: kafka must be HOST:PORT, with a port from 0 (any free one) to 65535, not "nowhere"',
      ],
    );
    assert.match(
      mistakesOf(() => resolveConfig(environmentSettings({ POLYLOG_KAFAK: 'x:1' })))[0]!,
      /^POLYLOG_KAFAK: unknown setting kafak \(did you mean kafka\?\)$/,
    );
  });

  it('bounds what the quotas of all clients may take in memory', () => {
    const mistakes = mistakesOf(() => resolveConfig([flag('quota-window-num', '101')]));
    assert.match(mistakes[0]!, /quota\.window\.num must be an integer from 2 to 100, not "101"/);
  });

  it('reads lists, and refuses what is no setting in YAML', () => {
    const settings = yamlSettings('p.yaml', 'log.cleanup.policy: [compact, delete]\n');
    assert.equal(resolveConfig(settings).topicDefaults.get('cleanup.policy'), 'compact,delete');
    assert.deepEqual(yamlSettings('p.yaml', '# nothing\n'), []);
    for (const [content, line] of [
      ['a: {b: [c: 1]}', 1],
      ['- 1', 1],
      ['a: 1\nb:\n  - {c: 1}', 3],
      ['x: 1\nkafka:', 2],
      ['a: 1\na: 2', 2],
      ['a: "1', 1],
    ] as const) {
      assert.match(
        mistakesOf(() => yamlSettings('p.yaml', content))[0]!,
        new RegExp(`^p.yaml:${line}: `),
        content,
      );
    }
  });

  it('takes ports at their bounds only, and IPv6 in brackets', () => {
    const parse = BROKER_DEFINITIONS.get('kafka')!.parse;
    assert.deepEqual(parse('[::1]:65535'), { host: '::1', port: 65_535 });
    assert.deepEqual(parse('host:0'), { host: 'host', port: 0 });
    for (const text of ['host:65536', 'host', '::1:9092', 'host:-1', 'host:', 'a b:1']) {
      assert.throws(() => parse(text), ConfigValueError, text);
    }
  });

  it('lets coarser units stand in for milliseconds, the finest first', () => {
    const defaults = (...settings: RawSetting[]): string | undefined =>
      resolveConfig(settings).topicDefaults.get('retention.ms');
    assert.equal(defaults(), undefined);
    assert.equal(defaults(flag('log.retention.hours', '2')), '7200000');
    assert.equal(defaults(flag('log.retention.hours', '-1')), '-1');
    assert.equal(defaults(flag('log.retention.hours', '2'), flag('log.retention.minutes', '3')), '180000');
    assert.equal(defaults(flag('log.retention.ms', '9'), flag('log.retention.minutes', '3')), '9');
  });
});

describe('Topic configs', () => {
  it('have legal defaults, each a broker setting where Kafka has one', () => {
    for (const { name, defaultText, parse, brokerSynonym } of topicConfigDefinitions()) {
      assert.doesNotThrow(() => parse(defaultText!), name);
      if (brokerSynonym !== undefined) assert.ok(BROKER_DEFINITIONS.has(brokerSynonym), brokerSynonym);
    }
  });

  it('take the topic, then the broker, then the default', () => {
    const defaults = new Map([['retention.ms', '5']]);
    assert.equal(parseTopicSettings(new Map(), new Map()).log.retentionMs, 7 * 24 * 3_600_000);
    assert.equal(parseTopicSettings(new Map(), defaults).log.retentionMs, 5);
    assert.equal(parseTopicSettings(new Map([['retention.ms', '-1']]), defaults).log.retentionMs, -1);
  });

  it('become what storage and the data plane need', () => {
    const settings = parseTopicSettings(
      new Map([
        ['cleanup.policy', 'compact'],
        ['compression.type', 'gzip'],
        ['compression.gzip.level', '9'],
        ['message.timestamp.type', 'LogAppendTime'],
        ['min.insync.replicas', '2'],
        ['segment.bytes', '1048576'],
        ['flush', 'os'],
      ]),
      new Map(),
    );
    assert.equal(settings.compact, true);
    assert.equal(settings.log.deleteOldSegments, false);
    assert.deepEqual(settings.compression, { type: 'gzip', level: 9 });
    assert.equal(settings.timestampType, 'LogAppendTime');
    assert.equal(settings.minInsyncReplicas, 2);
    assert.equal(settings.log.segmentBytes, 1_048_576);
    assert.equal(settings.log.flush, 'os');
    assert.equal(settings.maxMessageBytes, 1_048_588);
    assert.equal(
      parseTopicSettings(new Map([['compression.type', 'uncompressed']]), new Map()).compression.type,
      'none',
    );
  });

  it("sync each record where Kafka's own settings ask for it and the topic does not say otherwise", () => {
    const broker = new Map([['flush', 'os']]);
    const flushOf = (overrides: [string, string][]): string =>
      parseTopicSettings(new Map(overrides), broker).log.flush;
    assert.equal(flushOf([]), 'os');
    assert.equal(flushOf([['flush.messages', '1']]), 'fsync');
    assert.equal(flushOf([['flush.messages', '2']]), 'os');
    assert.equal(flushOf([['flush.ms', '0']]), 'fsync');
    assert.equal(
      flushOf([
        ['flush.messages', '1'],
        ['flush', 'os'],
      ]),
      'os',
    );
  });

  it('are refused with a hint', () => {
    const refused = (name: string, value: string, pattern: RegExp): void => {
      assert.throws(
        () => parseTopicSettings(new Map([[name, value]]), new Map()),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'INVALID_CONFIG');
          assert.match(error.message, pattern);
          return true;
        },
      );
    };
    refused('retention.mss', '1', /did you mean retention\.ms\?/);
    refused('retention.ms', '-2', /at least -1/);
    refused('retention.ms', '1.5', /integer/);
    refused('retention.ms', '9223372036854775808', /integer/);
    refused('segment.bytes', '1048575', /from 1048576/);
    refused('cleanup.policy', 'shred', /compact and delete/);
    refused('cleanup.policy', 'delete,delete', /compact and delete/);
    refused('min.cleanable.dirty.ratio', '1.1', /from 0 to 1/);
    refused('min.cleanable.dirty.ratio', '', /from 0 to 1/);
    refused('remote.storage.enable', 'true', /tiered storage/);
    refused('__proto__', '1', /Unknown topic config/);
    assert.throws(
      () =>
        parseTopicSettings(
          new Map([
            ['min.compaction.lag.ms', '5'],
            ['max.compaction.lag.ms', '4'],
          ]),
          new Map(),
        ),
      { code: 'INVALID_CONFIG' },
    );
  });

  it('change one by one, lists item by item, or not at all', () => {
    const before = new Map([
      ['retention.ms', '5'],
      ['cleanup.policy', 'compact'],
    ]);
    const alter = (...operations: Parameters<typeof alterOverrides>[1]): Record<string, string> =>
      Object.fromEntries(alterOverrides(before, operations, new Map()));
    assert.deepEqual(alter({ name: 'retention.ms', operation: 'delete', value: undefined }), {
      'cleanup.policy': 'compact',
    });
    assert.deepEqual(alter({ name: 'cleanup.policy', operation: 'append', value: 'delete,compact' }), {
      'retention.ms': '5',
      'cleanup.policy': 'compact,delete',
    });
    assert.equal(
      alterOverrides(
        new Map(),
        [{ name: 'cleanup.policy', operation: 'append', value: 'compact' }],
        new Map(),
      ).get('cleanup.policy'),
      'delete,compact',
    );
    assert.equal(
      alter({ name: 'cleanup.policy', operation: 'subtract', value: 'compact' })['cleanup.policy'],
      '',
    );
    assert.throws(() => alter({ name: 'retention.ms', operation: 'append', value: '1' }), {
      code: 'INVALID_CONFIG',
    });
    assert.throws(
      () =>
        alter(
          { name: 'retention.ms', operation: 'set', value: '1' },
          { name: 'retention.ms', operation: 'delete', value: undefined },
        ),
      { code: 'INVALID_REQUEST' },
    );
    assert.equal(before.get('retention.ms'), '5');
  });
});

describe('Suggestions', () => {
  it('are the nearest name, if any is near', () => {
    assert.equal(suggest('retention.sm', ['retention.ms', 'retention.bytes']), 'retention.ms');
    assert.equal(suggest('LOG_LEVL', ['log-level']), 'log-level');
    assert.equal(suggest('xyz', ['retention.ms']), undefined);
  });

  it('measure distances as the textbook does', () => {
    const textbook = (left: string, right: string): number => {
      if (left === '' || right === '') return left.length + right.length;
      const [first, rest] = [left[0], left.slice(1)];
      const substituted = textbook(rest, right.slice(1)) + (first === right[0] ? 0 : 1);
      return Math.min(substituted, textbook(rest, right) + 1, textbook(left, right.slice(1)) + 1);
    };
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
    fc.assert(
      fc.property(word, word, fc.nat(6), (left, right, limit) => {
        assert.equal(editDistance(left, right, limit), Math.min(limit, textbook(left, right)));
      }),
      { numRuns: 200 },
    );
  });
});

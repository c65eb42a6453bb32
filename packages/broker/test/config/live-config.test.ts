import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseGroupConfig } from '../../src/config/group-config.ts';
import { LiveConfig, NO_DYNAMIC_SETTINGS } from '../../src/config/live-config.ts';
import { resolveConfig } from '../../src/config/load.ts';
import { parseTopicSettings, settingsInForce } from '../../src/config/topic-config.ts';
import { BrokerError } from '../../src/errors.ts';

function live(settings: Readonly<Record<string, string>> = {}): LiveConfig {
  return new LiveConfig(
    resolveConfig(
      Object.entries(settings).map(([name, text]) => ({ name, text, source: 'file', where: name })),
    ),
  );
}

const layers = (
  cluster: Readonly<Record<string, string>>,
  broker: Readonly<Record<string, string>> = {},
) => ({
  cluster: new Map(Object.entries(cluster)),
  broker: new Map(Object.entries(broker)),
});

describe('The live configuration', () => {
  it('is what the broker was started with, under what was changed for all brokers, under what was changed for it', () => {
    const config = live({ 'max.connections': '10', 'log.retention.ms': '1000' });
    assert.equal(config.settings['max.connections'], 10);
    assert.deepEqual(config.apply(layers({ 'max.connections': '20', 'log.segment.bytes': '2000000' })), []);
    assert.equal(config.settings['max.connections'], 20);
    assert.deepEqual(
      config.topicDefaults,
      new Map([
        ['retention.ms', '1000'],
        ['segment.bytes', '2000000'],
      ]),
    );
    config.apply(layers({ 'max.connections': '20' }, { 'max.connections': '30' }));
    assert.equal(config.settings['max.connections'], 30);
    assert.equal(config.topicDefaults.get('segment.bytes'), undefined);
    config.apply(NO_DYNAMIC_SETTINGS);
    assert.equal(config.settings, config.base.settings);
  });

  it('tells of each change with what was before, and leaves alone what did not change', () => {
    const config = live();
    const seen: (readonly [before: number, now: number])[] = [];
    config.onChange((before) =>
      seen.push([before.settings['max.connections'], config.settings['max.connections']]),
    );
    config.apply(layers({ 'max.connections': '5' }));
    config.apply(layers({}));
    assert.deepEqual(seen, [
      [10_000, 5],
      [5, 10_000],
    ]);
  });

  it("takes what Kafka's tools set of Kerberos, though nothing follows from it", () => {
    const config = live();
    const name = 'sasl.kerberos.min.time.before.relogin';
    assert.deepEqual(config.apply(layers({}, { [name]: '58000' })), []);
    assert.equal(config.settings[name], 58_000);
  });

  it('finer units win also where the coarser one came later', () => {
    const config = live({ 'log.retention.hours': '2' });
    assert.equal(config.topicDefaults.get('retention.ms'), '7200000');
    config.apply(layers({ 'log.retention.ms': '5' }));
    assert.equal(config.topicDefaults.get('retention.ms'), '5');
  });

  it('goes on without what it does not know, cannot change or refuses, and says so', () => {
    const config = live();
    const mistakes = config.apply(
      layers({ 'node.id': '2', nonesuch: '1', 'max.connections': 'many', 'log.retention.ms': '7' }),
    );
    assert.equal(mistakes.length, 3);
    assert.match(mistakes.join('\n'), /node.id cannot be changed while the broker runs/);
    assert.equal(config.settings['node.id'], 1);
    assert.equal(config.topicDefaults.get('retention.ms'), '7');
  });

  it('stays as it is where values contradict each other', () => {
    const config = live();
    config.apply(layers({ 'log.retention.ms': '7' }));
    const mistakes = config.apply(
      layers({ 'log.cleaner.min.compaction.lag.ms': '9', 'log.cleaner.max.compaction.lag.ms': '8' }),
    );
    assert.match(mistakes.join(''), /must not be above/);
    assert.deepEqual([...config.topicDefaults], [['retention.ms', '7']]);
  });
});

describe('A topic whose overrides contradict later defaults', () => {
  it("goes by its overrides, and Kafka's defaults", () => {
    const overrides = new Map([['min.compaction.lag.ms', '100']]);
    const defaults = new Map([
      ['max.compaction.lag.ms', '50'],
      ['retention.ms', '7'],
    ]);
    assert.throws(() => parseTopicSettings(overrides, defaults), BrokerError);
    const told: string[] = [];
    const settings = settingsInForce(overrides, defaults, (why) => told.push(why));
    assert.equal(settings.log.retentionMs, 604_800_000);
    assert.match(told.join(), /min.compaction.lag.ms \(100\) must not be above/);
  });
});

describe('The configuration of a group', () => {
  it('comes from the group, else from the broker', () => {
    const config = live();
    assert.deepEqual(parseGroupConfig(new Map(), config), {
      sessionTimeoutMs: 45_000,
      heartbeatIntervalMs: 5000,
    });
    const overrides = new Map([['consumer.session.timeout.ms', '60000']]);
    assert.equal(parseGroupConfig(overrides, config).sessionTimeoutMs, 60_000);
  });

  const refusals: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ 'consumer.session.timeout': '1' }, /Unknown group config name/],
    [{ 'consumer.session.timeout.ms': '0' }, /must be an integer from 1/],
    [{ 'consumer.session.timeout.ms': '5000' }, /must be below consumer.session.timeout.ms/],
  ];
  for (const [overrides, message] of refusals) {
    it(`refuses ${JSON.stringify(overrides)}`, () => {
      assert.throws(
        () => parseGroupConfig(new Map(Object.entries(overrides)), live()),
        (error) =>
          error instanceof BrokerError && error.code === 'INVALID_CONFIG' && message.test(error.message),
      );
    });
  }
});

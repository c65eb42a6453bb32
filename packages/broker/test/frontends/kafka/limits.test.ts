import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BROKER_CONFIGS } from '../../../src/config/broker-config.ts';
import { resolveConfig } from '../../../src/config/load.ts';
import { kafkaLimitsOf, type KafkaLimits } from '../../../src/frontends/kafka/limits.ts';

const MIB = 1024 * 1024;

const SETTINGS: Readonly<Partial<Record<keyof KafkaLimits, keyof typeof BROKER_CONFIGS>>> = {
  requestBytesMax: 'socket.request.max.bytes',
  requestBytesInFlightMax: 'queued.max.request.bytes',
  requestsInFlightPerConnectionMax: 'connection.requests.max',
  responseBytesInFlightMax: 'queued.max.response.bytes',
  parseBytesPerTurnMax: 'connection.turn.bytes',
  idleMs: 'connections.max.idle.ms',
  handshakeMs: 'connection.handshake.timeout.ms',
  frameProgressMs: 'connection.stall.timeout.ms',
  drainMs: 'connection.drain.timeout.ms',
  fetchResponseBytesMax: 'fetch.max.bytes',
  fetchSessionsMax: 'max.incremental.fetch.session.cache.slots',
};

/** See the reasons in limits.ts. */
const FIXED: readonly (keyof KafkaLimits)[] = [
  'unsentBytesPerConnectionMax',
  'encodedBytesGuaranteed',
  'clientIdLengthMax',
  'requestEntriesMax',
  'adminRequestEntriesMax',
  'fetchSessionPartitionsMax',
  'fetchSessionEvictionMs',
];

test('every limit has a setting that moves it, or is one of those that are fixed', () => {
  const defaults = kafkaLimitsOf(resolveConfig([]).settings);
  assert.deepEqual(Object.keys(defaults).toSorted(), [...Object.keys(SETTINGS), ...FIXED].toSorted());
  for (const [limit, name] of Object.entries(SETTINGS)) {
    const raw = { name, text: '54321', source: 'option' as const, where: 'test' };
    const limits = kafkaLimitsOf(resolveConfig([raw]).settings);
    assert.deepEqual(limits, { ...defaults, [limit]: 54_321 }, name);
  }
});

test('limits that Kafka has are as in Kafka', () => {
  const limits = kafkaLimitsOf(resolveConfig([]).settings);
  assert.equal(limits.requestBytesMax, 100 * MIB);
  assert.equal(limits.idleMs, 600_000);
  assert.equal(limits.fetchResponseBytesMax, 55 * MIB);
  assert.equal(limits.fetchSessionsMax, 1000);
  assert.equal(limits.fetchSessionEvictionMs, 120_000);
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  alterClientQuotas,
  createPartitions,
  createTopics,
  deleteTopics,
  describeClientQuotas,
  metadata,
} from '@polylog/kafka-protocol';

import { errorCodeOf } from '../../../src/frontends/kafka/errors.ts';
import { ManualClock } from '../../replication/helpers.ts';
import { quotaSection, testQuotas } from '../../support/quotas.ts';
import { AdminClient, newTopic } from './admin-client.ts';

describe('Client quotas', () => {
  const user = (entityName: string | null) => [{ entityType: 'user', entityName }];
  const op = (key: string, value: number, remove = false) => ({ key, value, remove });
  const all = { components: [], strict: false };

  it('are altered one by one, and described', async () => {
    const client = await AdminClient.connect();
    const entries = [
      { entity: user('a'), ops: [op('producer_byte_rate', 1000), op('request_percentage', 12.5)] },
      { entity: user(null), ops: [op('producer_byte_rate', 2000)] },
      { entity: user('b'), ops: [op('nonesuch', 1)] },
    ];
    const altered = await client.call(alterClientQuotas, 1, { entries, validateOnly: false });
    assert.deepEqual(
      altered.entries.map(({ errorCode }) => errorCode),
      [0, 0, errorCodeOf('INVALID_REQUEST')],
    );
    assert.match(altered.entries[2]!.errorMessage ?? '', /Unknown quota "nonesuch"/);
    const described = await client.call(describeClientQuotas, 1, all);
    assert.deepEqual(described.entries, [
      { entity: user(null), values: [{ key: 'producer_byte_rate', value: 2000 }] },
      {
        entity: user('a'),
        values: [
          { key: 'producer_byte_rate', value: 1000 },
          { key: 'request_percentage', value: 12.5 },
        ],
      },
    ]);
    const removal = { entity: user('a'), ops: [op('request_percentage', 0, true)] };
    await client.call(alterClientQuotas, 0, { entries: [removal], validateOnly: true });
    assert.deepEqual((await client.call(describeClientQuotas, 0, all)).entries, described.entries);
    await client.call(alterClientQuotas, 0, { entries: [removal], validateOnly: false });
    const after = await client.call(describeClientQuotas, 0, all);
    assert.deepEqual(after.entries?.[1]?.values, [{ key: 'producer_byte_rate', value: 1000 }]);
  });

  it('are refused as a whole where the filter is no filter', async () => {
    const client = await AdminClient.connect();
    const ask = (matchType: number, match: string | null, entityType = 'user') =>
      client.call(describeClientQuotas, 1, {
        components: [{ entityType, matchType, match }],
        strict: false,
      });
    const invalid = errorCodeOf('INVALID_REQUEST');
    assert.equal((await ask(0, null)).errorCode, invalid);
    assert.equal((await ask(1, 'a')).errorCode, invalid);
    assert.equal((await ask(3, null)).errorCode, invalid);
    const unknown = await ask(2, null, 'group');
    assert.equal(unknown.errorCode, errorCodeOf('UNSUPPORTED_VERSION'));
    assert.equal(unknown.entries, null);
  });

  it('of created and deleted partitions refuse what is told so, and make the rest wait (KIP-599)', async () => {
    const client = await AdminClient.connect();
    const clock = new ManualClock();
    const { clients } = testQuotas(clock);
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 1 } }));
    const waits: number[] = [];
    const throttled = {
      allowance: clients.of(undefined, 'u', 'c'),
      throttle: (ms: number) => void waits.push(ms),
    };
    const make = async (version: number, name: string, numPartitions: number, validateOnly = false) => {
      const topic = newTopic(name, { numPartitions, replicationFactor: 1 });
      const body = { topics: [topic], timeoutMs: 1000, validateOnly };
      const { topics } = await client.call(createTopics, version, body, throttled);
      return topics[0]!.errorCode;
    };
    const over = errorCodeOf('THROTTLING_QUOTA_EXCEEDED');
    // The bucket holds 11, and one request may take it below nothing.
    assert.equal(await make(7, 'a', 15), 0);
    assert.deepEqual(waits, []);
    assert.equal(await make(7, 'b', 1, true), 0);
    assert.equal(await make(7, 'a', 1), errorCodeOf('TOPIC_ALREADY_EXISTS'));
    assert.equal(await make(7, 'b', 1), over);
    assert.deepEqual(waits.splice(0), [4000]);
    assert.equal(await make(5, 'b', 1), 0);
    assert.deepEqual(waits.splice(0), [5000]);
    const grow = async (version: number) => {
      const body = {
        topics: [{ name: 'b', count: 2, assignments: null }],
        timeoutMs: 1000,
        validateOnly: false,
      };
      return (await client.call(createPartitions, version, body, throttled)).results[0]!.errorCode;
    };
    assert.equal(await grow(3), over);
    assert.equal(await grow(2), 0);
    const remove = async (version: number, name: string) => {
      const body = { topicNames: [name], timeoutMs: 1000 };
      return (await client.call(deleteTopics, version, body, throttled)).responses[0]!.errorCode;
    };
    assert.equal(await remove(5, 'b'), over);
    clock.now += 6000;
    assert.equal(await remove(5, 'b'), 0);
    assert.equal(await remove(5, 'a'), over);
    assert.equal(await remove(4, 'a'), 0);
    assert.equal(client.bench.partitions.image.topicByName('a'), undefined);
  });

  it('make those wait too who create topics by asking for them', async () => {
    const client = await AdminClient.connect();
    const { clients } = testQuotas(new ManualClock());
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 0.5 } }));
    const waits: number[] = [];
    const throttled = {
      allowance: clients.of(undefined, 'u', 'c'),
      throttle: (ms: number) => void waits.push(ms),
    };
    const ask = async (...names: string[]) => {
      const topics = names.map((name) => ({ name }));
      const answer = await client.call(metadata, 9, { topics, allowAutoTopicCreation: true }, throttled);
      return answer.topics.map(({ errorCode }) => errorCode);
    };
    // Of one partition each; the bucket holds 5.5.
    assert.deepEqual(await ask('a', 'b', 'c', 'd', 'e'), [0, 0, 0, 0, 0]);
    // What is there, and what cannot be made, costs nothing.
    assert.deepEqual(await ask('a', 'no/name'), [0, 17]);
    assert.deepEqual(waits, []);
    assert.deepEqual(await ask('f'), [0]);
    assert.deepEqual(waits, [1000]);
  });

  it('of created partitions do not count what is refused for another reason', async () => {
    const client = await AdminClient.connect();
    const { clients } = testQuotas(new ManualClock());
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 1 } }));
    const throttled = { allowance: clients.of(undefined, 'u', 'c'), throttle: () => undefined };
    const make = async (version: number, name: string, numPartitions: number) => {
      const topics = [newTopic(name, { numPartitions, replicationFactor: 1 })];
      const body = { topics, timeoutMs: 1000, validateOnly: false };
      return (await client.call(createTopics, version, body, throttled)).topics[0]!.errorCode;
    };
    const grow = async (version: number, count: number) => {
      const topics = [{ name: 'a', count, assignments: null }];
      const body = { topics, timeoutMs: 1000, validateOnly: false };
      return (await client.call(createPartitions, version, body, throttled)).results[0]!.errorCode;
    };
    const tooMany = 2 ** 31 - 1;
    // A debt of so many would keep the user from its quota for years.
    for (const version of [5, 7]) assert.equal(await make(version, 'huge', tooMany), 37);
    for (const version of [5, 7]) assert.equal(await make(version, 'no/name', 1000), 17);
    assert.equal(await make(7, 'a', 5), 0);
    for (const version of [2, 3]) assert.equal(await grow(version, tooMany), 37);
    assert.equal(await grow(3, 6), 0);
    // Of the eleven at first six are used.
    assert.equal(await make(7, 'b', 5), 0);
    assert.equal(await make(7, 'c', 1), 0);
    assert.equal(await make(7, 'd', 1), errorCodeOf('THROTTLING_QUOTA_EXCEEDED'));
  });
});

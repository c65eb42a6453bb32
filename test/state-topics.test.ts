import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { apis } from '@polylog/kafka-protocol';
import { Broker } from 'polylog';
import { KafkaClient } from './longrun/fuzz/client.ts';

const TOPIC = 2;
const GROUP_KEY = 0;
const TRANSACTION_KEY = 1;

/** The effective `flush` of the topics of the coordinators, which are created by looking for one. */
async function flushOf(config: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const broker = await Broker.start({ http: false, config });
  try {
    const client = await KafkaClient.open(Number(broker.kafkaAddress.split(':').at(-1)));
    for (const keyType of [GROUP_KEY, TRANSACTION_KEY]) {
      await client.request(apis.findCoordinator, 4, { keyType, coordinatorKeys: ['x'] });
    }
    const names = ['__consumer_offsets', '__transaction_state'];
    const { results } = await client.request(apis.describeConfigs, 4, {
      resources: names.map((resourceName) => ({
        resourceType: TOPIC,
        resourceName,
        configurationKeys: ['flush'],
      })),
    });
    client.close();
    return Object.fromEntries(results.map(({ resourceName, configs }) => [resourceName, configs[0]!.value!]));
  } finally {
    await broker.stop();
  }
}

describe('What coordinators acknowledge', () => {
  test('is on the disk, whatever the default of topics is', async () => {
    const flush = { __consumer_offsets: 'fsync', __transaction_state: 'fsync' };
    assert.deepEqual(await flushOf({ 'log.flush': 'os' }), flush);
  });

  test('is left to the operating system where the operator says so', async () => {
    const config = { 'offsets.topic.flush': 'os', 'transaction.state.log.flush': 'os' };
    assert.deepEqual(await flushOf(config), { __consumer_offsets: 'os', __transaction_state: 'os' });
  });
});

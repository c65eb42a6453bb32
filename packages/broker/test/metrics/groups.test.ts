import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Kafka, logLevel } from 'kafkajs';
import { Broker } from 'polylog';

describe('The metrics of consumer groups', () => {
  it('give the lag by partition and by topic, as the high watermarks and commits of the moment say', async () => {
    const broker = await Broker.start({ config: { 'offsets.topic.num.partitions': 2 } });
    const kafka = new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING });
    const [admin, producer] = [kafka.admin(), kafka.producer()];
    await Promise.all([admin.connect(), producer.connect()]);
    const linesOf = async (name: string): Promise<string[]> => {
      const body = await (await fetch(`http://${broker.httpAddress}/metrics`)).text();
      return body
        .split('\n')
        .filter((line) => line.startsWith(`polylog_${name}`))
        .map((line) => line.slice('polylog_'.length))
        .toSorted();
    };
    await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 2 }] });
    const send = async (counts: readonly number[]): Promise<void> => {
      for (const [partition, count] of counts.entries()) {
        const messages = Array.from({ length: count }, () => ({ partition, value: 'v' }));
        await producer.send({ topic: 'orders', messages });
      }
    };
    const commit = async (groupId: string, offsets: readonly number[]): Promise<void> => {
      const partitions = offsets.map((offset, partition) => ({ partition, offset: String(offset) }));
      await admin.setOffsets({ groupId, topic: 'orders', partitions });
    };
    await send([5, 7]);
    await commit('billing', [2, 7]);
    await commit('audit', [0]);
    assert.deepEqual(await linesOf('consumer_group_lag'), [
      'consumer_group_lag{group="audit",topic="orders"} 5',
      'consumer_group_lag{group="billing",topic="orders"} 3',
    ]);
    await send([1, 1]);
    assert.deepEqual(await linesOf('consumer_group_partition_lag'), [
      'consumer_group_partition_lag{group="audit",topic="orders",partition="0"} 6',
      'consumer_group_partition_lag{group="billing",topic="orders",partition="0"} 4',
      'consumer_group_partition_lag{group="billing",topic="orders",partition="1"} 1',
    ]);
    assert.deepEqual(await linesOf('consumer_group_committed_offset{group="billing"'), [
      'consumer_group_committed_offset{group="billing",topic="orders",partition="0"} 2',
      'consumer_group_committed_offset{group="billing",topic="orders",partition="1"} 7',
    ]);
    assert.deepEqual(await linesOf('consumer_groups{state="Empty"}'), ['consumer_groups{state="Empty"} 2']);
    const members = await linesOf('consumer_group_members{');
    assert.deepEqual(members, [
      'consumer_group_members{group="audit"} 0',
      'consumer_group_members{group="billing"} 0',
    ]);
    assert.deepEqual(await linesOf('consumer_group_offset_commits_total'), [
      'consumer_group_offset_commits_total 3',
    ]);
    await admin.deleteGroups(['audit']);
    assert.deepEqual(await linesOf('consumer_group_lag'), [
      'consumer_group_lag{group="billing",topic="orders"} 5',
    ]);
    await Promise.all([admin.disconnect(), producer.disconnect()]);
    await broker.stop();
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CreateTopicRequest } from '../../src/cluster/types.ts';
import { openCluster } from '../support/cluster-bench.ts';
import { MemoryLogs } from '../support/memory-logs.ts';

const topic = (kafkaName: string, more: Partial<CreateTopicRequest> = {}): CreateTopicRequest => ({
  kafkaName,
  partitions: -1,
  replicationFactor: -1,
  configs: new Map(),
  validateOnly: false,
  ...more,
});

describe('Topics', () => {
  it('are served as soon as their creation is answered', async () => {
    const { admin, partitions } = await openCluster();
    const created = await admin.createTopic(topic('orders', { partitions: 3 }));
    assert.deepEqual([created.partitions, created.replicationFactor], [3, 1]);
    for (let index = 0; index < 3; index++) {
      const partition = partitions.get('orders', index)!;
      assert.equal(partition.isLeader, true);
      assert.equal(partition.leaderEpoch, 0);
      assert.equal(partitions.getById(created.topicId, index), partition);
    }
    assert.equal(partitions.get('orders', 3), undefined);
    assert.equal(partitions.image.topicById(created.topicId)!.kafkaName, 'orders');
    assert.equal(partitions.image.partitionCount, 3);
  });

  it('come back after a restart, in a new leader epoch and under a new broker epoch', async () => {
    const logs = new MemoryLogs();
    const first = await openCluster({ logs });
    const { topicId } = await first.admin.createTopic(topic('orders', { partitions: 300 }));
    const { clusterId } = first.tracker.image;
    logs.crash();
    const second = await openCluster({ logs });
    assert.equal(second.tracker.image.clusterId, clusterId);
    assert.ok(second.registration.brokerEpoch > first.registration.brokerEpoch);
    const image = second.tracker.image.topicByName('orders')!;
    assert.equal(image.id, topicId);
    for (const [index, { leader, leaderEpoch, isr, record }] of image.partitions.entries()) {
      assert.deepEqual([leader, leaderEpoch, [...isr]], [1, 2, [1]]);
      assert.equal(record.isr[0]!.brokerEpoch, second.registration.brokerEpoch);
      assert.equal(second.partitions.get('orders', index)!.leaderEpoch, 2);
    }
  });

  it('may have more partitions than one transaction holds operations', async () => {
    const { admin, partitions } = await openCluster();
    await admin.createTopic(topic('large', { partitions: 127 }));
    await admin.createTopic(topic('larger', { partitions: 128 }));
    await admin.createTopic(topic('largest', { partitions: 500 }));
    assert.equal(partitions.hostedCount, 755);
    await admin.deleteTopic('largest');
    assert.equal(partitions.hostedCount, 255);
  });

  it('that hold the groups keep the number of their partitions, and are compacted whoever makes them', async () => {
    const { admin, partitions } = await openCluster();
    const configs = new Map([['cleanup.policy', 'delete']]);
    await admin.createTopic(topic('__consumer_offsets', { partitions: 3, configs }));
    assert.equal(partitions.settings('__consumer_offsets')?.compact, true);
    const growth = admin.createPartitions({ kafkaName: '__consumer_offsets', count: 4, validateOnly: false });
    await assert.rejects(growth, { code: 'INVALID_REQUEST' });
  });

  it('are refused as Kafka refuses them', async () => {
    const { admin } = await openCluster({ partitionsMax: 600 });
    const refused = (code: string, request: CreateTopicRequest): Promise<void> =>
      assert.rejects(admin.createTopic(request), { code });
    await admin.createTopic(topic('a.b'));
    await refused('TOPIC_ALREADY_EXISTS', topic('a.b'));
    await refused('INVALID_TOPIC_EXCEPTION', topic('a_b'));
    await refused('INVALID_TOPIC_EXCEPTION', topic(''));
    await refused('INVALID_TOPIC_EXCEPTION', topic('..'));
    await refused('INVALID_TOPIC_EXCEPTION', topic('a/b'));
    await refused('INVALID_TOPIC_EXCEPTION', topic('x'.repeat(250)));
    await refused('INVALID_TOPIC_EXCEPTION', topic('__cluster'));
    await refused('INVALID_PARTITIONS', topic('t', { partitions: 0 }));
    await refused('INVALID_PARTITIONS', topic('t', { partitions: 501 }));
    await refused('INVALID_REPLICATION_FACTOR', topic('t', { replicationFactor: 2 }));
    await refused('INVALID_REPLICATION_FACTOR', topic('t', { replicationFactor: 0 }));
    await refused('INVALID_REPLICA_ASSIGNMENT', topic('t', { assignments: [[2]] }));
    await refused('INVALID_REPLICA_ASSIGNMENT', topic('t', { assignments: [[1, 1]] }));
    await refused('INVALID_REPLICA_ASSIGNMENT', topic('t', { assignments: [[1], []] }));
    await refused('INVALID_REQUEST', topic('t', { partitions: 1, assignments: [[1]] }));
    await refused('INVALID_CONFIG', topic('t', { configs: new Map([['retention.mss', '1']]) }));
    await admin.createTopic(topic('x'.repeat(249), { partitions: 500 }));
    await refused('POLICY_VIOLATION', topic('t', { partitions: 100 }));
    await admin.createTopic(topic('t', { partitions: 99 }));
  });

  it('collide even when they are created together', async () => {
    const { admin } = await openCluster();
    const outcomes = await Promise.allSettled(
      ['a.b', 'a_b', 'a.b'].map((name) => admin.createTopic(topic(name))),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('are not created by a validation', async () => {
    const { admin, partitions, store } = await openCluster();
    const created = await admin.createTopic(topic('orders', { partitions: 2, validateOnly: true }));
    assert.equal(created.partitions, 2);
    assert.equal(partitions.image.topicCount, 0);
    await admin.createTopic(topic('orders'));
    await admin.createPartitions({ kafkaName: 'orders', count: 2, validateOnly: true });
    await admin.alterTopicConfig({
      kafkaName: 'orders',
      operations: [{ name: 'retention.ms', operation: 'set', value: '5' }],
      validateOnly: true,
    });
    assert.equal(partitions.image.partitionCount, 1);
    assert.equal((await store.range('topics/')).entries.length, 1);
    assert.equal(partitions.image.topicByName('orders')!.overrides.size, 0);
  });

  it('lose their logs with their deletion, and a namesake starts empty', async () => {
    const logs = new MemoryLogs();
    const { admin, partitions, store } = await openCluster({ logs });
    const { topicId } = await admin.createTopic(topic('orders', { partitions: 2 }));
    const before = partitions.get('orders', 0)!;
    logs.holdDeletions = true;
    const deletion = admin.deleteTopic('orders');
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(partitions.get('orders', 0), undefined, 'gone at once for produce and fetch');
    assert.equal(before.isLeader, false);
    const creation = admin.createTopic(topic('orders'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(partitions.get('orders', 0), undefined, 'the old folders are still in the way');
    for (const release of logs.held) release();
    await deletion;
    const again = await creation;
    assert.notEqual(again.topicId, topicId);
    assert.equal(partitions.get('orders', 0)!.topicId, again.topicId);
    assert.equal(logs.get('orders', 0)!.id.topicId, again.topicId);
    assert.equal(logs.get('orders', 1), undefined);
    assert.equal((await store.range(`partitions/${topicId}`)).entries.length, 0);
    await assert.rejects(admin.deleteTopic('missing'), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });

  it('whose logs cannot be removed at first keep their name until they are', async () => {
    const logs = new MemoryLogs();
    const { admin, partitions } = await openCluster({ logs });
    await admin.createTopic(topic('orders', { partitions: 2 }));
    const before = logs.get('orders', 0);
    logs.failDeletions = 5;
    const deletion = admin.deleteTopic('orders');
    await deletion;
    const again = await admin.createTopic(topic('orders'));
    assert.equal(logs.failDeletions, 0, 'it was tried again');
    assert.notEqual(logs.get('orders', 0), before);
    assert.equal(partitions.get('orders', 0)!.topicId, again.topicId);
    assert.equal(logs.get('orders', 0)!.id.topicId, again.topicId);
  });

  it('that were deleted while the broker was down lose their logs at its start; missing logs are made', async () => {
    const logs = new MemoryLogs();
    const first = await openCluster({ logs });
    await first.admin.createTopic(topic('gone'));
    const { topicId } = await first.admin.createTopic(topic('kept'));
    await first.store.transact({ compare: [], operations: [{ kind: 'delete', key: 'topics/gone' }] });
    await logs.delete(logs.get('kept', 0)!);
    const second = await openCluster({ logs });
    await second.partitions.settled('gone');
    assert.equal(logs.get('gone', 0), undefined);
    assert.equal(second.tracker.orphans().length, 1);
    await second.controller.removePartitionKeys(second.tracker.orphans());
    assert.equal(second.tracker.orphans().length, 0);
    assert.equal(second.partitions.get('kept', 0)!.topicId, topicId);
    assert.ok(logs.get('__cluster', 0) !== undefined);
  });

  it('grow, and only grow', async () => {
    const { admin, partitions } = await openCluster();
    await admin.createTopic(topic('orders', { partitions: 2 }));
    const grow = (count: number, assignments?: number[][]): Promise<void> =>
      admin.createPartitions({
        kafkaName: 'orders',
        count,
        ...(assignments === undefined ? {} : { assignments }),
        validateOnly: false,
      });
    await assert.rejects(grow(2), { code: 'INVALID_PARTITIONS' });
    await assert.rejects(grow(1), { code: 'INVALID_PARTITIONS' });
    await assert.rejects(grow(4, [[1]]), { code: 'INVALID_REPLICA_ASSIGNMENT' });
    await assert.rejects(grow(3, [[7]]), { code: 'INVALID_REPLICA_ASSIGNMENT' });
    await grow(4);
    await grow(5, [[1]]);
    assert.equal(partitions.get('orders', 4)!.isLeader, true);
    assert.equal(partitions.image.partitionCount, 5);
    await assert.rejects(admin.createPartitions({ kafkaName: 'none', count: 2, validateOnly: false }), {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
  });

  it('take changes of their configs at once, and keep them', async () => {
    const logs = new MemoryLogs();
    const { admin, partitions } = await openCluster({ logs });
    await admin.createTopic(topic('orders', { configs: new Map([['flush', 'os']]) }));
    assert.equal(logs.get('orders', 0)!.config.flush, 'os');
    const alter = (replace: boolean, name: string, value: string): Promise<void> =>
      admin.alterTopicConfig({
        kafkaName: 'orders',
        operations: [{ name, operation: 'set', value }],
        replace,
        validateOnly: false,
      });
    await alter(false, 'retention.ms', '5');
    assert.equal(partitions.settings('orders')!.log.retentionMs, 5);
    assert.deepEqual(
      [logs.get('orders', 0)!.config.retentionMs, logs.get('orders', 0)!.config.flush],
      [5, 'os'],
    );
    await alter(true, 'retention.ms', '6');
    assert.deepEqual(
      [logs.get('orders', 0)!.config.retentionMs, logs.get('orders', 0)!.config.flush],
      [6, 'fsync'],
    );
    await assert.rejects(alter(false, 'retention.ms', 'x'), { code: 'INVALID_CONFIG' });
    const again = await openCluster({ logs });
    assert.equal(again.partitions.settings('orders')!.log.retentionMs, 6);
  });

  it('changed by many at once keep every change', async () => {
    const { admin, partitions } = await openCluster();
    await admin.createTopic(topic('orders'));
    const changes = ['retention.ms', 'retention.bytes', 'segment.ms', 'max.message.bytes'].map((name) =>
      admin.alterTopicConfig({
        kafkaName: 'orders',
        operations: [{ name, operation: 'set', value: '77' }],
        validateOnly: false,
      }),
    );
    await Promise.all([
      ...changes,
      admin.createPartitions({ kafkaName: 'orders', count: 2, validateOnly: false }),
    ]);
    const image = partitions.image.topicByName('orders')!;
    assert.equal(image.overrides.size, 4);
    assert.equal(image.partitions.length, 2);
  });

  it('are created once on first use, by whoever comes first', async () => {
    const { admin, partitions } = await openCluster();
    await Promise.all(Array.from({ length: 5 }, () => admin.autoCreateTopic('greetings')));
    await admin.autoCreateTopic('greetings');
    assert.equal(partitions.image.partitionCount, 1);
    await Promise.all([
      admin.autoCreateTopic('race'),
      admin.createTopic(topic('race', { partitions: 2 })).catch(() => undefined),
    ]);
    assert.ok(partitions.get('race', 0)!.isLeader);
    await assert.rejects(admin.autoCreateTopic('__mine'), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
    await assert.rejects(admin.autoCreateTopic('no/slash'), { code: 'INVALID_TOPIC_EXCEPTION' });
  });
});

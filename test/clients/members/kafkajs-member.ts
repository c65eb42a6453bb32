/**
 * A KafkaJS consumer as a member of a group, in a process of its own: see ../member.ts for its arguments, what it prints and
 * how it ends.
 */
import process from 'node:process';
import kafkajs, { type PartitionAssigner } from 'kafkajs';
import { memberSettings } from './settings.ts';

const { AssignerProtocol, Kafka, PartitionAssigners, logLevel } = kafkajs;

const { address, topic, groupId, clientId, assignor, sessionTimeoutMs, rebalanceTimeoutMs, heartbeatMs } =
  memberSettings();

/** KafkaJS calls its round robin by a name of its own; under Kafka's name it can share a group with other clients. */
const roundRobin: PartitionAssigner = (config) => ({
  ...PartitionAssigners.roundRobin(config),
  name: assignor,
  protocol: ({ topics }) => ({
    name: assignor,
    metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) }),
  }),
});

const client = new Kafka({
  clientId,
  brokers: [address],
  logLevel: logLevel.NOTHING,
  connectionTimeout: 1_000,
  requestTimeout: 10_000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 200 },
});
const consumer = client.consumer({
  groupId,
  partitionAssigners: [roundRobin],
  sessionTimeout: sessionTimeoutMs,
  rebalanceTimeout: rebalanceTimeoutMs,
  heartbeatInterval: heartbeatMs,
  maxWaitTimeInMs: 200,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 200, restartOnFailure: async () => true },
});
/**
 * What this member owns, and what it has committed. KafkaJS goes on with a batch of an older generation beside those of the new
 * one, and would commit it then: for a partition that is somebody else's by now, or after a later batch of its own. The broker
 * cannot tell, and the committed offset would go back.
 */
const owned = new Set<number>();
const committed = new Map<number, number>();
consumer.on(consumer.events.REBALANCING, () => owned.clear());
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  owned.clear();
  for (const partition of payload.memberAssignment[topic] ?? []) owned.add(partition);
});

async function commit(partition: number, offset: number): Promise<void> {
  if (!owned.has(partition) || offset <= (committed.get(partition) ?? -1)) return;
  committed.set(partition, offset);
  await consumer.commitOffsets([{ topic, partition, offset: String(offset) }]);
  process.stdout.write(`committed ${partition} ${offset}\n`);
}

process.once('SIGTERM', () => {
  void consumer.disconnect().then(() => process.exit(0));
});
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch, heartbeat }) => {
    const { partition, messages } = batch;
    for (const { offset } of messages) process.stdout.write(`record ${partition} ${offset}\n`);
    await commit(partition, Number(batch.lastOffset()) + 1);
    await heartbeat();
  },
});

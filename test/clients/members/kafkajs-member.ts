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
process.once('SIGTERM', () => {
  void consumer.disconnect().then(() => process.exit(0));
});
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommitInterval: 200,
  eachMessage: async ({ partition, message }) => {
    process.stdout.write(`record ${partition} ${message.offset}\n`);
  },
});

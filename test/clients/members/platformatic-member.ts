/**
 * A consumer of @platformatic/kafka as a member of a group, in a process of its own: see ../member.ts for its arguments, what
 * it prints and how it ends.
 */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } from '@platformatic/kafka';
import { memberSettings } from './settings.ts';

const COMMIT_EVERY_MS = 200;

const settings = memberSettings();
const { address, topic, groupId, clientId, assignor, sessionTimeoutMs, rebalanceTimeoutMs, heartbeatMs } =
  settings;

const consumer = new Consumer({
  clientId,
  groupId,
  bootstrapBrokers: [address],
  sessionTimeout: sessionTimeoutMs,
  rebalanceTimeout: rebalanceTimeoutMs,
  heartbeatInterval: heartbeatMs,
  protocols: [{ name: assignor, version: assignor === 'cooperative-sticky' ? 1 : 0 }],
  autocommit: false,
  maxWaitTime: 200,
  retries: 200,
  retryDelay: 200,
  ...(settings.instanceId === undefined ? {} : { groupInstanceId: settings.instanceId }),
});

interface Consumed {
  readonly offset: bigint;
  readonly generationId: number;
}

/** What was printed and is not committed yet, by partition. */
const consumed = new Map<number, Consumed>();
/** The highest offset that this process has committed, by partition. */
const committed = new Map<number, bigint>();

/**
 * Commits what this generation has consumed of its own partitions. Records that were fetched before a rebalance are still
 * delivered after it, with the new generation or the old one; to commit those would undo what their new owner has committed.
 */
async function commit(): Promise<void> {
  const { generationId, assignments } = consumer;
  const owned = new Set(assignments?.flatMap(({ partitions }) => partitions));
  const offsets = [...consumed]
    .filter(([partition, record]) => owned.has(partition) && record.generationId === generationId)
    .map(([partition, { offset }]) => ({ topic, partition, offset: offset + 1n, leaderEpoch: -1 }))
    .filter(({ partition, offset }) => offset > (committed.get(partition) ?? -1n));
  consumed.clear();
  if (offsets.length === 0) return;
  for (const { partition, offset } of offsets) committed.set(partition, offset);
  await consumer.commit({ offsets });
  for (const { partition, offset } of offsets) process.stdout.write(`committed ${partition} ${offset}\n`);
}

const stream = await consumer.consume({
  topics: [topic],
  mode: MessagesStreamModes.COMMITTED,
  fallbackMode: MessagesStreamFallbackModes.EARLIEST,
});
let stopping = false;
/** One commit after the other: two at a time, sent again after the broker was away, may come in the wrong order. */
async function commitAllTheTime(): Promise<void> {
  while (!stopping) {
    // A commit that meets a rebalance fails; the records come again, here or elsewhere.
    await commit().catch(() => undefined);
    await sleep(COMMIT_EVERY_MS);
  }
}
const committing = commitAllTheTime();
process.once('SIGTERM', () => {
  stopping = true;
  void committing
    .then(() => commit())
    .catch(() => undefined)
    .then(() => consumer.close(true))
    .then(() => process.exit(0));
});
for await (const { partition, offset, metadata } of stream) {
  process.stdout.write(`record ${partition} ${offset}\n`);
  const { generationId } = metadata['consumer'] as { generationId: number };
  consumed.set(partition, { offset, generationId });
}

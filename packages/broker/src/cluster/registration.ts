import { BrokerError } from '../errors.ts';
import {
  TRANSACTION_OPERATIONS_MAX,
  type Lease,
  type MetadataStore,
  type Operation,
  type Transaction,
} from '../metadata/types.ts';
import type { Random } from '../platform/index.ts';
import { afterBrokerStart } from './controller.core.ts';
import type { ClusterImage, TopicImage } from './image.ts';
import {
  brokerKey,
  CLUSTER_KEY,
  CONTROLLER_KEY,
  encodePartition,
  partitionKey,
  type BrokerRecord,
  type ClusterRecord,
} from './keys.ts';
import type { BrokerView } from './partition-record.core.ts';

/** A broker that is silent for so long counts as gone. */
const LEASE_TTL_MS = 10_000;

export interface RegistrationOptions {
  readonly store: MetadataStore;
  readonly random: Random;
  readonly brokerId: number;
  readonly record: BrokerRecord;
}

export interface Registration {
  readonly lease: Lease;
  /** Rises with each start of this broker. */
  readonly brokerEpoch: number;
  readonly revision: number;
}

/**
 * Enters this broker, with a new epoch, and makes it the controller. The very first broker draws the cluster's id. Rejects with BrokerError
 * when a broker of the same id is alive.
 */
export async function register(options: RegistrationOptions): Promise<Registration> {
  const { store, random, brokerId, record } = options;
  const [lease, cluster] = await Promise.all([
    store.grantLease({ ttlMs: LEASE_TTL_MS }),
    store.get(CLUSTER_KEY),
  ]);
  const clusterRecord: ClusterRecord = { clusterId: random.uuid() };
  const transaction: Transaction = {
    compare: [
      { key: brokerKey(brokerId), target: 'create', revision: 0 },
      { key: CLUSTER_KEY, target: 'create', revision: cluster?.createRevision ?? 0 },
      { key: CONTROLLER_KEY, target: 'create', revision: 0 },
    ],
    operations: [
      ...(cluster === undefined
        ? [{ kind: 'put' as const, key: CLUSTER_KEY, value: JSON.stringify(clusterRecord) }]
        : []),
      { kind: 'put', key: brokerKey(brokerId), value: JSON.stringify(record), lease },
      { kind: 'put', key: CONTROLLER_KEY, value: JSON.stringify({ brokerId }), lease },
    ],
  };
  const outcome = await store.transact(transaction);
  if (!outcome.succeeded) {
    await lease.revoke();
    throw new BrokerError('INVALID_REQUEST', `A broker with node.id ${brokerId} is already running`);
  }
  return { lease, brokerEpoch: outcome.revision, revision: outcome.revision };
}

/**
 * Brings the partitions that this broker holds into a new leader epoch, in few transactions that share their syncs. Returns the
 * revision at which all of them have changed, 0 if none had to. A partition that someone else changed meanwhile is left to that change.
 */
export async function startPartitions(options: {
  readonly store: MetadataStore;
  readonly image: ClusterImage;
  readonly brokerId: number;
  readonly brokerEpoch: number;
  /** Whether the folder holds all that was acknowledged from it: after a clean stop, or an intact page cache. */
  readonly retained: boolean;
  readonly minInsyncReplicas: (topic: TopicImage) => number;
}): Promise<number> {
  const { store, image, brokerId, brokerEpoch, retained } = options;
  const brokers: BrokerView = (id) => {
    const epoch = id === brokerId ? brokerEpoch : image.brokers.get(id)?.epoch;
    return epoch === undefined ? undefined : { brokerEpoch: epoch, shuttingDown: false };
  };
  const changes: { readonly key: string; readonly revision: number; readonly value: string }[] = [];
  for (const topic of image.topics()) {
    const minInsyncReplicas = options.minInsyncReplicas(topic);
    for (const [index, { record, partitionEpoch }] of topic.partitions.entries()) {
      const started = afterBrokerStart(record, {
        brokerId,
        brokerEpoch,
        retained,
        brokers,
        minInsyncReplicas,
      });
      if (started === undefined) continue;
      const key = partitionKey(topic.id, index);
      changes.push({ key, revision: partitionEpoch, value: encodePartition(started) });
    }
  }
  const transactions: Promise<number>[] = [];
  for (let at = 0; at < changes.length; at += TRANSACTION_OPERATIONS_MAX) {
    const part = changes.slice(at, at + TRANSACTION_OPERATIONS_MAX);
    const operations = part.map(({ key, value }): Operation => ({ kind: 'put', key, value }));
    const compare = part.map(({ key, revision }) => ({ key, target: 'mod' as const, revision }));
    transactions.push(
      store.transact({ compare, operations }).then((outcome) => (outcome.succeeded ? outcome.revision : 0)),
    );
  }
  return Math.max(0, ...(await Promise.all(transactions)));
}

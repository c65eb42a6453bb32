import { BrokerError } from '../errors.ts';
import type { ClusterImage, PartitionImage } from './image.ts';
import type { StoredPartition } from './keys.ts';
import {
  electLeader,
  withRestartedBroker,
  type BrokerView,
  type PartitionRecord,
} from './partition-record.core.ts';
import { placeReplicas } from './placement.core.ts';
import type { CreateTopicRequest } from './types.ts';

/** How many partitions there may be. */
export interface PartitionLimits {
  readonly topicPartitionsMax: number;
  readonly clusterPartitionsMax: number;
}

/** What a creation uses where the request says -1. */
export interface CreationDefaults {
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** The first states of a new topic's partitions. Throws BrokerError. `start` as in placement. */
export function planTopic(options: {
  readonly image: ClusterImage;
  readonly request: CreateTopicRequest;
  readonly defaults: CreationDefaults;
  readonly limits: PartitionLimits;
  readonly start: number;
}): StoredPartition[] {
  const { image, request, defaults, limits, start } = options;
  const { assignments } = request;
  if (assignments !== undefined) {
    if (request.partitions !== -1 || request.replicationFactor !== -1) {
      throw new BrokerError(
        'INVALID_REQUEST',
        'Partitions and replication factor must be -1 when replicas are assigned',
      );
    }
    if (assignments.length === 0) {
      throw new BrokerError('INVALID_REPLICA_ASSIGNMENT', 'The replica assignment is empty');
    }
    checkPartitionCount(image, 0, assignments.length, limits);
    return firstStates(image, assignments, assignments[0]!.length);
  }
  const partitions = request.partitions === -1 ? defaults.partitions : request.partitions;
  const replicationFactor =
    request.replicationFactor === -1 ? defaults.replicationFactor : request.replicationFactor;
  if (partitions < 1) {
    throw new BrokerError('INVALID_PARTITIONS', `Number of partitions must be at least 1, not ${partitions}`);
  }
  if (replicationFactor < 1) {
    throw new BrokerError(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor must be at least 1, not ${replicationFactor}`,
    );
  }
  checkPartitionCount(image, 0, partitions, limits);
  const brokers = [...image.brokers.values()];
  return placeReplicas({ brokers, partitions, replicationFactor, start }).map((replicas) =>
    firstState(image, replicas),
  );
}

/** The first states of the partitions by which a topic grows to `count`. Throws BrokerError. */
export function planPartitions(options: {
  readonly image: ClusterImage;
  readonly present: readonly PartitionImage[];
  readonly count: number;
  readonly assignments: readonly (readonly number[])[] | undefined;
  readonly limits: PartitionLimits;
  readonly start: number;
}): StoredPartition[] {
  const { image, present, count, assignments, limits, start } = options;
  const growth = count - present.length;
  if (growth <= 0) {
    const verb = growth === 0 ? 'already has' : 'would shrink from';
    throw new BrokerError(
      'INVALID_PARTITIONS',
      `The topic ${verb} ${present.length} partitions; ${count} were asked for`,
    );
  }
  checkPartitionCount(image, present.length, count, limits);
  const replicationFactor = present[0]?.replicas.length ?? 1;
  if (assignments !== undefined) {
    if (assignments.length !== growth) {
      throw new BrokerError(
        'INVALID_REPLICA_ASSIGNMENT',
        `${growth} partitions are added, but replicas are assigned for ${assignments.length}`,
      );
    }
    return firstStates(image, assignments, replicationFactor);
  }
  const brokers = [...image.brokers.values()];
  return placeReplicas({ brokers, partitions: growth, replicationFactor, start }).map((replicas) =>
    firstState(image, replicas),
  );
}

/**
 * The record of a partition after a broker that holds a replica has started again; undefined if it stays. If this broker led, or nobody did,
 * a leader is elected anew, under a new epoch: what the old one wrote is settled before anything new is.
 */
export function afterBrokerStart(
  record: PartitionRecord,
  options: {
    readonly brokerId: number;
    readonly brokerEpoch: number;
    /** See withRestartedBroker. */
    readonly retained: boolean;
    readonly brokers: BrokerView;
    readonly minInsyncReplicas: number;
  },
): PartitionRecord | undefined {
  const { brokerId, brokerEpoch, brokers, minInsyncReplicas } = options;
  if (!record.replicas.includes(brokerId)) return undefined;
  // The only replica there is cannot be behind anyone.
  const retained = options.retained || record.replicas.length === 1;
  const restarted = withRestartedBroker(record, { id: brokerId, brokerEpoch, retained }, minInsyncReplicas);
  return electLeader(restarted ?? record, brokers, minInsyncReplicas) ?? restarted;
}

function firstStates(
  image: ClusterImage,
  assignments: readonly (readonly number[])[],
  replicationFactor: number,
): StoredPartition[] {
  for (const [partition, replicas] of assignments.entries()) {
    const problem =
      replicas.length === 0
        ? 'has no replicas'
        : replicas.length !== replicationFactor
          ? `has ${replicas.length} replicas where the others have ${replicationFactor}`
          : new Set(replicas).size !== replicas.length
            ? 'names a broker twice'
            : undefined;
    const unknown = replicas.find((id) => !image.brokers.has(id));
    if (problem !== undefined || unknown !== undefined) {
      throw new BrokerError(
        'INVALID_REPLICA_ASSIGNMENT',
        `The assignment of partition ${partition} ${problem ?? `names broker ${unknown}, which is not registered`}`,
      );
    }
  }
  return assignments.map((replicas) => firstState(image, replicas));
}

function firstState(image: ClusterImage, replicas: readonly number[]): StoredPartition {
  const isr = replicas.map((id) => ({ id, brokerEpoch: image.brokers.get(id)!.epoch }));
  return { leader: replicas[0]!, leaderEpoch: 0, replicas, isr, elr: [] };
}

function checkPartitionCount(
  image: ClusterImage,
  present: number,
  count: number,
  { topicPartitionsMax, clusterPartitionsMax }: PartitionLimits,
): void {
  if (count > topicPartitionsMax) {
    throw new BrokerError(
      'INVALID_PARTITIONS',
      `${count} partitions are above topic.partitions.max (${topicPartitionsMax})`,
    );
  }
  if (image.partitionCount - present + count > clusterPartitionsMax) {
    throw new BrokerError(
      'POLICY_VIOLATION',
      `The cluster would have more partitions than cluster.partitions.max (${clusterPartitionsMax})`,
    );
  }
}

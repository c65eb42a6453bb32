import { BrokerError, type ErrorName } from '../errors.ts';
import type { CreateTopicRequest } from '../topics/types.ts';
import type { ClusterImage, PartitionImage } from './image.ts';
import type { PartitionRecord } from './keys.ts';
import { placeReplicas } from './placement.core.ts';

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
}): PartitionRecord[] {
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
  return placeReplicas({ brokers, partitions, replicationFactor, start }).map(firstState);
}

/** The first states of the partitions by which a topic grows to `count`. Throws BrokerError. */
export function planPartitions(options: {
  readonly image: ClusterImage;
  readonly present: readonly PartitionImage[];
  readonly count: number;
  readonly assignments: readonly (readonly number[])[] | undefined;
  readonly limits: PartitionLimits;
  readonly start: number;
}): PartitionRecord[] {
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
  return placeReplicas({ brokers, partitions: growth, replicationFactor, start }).map(firstState);
}

/**
 * The state of a partition after a broker that holds a replica has started again; undefined if it stays. The broker leaves the ISR unless
 * it is alone in it, and the ELR after an unclean stop (KIP-966); then a leader is elected if there is none or it was this broker, under a
 * new epoch: what was written in the old one is settled before anything new is.
 */
export function afterBrokerStart(
  partition: PartitionImage,
  options: {
    readonly brokerId: number;
    readonly cleanStop: boolean;
    readonly live: ReadonlySet<number>;
    readonly uncleanElection: boolean;
  },
): PartitionRecord | undefined {
  const { brokerId, cleanStop, live, uncleanElection } = options;
  if (!partition.replicas.includes(brokerId)) return undefined;
  const alone = partition.isr.length === 1 && partition.isr[0] === brokerId;
  // The only replica there is cannot be behind anyone.
  const keepsPlace = alone && (cleanStop || partition.replicas.length === 1);
  const isr = keepsPlace ? partition.isr : partition.isr.filter((id) => id !== brokerId);
  const elr = cleanStop ? partition.elr : partition.elr.filter((id) => id !== brokerId);
  const leads = partition.leader !== -1 && partition.leader !== brokerId && live.has(partition.leader);
  if (leads) {
    const same = isr.length === partition.isr.length && elr.length === partition.elr.length;
    return same ? undefined : { ...recordOf(partition), isr, elr };
  }
  return elect({ ...recordOf(partition), isr, elr }, { live, uncleanElection });
}

/** Elects from the ISR, then the ELR, then nobody, or, if the topic allows it, any live replica. Every election is a new epoch. */
export function elect(
  partition: PartitionRecord,
  options: { readonly live: ReadonlySet<number>; readonly uncleanElection: boolean },
): PartitionRecord {
  const { replicas, isr, elr } = partition;
  const { live, uncleanElection } = options;
  const leaderEpoch = partition.leaderEpoch + 1;
  const firstLive = (candidates: readonly number[]): number | undefined =>
    replicas.find((id) => candidates.includes(id) && live.has(id));
  const fromIsr = firstLive(isr);
  if (fromIsr !== undefined) return { ...partition, leader: fromIsr, leaderEpoch };
  const fromElr = firstLive(elr);
  if (fromElr !== undefined) {
    return {
      replicas,
      leader: fromElr,
      leaderEpoch,
      isr: [fromElr],
      elr: elr.filter((id) => id !== fromElr),
    };
  }
  const unclean = uncleanElection ? firstLive(replicas) : undefined;
  if (unclean !== undefined) return { replicas, leader: unclean, leaderEpoch, isr: [unclean], elr: [] };
  return { ...partition, leader: -1, leaderEpoch };
}

/** A leader's wish for another ISR (KIP-497). */
export interface IsrChange {
  readonly brokerId: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** Members with the broker epochs under which the leader knows them. */
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[];
}

export type IsrChangeOutcome =
  | { readonly record: PartitionRecord }
  | { readonly error: ErrorName; readonly message: string };

/** Checks the wish against the present state, and moves members that fell out below min.insync.replicas to the ELR (KIP-966). */
export function changeIsr(
  image: ClusterImage,
  partition: PartitionImage,
  change: IsrChange,
  minInsyncReplicas: number,
): IsrChangeOutcome {
  const { leaderEpoch, partitionEpoch, brokerId } = change;
  if (leaderEpoch < partition.leaderEpoch) return refused('FENCED_LEADER_EPOCH', 'The leader epoch is old');
  if (leaderEpoch > partition.leaderEpoch || brokerId !== partition.leader) {
    return refused('INVALID_REQUEST', 'The broker does not lead in this epoch');
  }
  if (partitionEpoch !== partition.partitionEpoch) {
    return refused('INVALID_REQUEST', 'The partition has changed meanwhile');
  }
  const isr = change.isr.map((member) => member.brokerId);
  if (!isr.includes(brokerId)) return refused('INVALID_REQUEST', 'The leader itself is missing from the ISR');
  if (new Set(isr).size !== isr.length || isr.some((id) => !partition.replicas.includes(id))) {
    return refused('INVALID_REQUEST', 'The ISR has members that are not replicas');
  }
  for (const { brokerId: id, brokerEpoch } of change.isr) {
    if (partition.isr.includes(id)) continue;
    if (image.brokers.get(id)?.epoch !== brokerEpoch) {
      return refused('INVALID_REQUEST', `Broker ${id} is not registered with epoch ${brokerEpoch}`);
    }
  }
  const eligible = [...partition.elr, ...partition.isr].filter((id) => !isr.includes(id));
  const elr = isr.length >= minInsyncReplicas ? [] : [...new Set(eligible)];
  return { record: { ...recordOf(partition), isr, elr } };
}

function refused(error: ErrorName, message: string): IsrChangeOutcome {
  return { error, message };
}

export function recordOf(partition: PartitionImage): PartitionRecord {
  const { leader, leaderEpoch, replicas, isr, elr } = partition;
  return { leader, leaderEpoch, replicas, isr, elr };
}

function firstStates(
  image: ClusterImage,
  assignments: readonly (readonly number[])[],
  replicationFactor: number,
): PartitionRecord[] {
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
  return assignments.map(firstState);
}

function firstState(replicas: readonly number[]): PartitionRecord {
  return { leader: replicas[0]!, leaderEpoch: 0, replicas, isr: replicas, elr: [] };
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

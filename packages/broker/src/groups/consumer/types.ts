import type { ErrorName } from '../../errors.ts';
import type { JoinProtocol, MemberIdentity } from '../types.ts';
import type { Assignment } from './assignment.core.ts';
import type { AssignorName } from './assignors.core.ts';

/** Member epochs that say something else: a member joins, leaves for good, or (static) for a while. */
export const JOIN_EPOCH = 0;
export const LEAVE_EPOCH = -1;
export const STATIC_LEAVE_EPOCH = -2;

/** ConsumerGroupHeartbeat (KIP-848); null: as before. */
export interface ConsumerHeartbeatRequest {
  readonly groupId: string;
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** -1: as before. */
  readonly rebalanceTimeoutMs: number;
  readonly subscribedTopics: readonly string[] | null;
  readonly subscribedRegex: string | null;
  readonly serverAssignor: string | null;
  /** What the member has at present. */
  readonly owned: Assignment | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Whether the client may know of a topic: a regular expression stands for no others. */
  readonly maySee: TopicMatcher;
  /** Whether the client makes its member id (v1); in v0 the coordinator does. */
  readonly makesMemberId: boolean;
}

export interface RefusedHeartbeat {
  readonly error: ErrorName;
  readonly message: string;
}

export type ConsumerHeartbeatResponse =
  | RefusedHeartbeat
  | {
      readonly error: undefined;
      readonly memberId: string;
      readonly memberEpoch: number;
      /** 0 for a member that has left. */
      readonly heartbeatIntervalMs: number;
      /** What the member shall have from now on; null: what it has. */
      readonly assignment: Assignment | null;
    };

export type ConsumerGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable';

export interface DescribedConsumerMember extends MemberIdentity {
  readonly rackId: string | null;
  readonly memberEpoch: number;
  readonly clientId: string;
  readonly clientHost: string;
  readonly subscribedTopics: readonly string[];
  readonly subscribedRegex: string | null;
  readonly assignment: Assignment;
  readonly targetAssignment: Assignment;
  readonly isClassic: boolean;
}

export interface DescribedConsumerGroup {
  readonly error: undefined;
  readonly state: ConsumerGroupState;
  readonly groupEpoch: number;
  readonly assignmentEpoch: number;
  readonly assignor: string;
  readonly members: readonly DescribedConsumerMember[];
}

/** How a member that speaks the classic protocol takes part in a consumer group. */
export interface ClassicMetadata {
  readonly sessionTimeoutMs: number;
  /** By preference. */
  readonly protocols: readonly JoinProtocol[];
}

/** A topic as it is now. */
export interface KnownTopic {
  readonly id: string;
  readonly name: string;
  readonly partitions: number;
}

/** The topics of the cluster at present. */
export interface TopicView {
  /** Rises with each change of the cluster. */
  readonly version: number;
  byName(name: string): KnownTopic | undefined;
  byId(topicId: string): KnownTopic | undefined;
  /** Those of one state of the cluster, or some that came later too: it may be read in several turns. */
  names(): Iterable<string>;
}

/** Whether a topic is one of those that are meant. */
export type TopicMatcher = (topic: string) => boolean;

/** `group.consumer.migration.policy`. */
export type MigrationPolicy = 'bidirectional' | 'upgrade' | 'downgrade' | 'disabled';

/** What a group goes by: its own configs (`consumer.session.timeout.ms`, `consumer.heartbeat.interval.ms`), or the broker's. */
export interface GroupTimes {
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

export interface ConsumerGroupSettings {
  /** `group.coordinator.rebalance.protocols` has `consumer`. */
  readonly enabled: boolean;
  /** `group.consumer.max.size`. */
  readonly membersMax: number;
  /** `group.consumer.assignors`: the first is taken where members do not say. */
  readonly assignors: readonly AssignorName[];
  readonly migrationPolicy: MigrationPolicy;
  /** Steps of an assignment in one turn of the event loop. */
  readonly assignmentStepsPerTurnMax: number;
}

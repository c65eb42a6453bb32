import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { CoordinatorFound, TransactionProducer } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type {
  ConsumerGroupSettings,
  ConsumerGroupState,
  ConsumerHeartbeatRequest,
  ConsumerHeartbeatResponse,
  DescribedConsumerGroup,
} from './consumer/types.ts';

/** Answers of a refused request carry nothing else. */
export interface Refused {
  readonly error: ErrorName;
}

export interface JoinProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

export interface JoinRequest {
  readonly groupId: string;
  /** Empty for a member that has none yet. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  /** By preference. */
  readonly protocols: readonly JoinProtocol[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** KIP-394: a new dynamic member is told its id first, and joins with it. */
  readonly requiresKnownMemberId: boolean;
  /** KIP-814: a static leader that comes back need not assign again. */
  readonly canSkipAssignment: boolean;
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Uint8Array;
}

export interface JoinResponse {
  readonly error: ErrorName | undefined;
  readonly memberId: string;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  /** All members, for the leader only. */
  readonly members: readonly JoinedMember[];
}

/** What names a member in a request. */
export interface MemberIdentity {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface SyncRequest extends MemberIdentity {
  readonly groupId: string;
  readonly generationId: number;
  /** null: the client's version does not say. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** From the leader only. */
  readonly assignments: ReadonlyMap<string, Uint8Array>;
}

export interface SyncResponse {
  readonly error: ErrorName | undefined;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

export interface HeartbeatRequest extends MemberIdentity {
  readonly groupId: string;
  readonly generationId: number;
}

export interface LeaveResult extends MemberIdentity {
  readonly error: ErrorName | undefined;
}

/** Results in the order of the members, or the refusal of all. */
export type LeaveResponse = Refused | { readonly error: undefined; readonly results: readonly LeaveResult[] };

export interface OffsetToCommit {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** -1: unknown. */
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface CommitRequest extends MemberIdentity {
  readonly groupId: string;
  /** Or the member epoch (KIP-848). -1: not a member's commit. */
  readonly generationId: number;
  /** Whether the request is of a version that knows member epochs. */
  readonly knowsMemberEpochs: boolean;
  /** -1: the broker's retention. */
  readonly retentionMs: number;
  readonly offsets: readonly OffsetToCommit[];
}

/** KIP-98, KIP-447. Who commits need not say who it is: then it is taken for whoever has the partitions. */
export interface TransactionalCommitRequest extends MemberIdentity {
  readonly groupId: string;
  /** Or the member epoch (KIP-848). -1: the committer does not say. */
  readonly generationId: number;
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** `add`: the client leaves it to the broker to add the group to its transaction (KIP-890 part 2). */
  readonly mode: 'add' | 'verify';
  /** Whether the client knows TRANSACTION_ABORTABLE. */
  readonly knowsAbortable: boolean;
  readonly offsets: readonly OffsetToCommit[];
}

/** One that the coordinator of transactions has agreed to. */
export interface VerifiedCommit extends TransactionalCommitRequest, TransactionProducer {}

export interface FetchedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** By topic and partition; what a group has not committed is missing. */
export type FetchedOffsets = ReadonlyMap<string, ReadonlyMap<number, FetchedOffset>>;

export interface FetchOffsetsRequest {
  readonly groupId: string;
  /** The member that asks and its epoch (KIP-848), both of which have to be right; undefined: nobody in particular. */
  readonly member: { readonly memberId: string; readonly memberEpoch: number } | undefined;
  /** undefined: all that the group has committed. */
  readonly partitions: readonly TopicPartition[] | undefined;
  /** KIP-447: whether open transactions may still change an offset is to be told. */
  readonly requireStable: boolean;
}

export type FetchOffsetsResponse =
  | Refused
  | {
      readonly error: undefined;
      readonly offsets: FetchedOffsets;
      /** By `topicPartitionKey`: those whose offset is not stable, if that was asked for. */
      readonly unstable: ReadonlySet<string>;
    };

export type DeleteOffsetsResponse =
  | Refused
  | {
      readonly error: undefined;
      /** In the order of the request. */
      readonly results: readonly (ErrorName | undefined)[];
    };

export type ClassicGroupState = 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Empty' | 'Dead';
export type GroupState = ClassicGroupState | ConsumerGroupState;
/** As Kafka names the protocols; its tools show them with a capital letter. */
export type GroupType = 'classic' | 'consumer';

export interface DescribedMember extends MemberIdentity {
  readonly clientId: string;
  readonly clientHost: string;
  readonly metadata: Uint8Array;
  readonly assignment: Uint8Array;
}

export interface DescribedGroup {
  readonly error: undefined;
  readonly state: ClassicGroupState;
  readonly protocolType: string;
  readonly protocol: string;
  readonly members: readonly DescribedMember[];
}

export interface ListedGroup {
  readonly groupId: string;
  readonly type: GroupType;
  readonly protocolType: string;
  readonly state: GroupState;
}

export type ListResponse = Refused | { readonly error: undefined; readonly groups: readonly ListedGroup[] };

/** What happened in groups since the start. Add to the fields. */
export interface GroupCounters {
  /** Generations of classic groups, and epochs of others, that began. */
  rebalances: number;
  /** Members whose session or rebalance time ran out. */
  membersExpired: number;
  offsetsCommitted: number;
  offsetsExpired: number;
  groupsDeleted: number;
  /** Classic groups that became groups of KIP-848, and the other way round. */
  upgrades: number;
  downgrades: number;
  /** Not a count: bytes that the members of all groups have told, and that are kept in memory. */
  metadataBytes: number;
  /** Not a count: coordinators that are making assignments over turns at present. */
  assigning: number;
}

export function noGroups(): GroupCounters {
  return {
    rebalances: 0,
    membersExpired: 0,
    offsetsCommitted: 0,
    offsetsExpired: 0,
    groupsDeleted: 0,
    upgrades: 0,
    downgrades: 0,
    metadataBytes: 0,
    assigning: 0,
  };
}

/** Limits and times of groups; the names are those of the settings. */
export interface GroupSettings {
  /** `group.min.session.timeout.ms`, `group.max.session.timeout.ms`. */
  readonly sessionTimeoutMinMs: number;
  readonly sessionTimeoutMaxMs: number;
  /** `group.initial.rebalance.delay.ms`: how long a group that was empty waits for more members. */
  readonly initialRebalanceDelayMs: number;
  /** `group.max.size`. */
  readonly membersMax: number;
  /** `groups.max`, of one coordinator. */
  readonly groupsMax: number;
  /** `groups.metadata.max.bytes`, of all groups of the broker. */
  readonly metadataBytesMax: number;
  /** `group.offsets.max`, of one group. */
  readonly offsetsPerGroupMax: number;
  /** `offset.metadata.max.bytes`. */
  readonly offsetMetadataBytesMax: number;
  /** `offsets.retention.minutes`, in ms. */
  readonly offsetsRetentionMs: number;
  /** `offsets.retention.check.interval.ms`. */
  readonly retentionCheckMs: number;
  /** Of the groups of KIP-848. */
  readonly consumer: ConsumerGroupSettings;
}

/** Numbers of one group at a moment, for metrics. */
export interface GroupSummary {
  readonly groupId: string;
  readonly type: GroupType;
  readonly state: GroupState;
  readonly members: number;
  readonly offsets: FetchedOffsets;
}

/**
 * The groups of the cluster, as front ends see them. Every method answers for the broker at hand: with NOT_COORDINATOR, or
 * COORDINATOR_LOAD_IN_PROGRESS, where another one has the group, or this one does not know it yet.
 */
export interface GroupCoordinator {
  /** The broker that has the group, or why it cannot be told. Makes the internal topic on first use. */
  coordinatorOf(groupId: string): Promise<CoordinatorFound>;
  join(request: JoinRequest): Promise<JoinResponse>;
  sync(request: SyncRequest): Promise<SyncResponse>;
  heartbeat(request: HeartbeatRequest): ErrorName | undefined;
  leave(groupId: string, members: readonly MemberIdentity[]): Promise<LeaveResponse>;
  /** Offsets whose metadata is too long have to be left out by {@link metadataTooLong} before. */
  commit(request: CommitRequest): Promise<ErrorName | undefined>;
  /** The same as part of a transaction: they count when that is committed. */
  commitInTransaction(request: TransactionalCommitRequest): Promise<ErrorName | undefined>;
  metadataTooLong(metadata: string): boolean;
  fetchOffsets(request: FetchOffsetsRequest): Promise<FetchOffsetsResponse>;
  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<DeleteOffsetsResponse>;
  deleteGroup(groupId: string): Promise<ErrorName | undefined>;
  describe(groupId: string): Promise<Refused | DescribedGroup>;
  consumerHeartbeat(request: ConsumerHeartbeatRequest): Promise<ConsumerHeartbeatResponse>;
  describeConsumer(groupId: string): Promise<Refused | DescribedConsumerGroup>;
  /** The groups of this broker; refused while some are still being loaded. */
  list(): Promise<ListResponse>;
}

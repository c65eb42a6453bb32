/** What one of Kafka's error codes says to a client. */
export interface KafkaErrorInfo {
  readonly code: number;
  /** Whether the same request may succeed later, perhaps after a refresh of metadata or coordinator. */
  readonly retriable: boolean;
  readonly message: string;
}

function fatal(code: number, message: string): KafkaErrorInfo {
  return { code, retriable: false, message };
}

function retriable(code: number, message: string): KafkaErrorInfo {
  return { code, retriable: true, message };
}

/** Every error code of Kafka 4.3 under Kafka's name; the names and codes are the contract, the texts are ours. */
export const kafkaErrors = {
  UNKNOWN_SERVER_ERROR: fatal(-1, 'The broker failed in a way that it did not foresee.'),
  NONE: fatal(0, 'No error.'),
  OFFSET_OUT_OF_RANGE: fatal(1, 'The offset lies before the start or beyond the end of the log.'),
  CORRUPT_MESSAGE: retriable(
    2,
    'The batch does not match its checksum, or its contents break the record format.',
  ),
  UNKNOWN_TOPIC_OR_PARTITION: retriable(3, 'No such topic or partition on this broker.'),
  INVALID_FETCH_SIZE: fatal(4, 'The number of bytes to fetch is not valid.'),
  LEADER_NOT_AVAILABLE: retriable(5, 'The partition has no leader at present.'),
  NOT_LEADER_OR_FOLLOWER: retriable(
    6,
    'This broker does not hold the partition in the role that the request needs.',
  ),
  REQUEST_TIMED_OUT: retriable(7, 'The request was not completed within its time.'),
  BROKER_NOT_AVAILABLE: fatal(8, 'The broker is not available.'),
  REPLICA_NOT_AVAILABLE: retriable(9, 'The replica is not available.'),
  MESSAGE_TOO_LARGE: fatal(10, 'The batch is larger than max.message.bytes allows.'),
  STALE_CONTROLLER_EPOCH: fatal(11, 'The request carries the epoch of an earlier controller.'),
  OFFSET_METADATA_TOO_LARGE: fatal(12, 'The metadata committed with the offset is too long.'),
  NETWORK_EXCEPTION: retriable(13, 'The connection closed before the response arrived.'),
  COORDINATOR_LOAD_IN_PROGRESS: retriable(14, 'The coordinator is still reading its log.'),
  COORDINATOR_NOT_AVAILABLE: retriable(15, 'No coordinator is available at present.'),
  NOT_COORDINATOR: retriable(16, 'Another broker coordinates this group or transaction.'),
  INVALID_TOPIC_EXCEPTION: fatal(17, 'The topic name is not legal, or the topic is reserved.'),
  RECORD_LIST_TOO_LARGE: fatal(18, 'The batch is larger than a segment.'),
  NOT_ENOUGH_REPLICAS: retriable(
    19,
    'Fewer replicas are in sync than min.insync.replicas; nothing was written.',
  ),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: retriable(
    20,
    'The batch was written, but fewer replicas are in sync than min.insync.replicas.',
  ),
  INVALID_REQUIRED_ACKS: fatal(21, 'acks must be 0, 1 or -1.'),
  ILLEGAL_GENERATION: fatal(22, 'The generation is not that of the group.'),
  INCONSISTENT_GROUP_PROTOCOL: fatal(23, 'The member shares no protocol with the others, or offers none.'),
  INVALID_GROUP_ID: fatal(24, 'The group id is not legal.'),
  UNKNOWN_MEMBER_ID: fatal(25, 'The group has no such member.'),
  INVALID_SESSION_TIMEOUT: fatal(26, 'The session timeout is outside of the limits of the broker.'),
  REBALANCE_IN_PROGRESS: fatal(27, 'The group is rebalancing: the member has to join again.'),
  INVALID_COMMIT_OFFSET_SIZE: fatal(28, 'The offsets to commit take too many bytes.'),
  TOPIC_AUTHORIZATION_FAILED: fatal(29, 'Not authorised for the topic.'),
  GROUP_AUTHORIZATION_FAILED: fatal(30, 'Not authorised for the group.'),
  CLUSTER_AUTHORIZATION_FAILED: fatal(31, 'Not authorised for the cluster.'),
  INVALID_TIMESTAMP: fatal(
    32,
    'The timestamp of a record is further from the time of the broker than the topic allows.',
  ),
  UNSUPPORTED_SASL_MECHANISM: fatal(33, 'The SASL mechanism is not enabled.'),
  ILLEGAL_SASL_STATE: fatal(34, 'The request does not fit the state of the authentication.'),
  UNSUPPORTED_VERSION: fatal(35, 'The version of the request is not supported.'),
  TOPIC_ALREADY_EXISTS: fatal(36, 'A topic of this name exists.'),
  INVALID_PARTITIONS: fatal(37, 'The number of partitions is not valid.'),
  INVALID_REPLICATION_FACTOR: fatal(38, 'The replication factor is below 1 or above the number of brokers.'),
  INVALID_REPLICA_ASSIGNMENT: fatal(39, 'The assignment of replicas is not valid.'),
  INVALID_CONFIG: fatal(40, 'A config is unknown or its value is not valid.'),
  NOT_CONTROLLER: retriable(41, 'Another broker is the controller.'),
  INVALID_REQUEST: fatal(42, 'The request contradicts itself or the rules of its API.'),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: fatal(43, 'The record format of the topic cannot do this.'),
  POLICY_VIOLATION: fatal(44, 'A policy of the broker forbids this.'),
  OUT_OF_ORDER_SEQUENCE_NUMBER: fatal(
    45,
    'The sequence number leaves a gap after the last batch of the producer.',
  ),
  DUPLICATE_SEQUENCE_NUMBER: fatal(46, 'The batch was appended before.'),
  INVALID_PRODUCER_EPOCH: fatal(47, 'A newer epoch of this producer has written already.'),
  INVALID_TXN_STATE: fatal(48, 'The state of the transaction does not allow this.'),
  INVALID_PRODUCER_ID_MAPPING: fatal(49, 'The producer id does not belong to the transactional id.'),
  INVALID_TRANSACTION_TIMEOUT: fatal(50, 'The transaction timeout is above transaction.max.timeout.ms.'),
  CONCURRENT_TRANSACTIONS: retriable(51, 'An earlier operation on the transaction is still under way.'),
  TRANSACTION_COORDINATOR_FENCED: fatal(52, 'Another broker coordinates the transaction by now.'),
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: fatal(53, 'Not authorised for the transactional id.'),
  SECURITY_DISABLED: fatal(54, 'The broker runs without security.'),
  OPERATION_NOT_ATTEMPTED: fatal(55, 'Not tried, since another part of the request failed.'),
  KAFKA_STORAGE_ERROR: retriable(56, 'The disk or a file on it failed.'),
  LOG_DIR_NOT_FOUND: fatal(57, 'The broker has no such data folder.'),
  SASL_AUTHENTICATION_FAILED: fatal(58, 'Authentication failed.'),
  UNKNOWN_PRODUCER_ID: fatal(59, 'The broker has no state for this producer id, or not any longer.'),
  REASSIGNMENT_IN_PROGRESS: fatal(60, 'The partition is being reassigned.'),
  DELEGATION_TOKEN_AUTH_DISABLED: fatal(61, 'Delegation tokens are not enabled.'),
  DELEGATION_TOKEN_NOT_FOUND: fatal(62, 'No such delegation token.'),
  DELEGATION_TOKEN_OWNER_MISMATCH: fatal(
    63,
    'The principal neither owns the delegation token nor may renew it.',
  ),
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: fatal(
    64,
    'Delegation tokens are not handed out on this kind of connection.',
  ),
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: fatal(65, 'Not authorised for the delegation token.'),
  DELEGATION_TOKEN_EXPIRED: fatal(66, 'The delegation token has expired.'),
  INVALID_PRINCIPAL_TYPE: fatal(67, 'The type of the principal is not supported.'),
  NON_EMPTY_GROUP: fatal(68, 'The group still has members.'),
  GROUP_ID_NOT_FOUND: fatal(69, 'No such group.'),
  FETCH_SESSION_ID_NOT_FOUND: retriable(70, 'No such fetch session.'),
  INVALID_FETCH_SESSION_EPOCH: retriable(71, 'The epoch of the fetch session is not the one expected.'),
  LISTENER_NOT_FOUND: retriable(72, 'The leader has no listener that matches the one of the request.'),
  TOPIC_DELETION_DISABLED: fatal(73, 'Deletion of topics is disabled.'),
  FENCED_LEADER_EPOCH: retriable(74, 'The leader epoch of the request is older than that of the partition.'),
  UNKNOWN_LEADER_EPOCH: retriable(75, 'The leader epoch of the request is newer than what the broker knows.'),
  UNSUPPORTED_COMPRESSION_TYPE: fatal(
    76,
    'The version of the request cannot carry the compression of the records.',
  ),
  STALE_BROKER_EPOCH: fatal(77, 'The broker has registered again since.'),
  OFFSET_NOT_AVAILABLE: retriable(78, 'A new leader does not know its high watermark yet.'),
  MEMBER_ID_REQUIRED: fatal(79, 'The member has to join again, with the id that it was given.'),
  PREFERRED_LEADER_NOT_AVAILABLE: retriable(80, 'The preferred leader is not available.'),
  GROUP_MAX_SIZE_REACHED: fatal(81, 'The group has as many members as it may have.'),
  FENCED_INSTANCE_ID: fatal(82, 'Another member has joined with the same group.instance.id.'),
  ELIGIBLE_LEADERS_NOT_AVAILABLE: retriable(83, 'No replica that may lead the partition is available.'),
  ELECTION_NOT_NEEDED: retriable(84, 'The leader is the wanted one already.'),
  NO_REASSIGNMENT_IN_PROGRESS: fatal(85, 'The partition is not being reassigned.'),
  GROUP_SUBSCRIBED_TO_TOPIC: fatal(86, 'The group is still subscribed to the topic.'),
  INVALID_RECORD: fatal(87, 'A record breaks a rule of the topic.'),
  UNSTABLE_OFFSET_COMMIT: retriable(88, 'A transaction with offsets of this group is still open.'),
  THROTTLING_QUOTA_EXCEEDED: retriable(89, 'A quota is exceeded.'),
  PRODUCER_FENCED: fatal(90, 'A newer producer uses the same transactional id.'),
  RESOURCE_NOT_FOUND: fatal(91, 'No such resource.'),
  DUPLICATE_RESOURCE: fatal(92, 'The request names a resource twice.'),
  UNACCEPTABLE_CREDENTIAL: fatal(93, 'The credential does not meet the rules for one.'),
  INCONSISTENT_VOTER_SET: fatal(94, 'One side of the request is not among the voters.'),
  INVALID_UPDATE_VERSION: fatal(95, 'The version to update to is not valid.'),
  FEATURE_UPDATE_FAILED: fatal(96, 'The features could not be updated.'),
  PRINCIPAL_DESERIALIZATION_FAILURE: fatal(97, 'The principal in a forwarded request cannot be read.'),
  SNAPSHOT_NOT_FOUND: fatal(98, 'No such snapshot.'),
  POSITION_OUT_OF_RANGE: fatal(99, 'The position lies outside of the snapshot.'),
  UNKNOWN_TOPIC_ID: retriable(100, 'No topic of this id on this broker.'),
  DUPLICATE_BROKER_REGISTRATION: fatal(101, 'The broker id is in use.'),
  BROKER_ID_NOT_REGISTERED: fatal(102, 'No broker of this id is registered.'),
  INCONSISTENT_TOPIC_ID: retriable(103, 'The topic has another id than the request says.'),
  INCONSISTENT_CLUSTER_ID: fatal(104, 'The request is meant for another cluster.'),
  TRANSACTIONAL_ID_NOT_FOUND: fatal(105, 'No such transactional id.'),
  FETCH_SESSION_TOPIC_ID_ERROR: retriable(106, 'The fetch session mixes topic names and topic ids.'),
  INELIGIBLE_REPLICA: fatal(107, 'The new ISR has a replica that must not be in it.'),
  NEW_LEADER_ELECTED: fatal(108, 'The change was made, and the partition has a new leader.'),
  OFFSET_MOVED_TO_TIERED_STORAGE: fatal(109, 'The offset lies in tiered storage.'),
  FENCED_MEMBER_EPOCH: fatal(110, 'The member was fenced: it has to give up its partitions and join again.'),
  UNRELEASED_INSTANCE_ID: fatal(111, 'Another member still holds this group.instance.id.'),
  UNSUPPORTED_ASSIGNOR: fatal(112, 'The group does not support this assignor.'),
  STALE_MEMBER_EPOCH: fatal(113, 'The member has a newer epoch, which its next heartbeat will tell.'),
  MISMATCHED_ENDPOINT_TYPE: fatal(114, 'The endpoint is of another type than the request is for.'),
  UNSUPPORTED_ENDPOINT_TYPE: fatal(115, 'This type of endpoint is not supported.'),
  UNKNOWN_CONTROLLER_ID: fatal(116, 'No such controller.'),
  UNKNOWN_SUBSCRIPTION_ID: fatal(117, 'The telemetry subscription is unknown or outdated.'),
  TELEMETRY_TOO_LARGE: fatal(118, 'The telemetry is larger than the broker accepts.'),
  INVALID_REGISTRATION: fatal(119, 'The registration of the broker is not valid.'),
  TRANSACTION_ABORTABLE: fatal(
    120,
    'The transaction has to be aborted; the producer can go on with the next one.',
  ),
  INVALID_RECORD_STATE: fatal(121, 'The record is not in a state in which it can be acknowledged.'),
  SHARE_SESSION_NOT_FOUND: retriable(122, 'No such share session.'),
  INVALID_SHARE_SESSION_EPOCH: retriable(123, 'The epoch of the share session is not the one expected.'),
  FENCED_STATE_EPOCH: fatal(124, 'The state of the share group has a newer epoch.'),
  INVALID_VOTER_KEY: fatal(125, 'The key is not that of the receiving voter.'),
  DUPLICATE_VOTER: fatal(126, 'The voter is among the voters already.'),
  VOTER_NOT_FOUND: fatal(127, 'The voter is not among the voters.'),
  INVALID_REGULAR_EXPRESSION: fatal(128, 'The regular expression is not valid.'),
  REBOOTSTRAP_REQUIRED: fatal(
    129,
    'The metadata of the client is stale: it has to start from its bootstrap addresses.',
  ),
  STREAMS_INVALID_TOPOLOGY: fatal(130, 'The topology is not valid.'),
  STREAMS_INVALID_TOPOLOGY_EPOCH: fatal(131, 'The epoch of the topology is not valid.'),
  STREAMS_TOPOLOGY_FENCED: fatal(132, 'The epoch of the topology is outdated.'),
  SHARE_SESSION_LIMIT_REACHED: retriable(133, 'The broker has as many share sessions as it may have.'),
} as const satisfies Record<string, KafkaErrorInfo>;

export type KafkaErrorName = keyof typeof kafkaErrors;

const names = new Map<number, KafkaErrorName>();
for (const name of Object.keys(kafkaErrors) as KafkaErrorName[]) names.set(kafkaErrors[name].code, name);

/** The name of a code from a peer; undefined for one that is newer than this table. */
export function kafkaErrorName(code: number): KafkaErrorName | undefined {
  return names.get(code);
}

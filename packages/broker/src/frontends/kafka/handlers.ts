import type { KafkaHandler, KafkaServices } from './handler.ts';
import { alterClientQuotasHandler } from './handlers/alter-client-quotas.ts';
import { addOffsetsToTxnHandler } from './handlers/add-offsets-to-txn.ts';
import { addPartitionsToTxnHandler } from './handlers/add-partitions-to-txn.ts';
import { describeTransactionsHandler } from './handlers/describe-transactions.ts';
import { endTxnHandler } from './handlers/end-txn.ts';
import { listTransactionsHandler } from './handlers/list-transactions.ts';
import { alterConfigsHandler } from './handlers/alter-configs.ts';
import { alterPartitionReassignmentsHandler } from './handlers/alter-partition-reassignments.ts';
import { alterReplicaLogDirsHandler } from './handlers/alter-replica-log-dirs.ts';
import { apiVersionsHandler } from './handlers/api-versions.ts';
import { createAclsHandler } from './handlers/create-acls.ts';
import { consumerGroupDescribeHandler } from './handlers/consumer-group-describe.ts';
import { consumerGroupHeartbeatHandler } from './handlers/consumer-group-heartbeat.ts';
import { createPartitionsHandler } from './handlers/create-partitions.ts';
import { createTopicsHandler } from './handlers/create-topics.ts';
import { deleteAclsHandler } from './handlers/delete-acls.ts';
import { deleteRecordsHandler } from './handlers/delete-records.ts';
import { deleteTopicsHandler } from './handlers/delete-topics.ts';
import { describeClientQuotasHandler } from './handlers/describe-client-quotas.ts';
import { describeAclsHandler } from './handlers/describe-acls.ts';
import { describeClusterHandler } from './handlers/describe-cluster.ts';
import { describeConfigsHandler } from './handlers/describe-configs.ts';
import { describeLogDirsHandler } from './handlers/describe-log-dirs.ts';
import { describeProducersHandler } from './handlers/describe-producers.ts';
import { describeTopicPartitionsHandler } from './handlers/describe-topic-partitions.ts';
import { electLeadersHandler } from './handlers/elect-leaders.ts';
import { fetchHandler } from './handlers/fetch.ts';
import { incrementalAlterConfigsHandler } from './handlers/incremental-alter-configs.ts';
import { initProducerIdHandler } from './handlers/init-producer-id.ts';
import { listConfigResourcesHandler } from './handlers/list-config-resources.ts';
import { listOffsetsHandler } from './handlers/list-offsets.ts';
import { listPartitionReassignmentsHandler } from './handlers/list-partition-reassignments.ts';
import { metadataHandler } from './handlers/metadata.ts';
import { offsetForLeaderEpochHandler } from './handlers/offset-for-leader-epoch.ts';
import { produceHandler } from './handlers/produce.ts';
import { deleteGroupsHandler } from './handlers/delete-groups.ts';
import { describeGroupsHandler } from './handlers/describe-groups.ts';
import { findCoordinatorHandler } from './handlers/find-coordinator.ts';
import { heartbeatHandler } from './handlers/heartbeat.ts';
import { joinGroupHandler } from './handlers/join-group.ts';
import { leaveGroupHandler } from './handlers/leave-group.ts';
import { listGroupsHandler } from './handlers/list-groups.ts';
import { offsetCommitHandler } from './handlers/offset-commit.ts';
import { offsetDeleteHandler } from './handlers/offset-delete.ts';
import { offsetFetchHandler } from './handlers/offset-fetch.ts';
import { saslAuthenticateHandler } from './handlers/sasl-authenticate.ts';
import { saslHandshakeHandler } from './handlers/sasl-handshake.ts';
import { describeUserScramCredentialsHandler } from './handlers/describe-user-scram-credentials.ts';
import { alterUserScramCredentialsHandler } from './handlers/alter-user-scram-credentials.ts';
import { syncGroupHandler } from './handlers/sync-group.ts';
import { txnOffsetCommitHandler } from './handlers/txn-offset-commit.ts';
import { updateFeaturesHandler } from './handlers/update-features.ts';
import { writeTxnMarkersHandler } from './handlers/write-txn-markers.ts';

/** Every API that is served: what is in this list is advertised, and nothing else. */
export function kafkaHandlers(services: KafkaServices): readonly KafkaHandler[] {
  const handlers: KafkaHandler[] = [
    apiVersionsHandler(
      () => services.partitions.image,
      () => handlers,
    ),
    saslHandshakeHandler(),
    saslAuthenticateHandler(services),
    metadataHandler(services),
    produceHandler(services),
    fetchHandler(services),
    listOffsetsHandler(services),
    offsetForLeaderEpochHandler(services),
    deleteRecordsHandler(services),
    createTopicsHandler(services),
    deleteTopicsHandler(services),
    createPartitionsHandler(services),
    describeAclsHandler(services),
    createAclsHandler(services),
    deleteAclsHandler(services),
    describeConfigsHandler(services),
    alterConfigsHandler(services),
    incrementalAlterConfigsHandler(services),
    listConfigResourcesHandler(services),
    describeUserScramCredentialsHandler(services),
    alterUserScramCredentialsHandler(services),
    describeClusterHandler(services),
    describeTopicPartitionsHandler(services),
    describeProducersHandler(services),
    writeTxnMarkersHandler(services),
    describeLogDirsHandler(services),
    alterReplicaLogDirsHandler(services),
    electLeadersHandler(services),
    alterPartitionReassignmentsHandler(services),
    listPartitionReassignmentsHandler(),
    describeClientQuotasHandler(services),
    alterClientQuotasHandler(services),
    updateFeaturesHandler(services),
    initProducerIdHandler(services),
    addPartitionsToTxnHandler(services),
    addOffsetsToTxnHandler(services),
    endTxnHandler(services),
    describeTransactionsHandler(services),
    listTransactionsHandler(services),
    syncGroupHandler(services),
    txnOffsetCommitHandler(services),
    offsetFetchHandler(services),
    offsetDeleteHandler(services),
    offsetCommitHandler(services),
    listGroupsHandler(services),
    leaveGroupHandler(services),
    joinGroupHandler(services),
    heartbeatHandler(services),
    findCoordinatorHandler(services),
    describeGroupsHandler(services),
    deleteGroupsHandler(services),
    consumerGroupHeartbeatHandler(services),
    consumerGroupDescribeHandler(services),
  ];
  return handlers;
}

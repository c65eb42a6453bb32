import {
  ACL_ANY,
  aclOperations,
  aclPatternTypes,
  aclPermissions,
  aclResourceTypes,
  apis,
} from '@polylog/kafka-protocol';
import {
  CLUSTER_FAILED,
  errorName,
  expecting,
  GROUP_FAILED,
  onCluster,
  onGroup,
  onTopic,
  PASSED,
  TOPIC_FAILED,
  type AuthorizationCase,
  type Permission,
} from './case.ts';

const UNKNOWN = 'UNKNOWN_TOPIC_OR_PARTITION';
const RESOURCE = { topic: 2, broker: 4, group: 32 };

function cluster(
  version: number,
  operation: Permission['operation'],
  ask: AuthorizationCase['ask'],
  allow = 'NONE',
): AuthorizationCase[] {
  return [
    { about: '', version, needs: onCluster(operation), ask, existing: expecting(CLUSTER_FAILED, allow) },
  ];
}

function free(version: number, ask: AuthorizationCase['ask'], answer: string): AuthorizationCase[] {
  return [{ about: 'free', version, needs: onCluster('ALL'), ask, existing: expecting(answer, answer) }];
}

/** A rule for somebody else, on something else. */
const ACL = {
  resourceType: aclResourceTypes.TOPIC,
  resourceName: 'nothing',
  resourcePatternType: aclPatternTypes.LITERAL,
  principal: 'User:nobody',
  host: '*',
  operation: aclOperations.READ,
  permissionType: aclPermissions.ALLOW,
};
const ACL_FILTER = {
  resourceTypeFilter: aclResourceTypes.TOPIC,
  resourceNameFilter: 'nothing',
  patternTypeFilter: aclPatternTypes.LITERAL,
  principalFilter: 'User:nobody',
  hostFilter: null,
  operation: ACL_ANY,
  permissionType: ACL_ANY,
};

type Resource = keyof typeof RESOURCE;

function nameIn(resources: Parameters<AuthorizationCase['ask']>[1], resource: Resource): string {
  return resource === 'broker' ? '1' : resources[resource];
}

/** The same for all three APIs of configs. */
function configs(
  version: number,
  operation: Permission['operation'],
  ask: (resource: Resource) => AuthorizationCase['ask'],
): AuthorizationCase[] {
  return [
    {
      about: 'topic',
      version,
      needs: onTopic(operation),
      ask: ask('topic'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
    {
      about: 'broker',
      version,
      needs: onCluster(operation),
      ask: ask('broker'),
      existing: expecting(CLUSTER_FAILED, 'NONE'),
    },
    {
      about: 'group',
      version,
      needs: onGroup(operation),
      ask: ask('group'),
      existing: expecting(GROUP_FAILED, PASSED),
      missing: expecting(GROUP_FAILED, PASSED),
    },
  ];
}

export const clusterCases = {
  apiVersions: free(
    3,
    async (client, _resources, version) => {
      const request = { clientSoftwareName: 'test', clientSoftwareVersion: '1' };
      return errorName((await client.request(apis.apiVersions, version, request)).errorCode);
    },
    'NONE',
  ),
  saslHandshake: free(
    1,
    async (client, _resources, version) =>
      errorName((await client.request(apis.saslHandshake, version, { mechanism: 'PLAIN' })).errorCode),
    'ILLEGAL_SASL_STATE',
  ),
  saslAuthenticate: free(
    2,
    async (client, _resources, version) =>
      errorName(
        (await client.request(apis.saslAuthenticate, version, { authBytes: new Uint8Array(0) })).errorCode,
      ),
    'ILLEGAL_SASL_STATE',
  ),
  describeAcls: cluster(3, 'DESCRIBE', async (client, _resources, version) =>
    errorName((await client.request(apis.describeAcls, version, ACL_FILTER)).errorCode),
  ),
  createAcls: cluster(3, 'ALTER', async (client, _resources, version) => {
    const { results } = await client.request(apis.createAcls, version, { creations: [ACL] });
    return errorName(results[0]!.errorCode);
  }),
  deleteAcls: cluster(3, 'ALTER', async (client, _resources, version) => {
    const { filterResults } = await client.request(apis.deleteAcls, version, { filters: [ACL_FILTER] });
    return errorName(filterResults[0]!.errorCode);
  }),
  describeConfigs: configs(4, 'DESCRIBE_CONFIGS', (resource) => async (client, resources, version) => {
    const { results } = await client.request(apis.describeConfigs, version, {
      resources: [
        {
          resourceType: RESOURCE[resource],
          resourceName: nameIn(resources, resource),
          configurationKeys: null,
        },
      ],
    });
    return errorName(results[0]!.errorCode);
  }),
  alterConfigs: configs(2, 'ALTER_CONFIGS', (resource) => async (client, resources, version) => {
    const { responses } = await client.request(apis.alterConfigs, version, {
      resources: [
        { resourceType: RESOURCE[resource], resourceName: nameIn(resources, resource), configs: [] },
      ],
      validateOnly: true,
    });
    return errorName(responses[0]!.errorCode);
  }),
  incrementalAlterConfigs: configs(1, 'ALTER_CONFIGS', (resource) => async (client, resources, version) => {
    const { responses } = await client.request(apis.incrementalAlterConfigs, version, {
      resources: [
        { resourceType: RESOURCE[resource], resourceName: nameIn(resources, resource), configs: [] },
      ],
      validateOnly: true,
    });
    return errorName(responses[0]!.errorCode);
  }),
  listConfigResources: cluster(1, 'DESCRIBE_CONFIGS', async (client, _resources, version) =>
    errorName((await client.request(apis.listConfigResources, version, { resourceTypes: [] })).errorCode),
  ),
  describeLogDirs: cluster(4, 'DESCRIBE', async (client, _resources, version) =>
    errorName((await client.request(apis.describeLogDirs, version, { topics: null })).errorCode),
  ),
  describeClientQuotas: cluster(1, 'DESCRIBE_CONFIGS', async (client, _resources, version) => {
    const request = { components: [], strict: false };
    return errorName((await client.request(apis.describeClientQuotas, version, request)).errorCode);
  }),
  alterClientQuotas: cluster(1, 'ALTER_CONFIGS', async (client, _resources, version) => {
    const entity = [{ entityType: 'user', entityName: 'somebody' }];
    const ops = [{ key: 'producer_byte_rate', value: 1e6, remove: false }];
    const request = { entries: [{ entity, ops }], validateOnly: true };
    const { entries } = await client.request(apis.alterClientQuotas, version, request);
    return errorName(entries[0]!.errorCode);
  }),
  describeUserScramCredentials: cluster(0, 'DESCRIBE', async (client, _resources, version) =>
    errorName((await client.request(apis.describeUserScramCredentials, version, { users: [] })).errorCode),
  ),
  alterUserScramCredentials: cluster(
    0,
    'ALTER',
    async (client, _resources, version) => {
      const request = { deletions: [{ name: 'nobody', mechanism: 1 }], upsertions: [] };
      const { results } = await client.request(apis.alterUserScramCredentials, version, request);
      return errorName(results[0]!.errorCode);
    },
    PASSED,
  ),
  updateFeatures: cluster(
    1,
    'ALTER',
    async (client, _resources, version) => {
      const request = { featureUpdates: [{ feature: 'none.such', maxVersionLevel: 1 }], validateOnly: true };
      const answer = await client.request(apis.updateFeatures, version, request);
      return errorName(answer.errorCode);
    },
    PASSED,
  ),
  alterReplicaLogDirs: cluster(
    2,
    'ALTER',
    async (client, { otherTopic: name }, version) => {
      const request = { dirs: [{ path: '/nowhere', topics: [{ name, partitions: [0] }] }] };
      const { results } = await client.request(apis.alterReplicaLogDirs, version, request);
      return errorName(results[0]!.partitions[0]!.errorCode);
    },
    PASSED,
  ),
  electLeaders: cluster(
    2,
    'ALTER',
    async (client, { otherTopic: topic }, version) => {
      const request = { electionType: 0, topicPartitions: [{ topic, partitions: [0] }], timeoutMs: 5000 };
      return errorName((await client.request(apis.electLeaders, version, request)).errorCode);
    },
    PASSED,
  ),
  alterPartitionReassignments: cluster(
    0,
    'ALTER',
    async (client, { otherTopic: name }, version) => {
      const topics = [{ name, partitions: [{ partitionIndex: 0, replicas: null }] }];
      return errorName(
        (await client.request(apis.alterPartitionReassignments, version, { topics })).errorCode,
      );
    },
    PASSED,
  ),
  listPartitionReassignments: cluster(0, 'DESCRIBE', async (client, _resources, version) =>
    errorName((await client.request(apis.listPartitionReassignments, version, { topics: null })).errorCode),
  ),
  describeCluster: [
    {
      about: 'with operations',
      version: 1,
      needs: onCluster('DESCRIBE', 'ALTER'),
      async ask(client, _resources, version) {
        const request = { includeClusterAuthorizedOperations: true };
        const answer = await client.request(apis.describeCluster, version, request);
        const { errorCode, clusterAuthorizedOperations, brokers } = answer;
        return `${errorName(errorCode)} ${brokers.length} ${clusterAuthorizedOperations}`;
      },
      // ALTER is bit 7, DESCRIBE bit 8.
      existing: expecting('NONE 1 0', `NONE 1 ${(1 << 7) | (1 << 8)}`),
    },
  ],
} satisfies Partial<Record<keyof typeof apis, AuthorizationCase[]>>;

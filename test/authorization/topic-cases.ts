import { apis, ZERO_UUID } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';
import {
  errorName,
  expecting,
  onCluster,
  onTopic,
  onTransaction,
  PASSED,
  TOPIC_FAILED,
  TRANSACTION_FAILED,
  type AuthorizationCase,
  type Resources,
} from './case.ts';

const UNKNOWN = 'UNKNOWN_TOPIC_OR_PARTITION';
const UNKNOWN_ID = 'UNKNOWN_TOPIC_ID';

/** By name nobody learns whether a topic is missing before it is allowed; ids are no secret. */
const BY_NAME = { existing: expecting(TOPIC_FAILED, 'NONE'), missing: expecting(TOPIC_FAILED, UNKNOWN) };
const BY_ID = { existing: expecting(TOPIC_FAILED, 'NONE'), missing: expecting(UNKNOWN_ID, UNKNOWN_ID) };

/** The rule that allows DELETE implies DESCRIBE, which the one that denies it leaves. */
const DELETED = { ...BY_NAME, missing: { none: TOPIC_FAILED, deny: UNKNOWN, allow: UNKNOWN } };

function nameOf(resources: Resources): { name: string; topicId: string } {
  return { name: resources.topic, topicId: resources.topicId };
}

const RECORDS = [{ key: null, value: Buffer.from('v'), timestamp: 1_767_225_600_000 }];

const produce: AuthorizationCase['ask'] = async (client, resources, version) => {
  const records = buildBatch({ records: RECORDS });
  const { responses } = await client.request(apis.produce, version, {
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ ...nameOf(resources), partitionData: [{ index: 0, records }] }],
  });
  return errorName(responses[0]!.partitionResponses[0]!.errorCode);
};

const fetch: AuthorizationCase['ask'] = async (client, resources, version) => {
  const { topic, topicId } = resources;
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
  const { responses } = await client.request(apis.fetch, version, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1000,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [{ topic, topicId, partitions }],
  });
  return errorName(responses[0]!.partitions[0]!.errorCode);
};

function metadataOf(options: {
  by: 'name' | 'id' | 'all';
  creates?: boolean;
  bits?: boolean;
}): AuthorizationCase['ask'] {
  return async (client, resources, version) => {
    const { by, creates = false, bits = false } = options;
    const named = by === 'id' ? { name: null, topicId: resources.topicId } : { name: resources.topic };
    const { topics, brokers } = await client.request(apis.metadata, version, {
      topics: by === 'all' ? (version === 0 ? [] : null) : [named],
      ...(version >= 4 ? { allowAutoTopicCreation: creates } : {}),
      ...(version >= 8 ? { includeTopicAuthorizedOperations: bits } : {}),
    });
    if (brokers.length !== 1) return `${brokers.length} brokers`;
    const found = topics.find(({ name, topicId }) =>
      by === 'id' ? topicId === resources.topicId : name === resources.topic,
    );
    if (by !== 'all' && topics.length !== 1) return `${topics.length} topics`;
    if (found === undefined) return 'left out';
    if (by === 'id' && found.errorCode !== 0 && found.name !== null)
      return 'names a topic that may not be seen';
    if (by === 'name' && found.errorCode !== 0 && found.topicId !== ZERO_UUID) return 'tells an id';
    return bits
      ? `${errorName(found.errorCode)} ${found.topicAuthorizedOperations}`
      : errorName(found.errorCode);
  };
}

const listOffsets: AuthorizationCase['ask'] = async (client, { topic: name }, version) => {
  const { topics } = await client.request(apis.listOffsets, version, {
    replicaId: -1,
    topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  });
  return errorName(topics[0]!.partitions[0]!.errorCode);
};

const offsetForLeaderEpoch: AuthorizationCase['ask'] = async (client, { topic }, version) => {
  const { topics } = await client.request(apis.offsetForLeaderEpoch, version, {
    replicaId: -2,
    topics: [{ topic, partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }],
  });
  return errorName(topics[0]!.partitions[0]!.errorCode);
};

const createTopics: AuthorizationCase['ask'] = async (client, { topic: name }, version) => {
  const { topics } = await client.request(apis.createTopics, version, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
  });
  return errorName(topics[0]!.errorCode);
};

/** What is told of a topic that was made. */
const createdTopic: AuthorizationCase['ask'] = async (client, { topic: name }, version) => {
  const { topics } = await client.request(apis.createTopics, version, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: true,
  });
  const { errorCode, topicConfigErrorCode, numPartitions, replicationFactor, configs } = topics[0]!;
  const shape = `${numPartitions}/${replicationFactor}/${(configs?.length ?? 0) > 0 ? 'configs' : 'no configs'}`;
  return `${errorName(errorCode)} ${errorName(topicConfigErrorCode)} ${shape}`;
};

function deleteTopics(by: 'name' | 'id'): AuthorizationCase['ask'] {
  return async (client, { topic, topicId }, version) => {
    const { responses } = await client.request(apis.deleteTopics, version, {
      ...(version < 6
        ? { topicNames: [topic] }
        : { topics: [by === 'id' ? { name: null, topicId } : { name: topic }] }),
      timeoutMs: 5000,
    });
    const { errorCode, name } = responses[0]!;
    return by === 'id' && errorCode !== 0
      ? `${errorName(errorCode)} of ${name === null ? 'an id' : 'a name'}`
      : errorName(errorCode);
  };
}

const deleteRecords: AuthorizationCase['ask'] = async (client, { topic: name }, version) => {
  const { topics } = await client.request(apis.deleteRecords, version, {
    topics: [{ name, partitions: [{ partitionIndex: 0, offset: 0 }] }],
    timeoutMs: 5000,
  });
  return errorName(topics[0]!.partitions[0]!.errorCode);
};

const createPartitions: AuthorizationCase['ask'] = async (client, { topic: name }, version) => {
  const { results } = await client.request(apis.createPartitions, version, {
    topics: [{ name, count: 2, assignments: null }],
    timeoutMs: 5000,
    validateOnly: true,
  });
  return errorName(results[0]!.errorCode);
};

function describeTopicPartitions(by: 'name' | 'all'): AuthorizationCase['ask'] {
  return async (client, { topic }, version) => {
    const { topics } = await client.request(apis.describeTopicPartitions, version, {
      topics: by === 'all' ? [] : [{ name: topic }],
      cursor: null,
    });
    const found = topics.find(({ name }) => name === topic);
    if (found === undefined) return 'left out';
    return found.errorCode === 0 ? `NONE ${found.topicAuthorizedOperations}` : errorName(found.errorCode);
  };
}

/** DESCRIBE alone, and what READ and WRITE and ALTER_CONFIGS come to (KIP-430): bits 3, 4, 8, 10 and 11. */
const DESCRIBE_BIT = 1 << 8;
const MANY_BITS = (1 << 3) | (1 << 4) | DESCRIBE_BIT | (1 << 10) | (1 << 11);

export const topicCases = {
  produce: [
    { about: 'by name', version: 11, needs: onTopic('WRITE'), ask: produce, ...BY_NAME },
    { about: 'by id', version: 13, needs: onTopic('WRITE'), ask: produce, ...BY_ID },
    {
      about: 'batch of a transaction',
      version: 11,
      needs: onTransaction('WRITE'),
      beside: ({ otherTopic }) => [{ operation: 'WRITE', type: 'TOPIC', name: otherTopic }],
      async ask(client, { otherTopic, transactionalId, producerId, producerEpoch }, version) {
        const records = buildBatch({
          records: RECORDS,
          producerId,
          producerEpoch,
          baseSequence: 0,
          transactional: true,
        });
        const { responses } = await client.request(apis.produce, version, {
          transactionalId,
          acks: -1,
          timeoutMs: 5000,
          topicData: [{ name: otherTopic, partitionData: [{ index: 0, records }] }],
        });
        return errorName(responses[0]!.partitionResponses[0]!.errorCode);
      },
      existing: expecting(TRANSACTION_FAILED, PASSED),
      missing: expecting(TRANSACTION_FAILED, PASSED),
    },
  ],
  fetch: [
    { about: 'by name', version: 12, needs: onTopic('READ'), ask: fetch, ...BY_NAME },
    { about: 'by id', version: 13, needs: onTopic('READ'), ask: fetch, ...BY_ID },
  ],
  listOffsets: [{ about: '', version: 7, needs: onTopic('DESCRIBE'), ask: listOffsets, ...BY_NAME }],
  metadata: [
    {
      about: 'by name',
      version: 0,
      needs: onTopic('DESCRIBE'),
      ask: metadataOf({ by: 'name' }),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      // So old a version always asks for the topic to be made.
      missing: expecting(TOPIC_FAILED, TOPIC_FAILED),
    },
    {
      about: 'by name',
      version: 12,
      needs: onTopic('DESCRIBE'),
      ask: metadataOf({ by: 'name' }),
      ...BY_NAME,
    },
    { about: 'by id', version: 12, needs: onTopic('DESCRIBE'), ask: metadataOf({ by: 'id' }), ...BY_ID },
    ...[0, 12].map((version) => ({
      about: 'all topics',
      version,
      needs: onTopic('DESCRIBE'),
      ask: metadataOf({ by: 'all' }),
      existing: expecting('left out', 'NONE'),
      missing: expecting('left out', 'left out'),
    })),
    {
      about: 'with operations',
      version: 9,
      needs: onTopic('READ', 'WRITE', 'ALTER_CONFIGS'),
      ask: metadataOf({ by: 'name', bits: true }),
      existing: {
        none: `${TOPIC_FAILED} -2147483648`,
        // What implies DESCRIBE does so in rules that allow only.
        deny: `NONE ${DESCRIBE_BIT | (1 << 10)}`,
        allow: `NONE ${MANY_BITS}`,
      },
    },
    ...[
      { about: 'creates a topic', needs: onTopic('CREATE') },
      { about: 'creates a topic by CREATE on the cluster', needs: onCluster('CREATE') },
    ].map((permission) => ({
      ...permission,
      version: 12,
      beside: onTopic('DESCRIBE'),
      ask: metadataOf({ by: 'name', creates: true }),
      existing: expecting('NONE', 'NONE'),
      missing: expecting(TOPIC_FAILED, PASSED),
    })),
  ],
  offsetForLeaderEpoch: [
    { about: '', version: 4, needs: onTopic('DESCRIBE'), ask: offsetForLeaderEpoch, ...BY_NAME },
    {
      about: 'of a broker',
      version: 4,
      needs: onCluster('CLUSTER_ACTION'),
      ask: offsetForLeaderEpoch,
      ...BY_NAME,
    },
  ],
  createTopics: [
    ...[
      { about: 'CREATE on the topic', needs: onTopic('CREATE') },
      { about: 'CREATE on the cluster', needs: onCluster('CREATE') },
    ].map((permission) => ({
      ...permission,
      version: 7,
      ask: createTopics,
      existing: expecting(TOPIC_FAILED, 'TOPIC_ALREADY_EXISTS'),
      missing: expecting(TOPIC_FAILED, 'NONE'),
    })),
    {
      about: 'shape and configs',
      version: 7,
      needs: onTopic('DESCRIBE_CONFIGS'),
      beside: onTopic('CREATE'),
      ask: createdTopic,
      existing: expecting(
        'TOPIC_ALREADY_EXISTS NONE -1/-1/no configs',
        'TOPIC_ALREADY_EXISTS NONE -1/-1/no configs',
      ),
      missing: expecting(`NONE ${TOPIC_FAILED} -1/-1/no configs`, 'NONE NONE 1/1/configs'),
    },
  ],
  deleteTopics: [
    {
      about: 'by name',
      version: 5,
      needs: onTopic('DELETE'),
      destroys: true,
      ask: deleteTopics('name'),
      ...DELETED,
    },
    {
      about: 'by name',
      version: 6,
      needs: onTopic('DELETE'),
      destroys: true,
      ask: deleteTopics('name'),
      ...DELETED,
    },
    {
      about: 'by name that may be described',
      version: 6,
      needs: onTopic('DELETE'),
      beside: onTopic('DESCRIBE'),
      destroys: true,
      ask: deleteTopics('name'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting(UNKNOWN, UNKNOWN),
    },
    {
      about: 'by id',
      version: 6,
      needs: onTopic('DELETE'),
      destroys: true,
      ask: deleteTopics('id'),
      existing: { none: `${TOPIC_FAILED} of an id`, deny: `${TOPIC_FAILED} of a name`, allow: 'NONE' },
      missing: expecting(`${UNKNOWN_ID} of an id`, `${UNKNOWN_ID} of an id`),
    },
    {
      about: 'by DELETE on the cluster',
      version: 6,
      needs: onCluster('DELETE'),
      destroys: true,
      ask: deleteTopics('name'),
      ...BY_NAME,
    },
  ],
  deleteRecords: [{ about: '', version: 2, needs: onTopic('DELETE'), ask: deleteRecords, ...BY_NAME }],
  createPartitions: [{ about: '', version: 3, needs: onTopic('ALTER'), ask: createPartitions, ...BY_NAME }],
  describeProducers: [
    {
      about: '',
      version: 0,
      needs: onTopic('READ'),
      async ask(client, { topic: name }, version) {
        const request = { topics: [{ name, partitionIndexes: [0] }] };
        const { topics } = await client.request(apis.describeProducers, version, request);
        return errorName(topics[0]!.partitions[0]!.errorCode);
      },
      ...BY_NAME,
    },
  ],
  describeTopicPartitions: [
    {
      about: 'by name',
      version: 0,
      needs: onTopic('DESCRIBE'),
      ask: describeTopicPartitions('name'),
      existing: expecting(TOPIC_FAILED, `NONE ${DESCRIBE_BIT}`),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
    {
      about: 'all topics',
      version: 0,
      needs: onTopic('DESCRIBE'),
      ask: describeTopicPartitions('all'),
      existing: expecting('left out', `NONE ${DESCRIBE_BIT}`),
      missing: expecting('left out', 'left out'),
    },
  ],
} satisfies Partial<Record<keyof typeof apis, AuthorizationCase[]>>;

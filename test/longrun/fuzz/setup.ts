import { apis, type Api } from '@polylog/kafka-protocol';

import { KafkaClient } from './client.ts';
import type { Served } from './expectation.ts';
import { PARTITIONS_PER_TOPIC, STAYING_TOPICS, type World } from './world.ts';

const CREATE_VERSION = 5;
const METADATA_VERSION = 12;
const TIMEOUT_MS = 30_000;
const TOPIC_ALREADY_EXISTS = 36;
/** ApiVersions shows Produce from v0 on, for old clients' sake, but v3 is the first that is served (KAFKA-18659). */
const PRODUCE_VERSION_MIN = 3;

export interface NewTopic {
  readonly name: string;
  readonly partitions?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

/** Creates topics; those that exist stay as they are. */
export async function createTopics(client: KafkaClient, topics: readonly NewTopic[]): Promise<void> {
  const { topics: results } = await client.request(apis.createTopics, CREATE_VERSION, {
    topics: topics.map(({ name, partitions, configs }) => ({
      name,
      numPartitions: partitions ?? 1,
      replicationFactor: 1,
      assignments: [],
      configs: Object.entries(configs ?? {}).map(([config, value]) => ({ name: config, value })),
    })),
    timeoutMs: TIMEOUT_MS,
  });
  for (const { name, errorCode, errorMessage } of results) {
    if (errorCode !== 0 && errorCode !== TOPIC_ALREADY_EXISTS) {
      throw new Error(`${name} was not created: ${errorCode} ${errorMessage ?? ''}`);
    }
  }
}

/** Makes sure that the topics that requests refer to are there, and learns their ids. */
export async function refreshWorld(client: KafkaClient, world: World): Promise<void> {
  await createTopics(
    client,
    world.topics.map((name) => ({
      name,
      partitions: PARTITIONS_PER_TOPIC,
      configs: STAYING_TOPICS.get(name) ?? {},
    })),
  );
  const { topics } = await client.request(apis.metadata, METADATA_VERSION, {
    topics: world.topics.map((name) => ({ name })),
    allowAutoTopicCreation: false,
  });
  world.topicIds = topics.map(({ topicId }) => topicId);
}

/** The list of the broker's ApiVersions answer, as far as it is served. */
export async function servedVersions(client: KafkaClient): Promise<Served> {
  const { apiKeys } = await client.request(apis.apiVersions, 0, {});
  return new Map(
    apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
      apiKey,
      { min: apiKey === apis.produce.key ? PRODUCE_VERSION_MIN : minVersion, max: maxVersion },
    ]),
  );
}

/** The schemas of the APIs that a broker lists. */
export function schemasOf(served: Served): readonly Api[] {
  return (Object.values(apis) as Api[]).filter(({ key }) => served.has(key));
}

import {
  describeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResponseInit,
} from '@polylog/kafka-protocol';

import { configRecord, groupConfigKey } from '../../../cluster/config-records.ts';
import { validateTopicName } from '../../../cluster/topic-names.ts';
import { BrokerError } from '../../../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { itemErrorOf, NO_ERROR } from './admin-requests.ts';
import { brokerLoggerEntries } from './broker-loggers.ts';
import {
  brokerConfigEntries,
  clusterConfigEntries,
  groupConfigEntries,
  topicConfigEntries,
  type ShownConfig,
} from './config-entries.ts';
import {
  brokerOf,
  groupOf,
  noConfigs,
  RESOURCE_BROKER,
  RESOURCE_BROKER_LOGGER,
  RESOURCE_CLIENT_METRICS,
  RESOURCE_GROUP,
  RESOURCE_TOPIC,
} from './config-resources.ts';

/**
 * DescribeConfigs v1-v4.
 *
 * - Topics (resource type 2), this broker (4) and consumer groups (32), each config with value, source and synonyms (KIP-226), from v3 on with type and
 *   documentation (KIP-569). No or an empty list of keys asks for all; unknown keys are left out.
 * - A resource that comes more than once is answered once: its configs are a thousand times as long as its name.
 * - Secrets are shown as null, in every version.
 * - A broker with an empty name stands for what was set at run time for all brokers, and has nothing else. A group may or may not exist.
 * - Client metrics (16, KIP-714) have no configs, since they are not collected.
 * - Loggers of a broker (8, KIP-412): one, see broker-loggers.ts.
 */
export function describeConfigsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeConfigs,
    versions: [1, 4],
    isAdmin: true,
    handle(request) {
      return {
        results: distinct(request.resources).map((resource) => resultOf(services, resource, request)),
      };
    },
    failure: (request, errorCode, errorMessage) => ({
      results: request.resources.map(({ resourceType, resourceName }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
        configs: [],
      })),
    }),
  });
}

type Resource = DescribeConfigsRequest['resources'][number];

function resultOf(
  services: KafkaServices,
  { resourceType, resourceName, configurationKeys }: Resource,
  { includeSynonyms, includeDocumentation }: DescribeConfigsRequest,
): DescribeConfigsResponseInit['results'][number] {
  try {
    const keys = configurationKeys ?? [];
    const configs = entriesOf(services, resourceType, resourceName)
      .filter(({ name }) => keys.length === 0 || keys.includes(name))
      .map((entry) => shown(entry, includeSynonyms, includeDocumentation));
    return { ...NO_ERROR, resourceType, resourceName, configs };
  } catch (error) {
    return { ...itemErrorOf(error), resourceType, resourceName, configs: [] };
  }
}

function distinct(resources: readonly Resource[]): readonly Resource[] {
  const seen = new Set<string>();
  return resources.filter(({ resourceType, resourceName }) => {
    const key = `${resourceType} ${resourceName}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function entriesOf(services: KafkaServices, resourceType: number, resourceName: string): ShownConfig[] {
  if (resourceType === RESOURCE_TOPIC) {
    validateTopicName(resourceName);
    const topic = services.partitions.image.topicByName(resourceName);
    if (topic === undefined) {
      throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', `Topic ${resourceName} does not exist`);
    }
    return topicConfigEntries(topic.overrides, services.config);
  }
  if (resourceType === RESOURCE_BROKER) {
    const brokerId = brokerOf(services, resourceName);
    return brokerId === undefined
      ? clusterConfigEntries(services.config)
      : brokerConfigEntries(services.config);
  }
  if (resourceType === RESOURCE_GROUP) {
    const section = services.partitions.image.section('broker-configs/');
    const overrides = configRecord(section, groupConfigKey(groupOf(resourceName)));
    return groupConfigEntries(overrides, services.config);
  }
  if (resourceType === RESOURCE_BROKER_LOGGER && brokerOf(services, resourceName) !== undefined) {
    return brokerLoggerEntries(services.config);
  }
  if (resourceType === RESOURCE_CLIENT_METRICS) return [];
  throw noConfigs(resourceType);
}

function shown(
  entry: ShownConfig,
  includeSynonyms: boolean,
  includeDocumentation: boolean,
): DescribeConfigsResponseInit['results'][number]['configs'][number] {
  return {
    ...entry,
    synonyms: includeSynonyms ? entry.synonyms : [],
    documentation: includeDocumentation ? entry.documentation : null,
  };
}

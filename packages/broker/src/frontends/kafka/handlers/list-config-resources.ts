import { listConfigResources } from '@polylog/kafka-protocol';

import { groupOfConfigKey } from '../../../cluster/config-records.ts';
import { decodeKeyPart } from '../../../cluster/sections.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import {
  RESOURCE_BROKER,
  RESOURCE_BROKER_LOGGER,
  RESOURCE_CLIENT_METRICS,
  RESOURCE_GROUP,
  RESOURCE_TOPIC,
} from './config-resources.ts';

/**
 * ListConfigResources v0-v1 (KIP-1142; v0 is KIP-1000's ListClientMetricsResources).
 *
 * - All topics, all brokers and their loggers, and the groups that have configs of their own; v1 asks for some types, or with none for all.
 * - A type that there is not is 35.
 *
 * Gaps: there are no client metrics (KIP-714).
 */
export function listConfigResourcesHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: listConfigResources,
    versions: [0, 1],
    isAdmin: true,
    handle({ resourceTypes }, { version }) {
      const wanted = version === 0 ? [RESOURCE_CLIENT_METRICS] : resourceTypes;
      const types = new Set(wanted.length === 0 ? ALL_TYPES : wanted);
      if ([...types].some((type) => !ALL_TYPES.includes(type))) {
        return { errorCode: errorCodeOf('UNSUPPORTED_VERSION'), configResources: [] };
      }
      return {
        errorCode: NONE,
        configResources: [...types].flatMap((resourceType) =>
          namesOf(services, resourceType).map((resourceName) => ({ resourceType, resourceName })),
        ),
      };
    },
    failure: (_request, errorCode) => ({ errorCode, configResources: [] }),
  });
}

const ALL_TYPES: readonly number[] = [
  RESOURCE_TOPIC,
  RESOURCE_BROKER,
  RESOURCE_BROKER_LOGGER,
  RESOURCE_CLIENT_METRICS,
  RESOURCE_GROUP,
];

function namesOf({ partitions: { image } }: KafkaServices, resourceType: number): string[] {
  switch (resourceType) {
    case RESOURCE_TOPIC:
      return Array.from(image.topics(), ({ kafkaName }) => kafkaName);
    case RESOURCE_BROKER:
    case RESOURCE_BROKER_LOGGER:
      return Array.from(image.brokers.keys(), String);
    case RESOURCE_GROUP:
      return Array.from(image.section('broker-configs/').entries(), ([key]) => groupOfConfigKey(key))
        .filter((group) => group !== undefined)
        .map(decodeKeyPart);
    default:
      return [];
  }
}

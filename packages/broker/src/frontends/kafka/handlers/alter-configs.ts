import { alterConfigs, type AlterConfigsRequest } from '@polylog/kafka-protocol';

import type { ConfigOperation } from '../../../config/operations.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { alterResources } from './alter-resources.ts';
import { duplicatesOf, ItemRefusal } from './admin-requests.ts';

/**
 * AlterConfigs v0-v2 (KIP-133; deprecated for IncrementalAlterConfigs).
 *
 * - Replaces all configs of a topic, broker or consumer group: those that are left out go back to their defaults. See alter-resources.ts.
 *
 * Gaps: no alter-config policy; other resources are answered 42.
 */
export function alterConfigsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: alterConfigs,
    versions: [0, 2],
    isAdmin: true,
    async handle({ resources, validateOnly }) {
      const duplicates = duplicatesOf(resources.map((resource) => keyOf(resource)));
      const outcomes = await alterResources(
        services,
        resources.map((resource) => () => {
          if (duplicates.has(keyOf(resource))) {
            throw new ItemRefusal('INVALID_REQUEST', 'The resource comes twice in the request');
          }
          const { resourceType, resourceName } = resource;
          const operations = operationsOf(resource);
          return { resourceType, resourceName, operations, replace: true, validateOnly };
        }),
      );
      return {
        responses: resources.map(({ resourceType, resourceName }, index) =>
          Object.assign({ resourceType, resourceName }, outcomes[index]!),
        ),
      };
    },
    failure: (request, errorCode, errorMessage) => ({
      responses: request.resources.map(({ resourceType, resourceName }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
      })),
    }),
  });
}

type Resource = AlterConfigsRequest['resources'][number];

function operationsOf({ configs }: Resource): ConfigOperation[] {
  const missing = configs.filter(({ value }) => value === null);
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    throw new ItemRefusal('INVALID_REQUEST', `These configs have no value: ${names}`);
  }
  return configs.map(({ name, value }) => ({ name, operation: 'set', value: value ?? undefined }));
}

function keyOf({ resourceType, resourceName }: Resource): string {
  return `${resourceType}:${resourceName}`;
}

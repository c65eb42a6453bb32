import { incrementalAlterConfigs, type IncrementalAlterConfigsRequest } from '@polylog/kafka-protocol';

import type { ConfigOperation } from '../../../config/operations.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { alterResources } from './alter-resources.ts';
import { duplicatesOf, ItemRefusal } from './admin-requests.ts';

/** By their number in the protocol. */
const OPERATIONS: readonly ConfigOperation['operation'][] = ['set', 'delete', 'append', 'subtract'];

/**
 * IncrementalAlterConfigs v0-v1 (KIP-339).
 *
 * - Sets and deletes single configs of a topic, broker or consumer group, appends to and subtracts from lists; one resource's changes happen
 *   together or not at all. See alter-resources.ts.
 *
 * Gaps: no alter-config policy; other resources are answered 42.
 */
export function incrementalAlterConfigsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: incrementalAlterConfigs,
    versions: [0, 1],
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
          return { resourceType, resourceName, operations, replace: false, validateOnly };
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

type Resource = IncrementalAlterConfigsRequest['resources'][number];

function operationsOf(resource: Resource): ConfigOperation[] {
  return resource.configs.map(({ name, configOperation, value }) => {
    const operation = OPERATIONS[configOperation];
    if (operation === undefined) {
      throw new ItemRefusal('INVALID_REQUEST', `Operation ${configOperation} of ${name} is unknown`);
    }
    if (value === null && operation !== 'delete') {
      throw new ItemRefusal('INVALID_REQUEST', `The config ${name} has no value`);
    }
    return { name, operation, value: value ?? undefined };
  });
}

function keyOf(resource: Resource): string {
  return `${resource.resourceType}:${resource.resourceName}`;
}

import { alterConfigs } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { alterResource } from './alter-resource.ts';
import { duplicatesOf, ItemRefusal, NO_ERROR, runItem } from './admin-requests.ts';

/**
 * AlterConfigs v0-v2 (KIP-133; deprecated for IncrementalAlterConfigs).
 *
 * - Replaces all configs of a topic, broker or consumer group: those that are left out go back to their defaults. See alter-resource.ts.
 *
 * Gaps: no alter-config policy; other resources are answered 42.
 */
export function alterConfigsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: alterConfigs,
    versions: [0, 2],
    isAdmin: true,
    async handle(request) {
      const { resources, validateOnly } = request;
      const duplicates = duplicatesOf(resources.map((resource) => keyOf(resource)));
      const responses = resources.map((resource) => {
        const { resourceType, resourceName } = resource;
        return runItem(
          async () => {
            if (duplicates.has(keyOf(resource))) {
              throw new ItemRefusal('INVALID_REQUEST', 'The resource comes twice in the request');
            }
            const missing = resource.configs.filter(({ value }) => value === null);
            if (missing.length > 0) {
              const names = missing.map(({ name }) => name).join(', ');
              throw new ItemRefusal('INVALID_REQUEST', `These configs have no value: ${names}`);
            }
            await alterResource(services, {
              resourceType,
              resourceName,
              operations: resource.configs.map(({ name, value }) => ({
                name,
                operation: 'set',
                value: value ?? undefined,
              })),
              replace: true,
              validateOnly,
            });
            return { ...NO_ERROR, resourceType, resourceName };
          },
          (error) => ({ ...error, resourceType, resourceName }),
        );
      });
      return { responses: await Promise.all(responses) };
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

function keyOf(resource: { readonly resourceType: number; readonly resourceName: string }): string {
  return `${resource.resourceType}:${resource.resourceName}`;
}

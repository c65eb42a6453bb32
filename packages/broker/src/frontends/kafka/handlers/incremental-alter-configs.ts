import { incrementalAlterConfigs, type IncrementalAlterConfigsRequest } from '@polylog/kafka-protocol';

import type { ConfigOperation } from '../../../config/operations.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal } from './admin-requests.ts';
import { alterConfigsFailure, alterConfigsOf } from './config-requests.ts';

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
    handle: (request) => alterConfigsOf(services, request, { replace: false, operationsOf }),
    failure: (request, errorCode, errorMessage) => alterConfigsFailure(request, errorCode, errorMessage),
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

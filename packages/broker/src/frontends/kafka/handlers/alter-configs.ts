import { alterConfigs, type AlterConfigsRequest } from '@polylog/kafka-protocol';

import type { ConfigOperation } from '../../../config/operations.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal } from './admin-requests.ts';
import { alterConfigsFailure, alterConfigsOf } from './config-requests.ts';

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
    handle: (request) => alterConfigsOf(services, request, { replace: true, operationsOf }),
    failure: (request, errorCode, errorMessage) => alterConfigsFailure(request, errorCode, errorMessage),
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

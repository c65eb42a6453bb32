import type { KafkaHandler, KafkaServices } from './handler.ts';
import { apiVersionsHandler } from './handlers/api-versions.ts';
import { metadataHandler } from './handlers/metadata.ts';
import { produceHandler } from './handlers/produce.ts';

/** Every API that is served: what is in this list is advertised, and nothing else. */
export function kafkaHandlers(services: KafkaServices): readonly KafkaHandler[] {
  const handlers: KafkaHandler[] = [
    apiVersionsHandler(() => handlers),
    metadataHandler(services),
    produceHandler(services),
  ];
  return handlers;
}

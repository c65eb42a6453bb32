import type { KafkaHandler, KafkaServices } from './handler.ts';
import { apiVersionsHandler } from './handlers/api-versions.ts';
import { deleteRecordsHandler } from './handlers/delete-records.ts';
import { fetchHandler } from './handlers/fetch.ts';
import { listOffsetsHandler } from './handlers/list-offsets.ts';
import { metadataHandler } from './handlers/metadata.ts';
import { offsetForLeaderEpochHandler } from './handlers/offset-for-leader-epoch.ts';
import { produceHandler } from './handlers/produce.ts';

/** Every API that is served: what is in this list is advertised, and nothing else. */
export function kafkaHandlers(services: KafkaServices): readonly KafkaHandler[] {
  const handlers: KafkaHandler[] = [
    apiVersionsHandler(() => handlers),
    metadataHandler(services),
    produceHandler(services),
    fetchHandler(services),
    listOffsetsHandler(services),
    offsetForLeaderEpochHandler(services),
    deleteRecordsHandler(services),
  ];
  return handlers;
}

import { BROKER_DEFINITIONS } from '../../../config/broker-config.ts';
import { didYouMean } from '../../../config/suggest.ts';
import type { ConfigOperation } from '../../../topics/types.ts';
import type { KafkaServices } from '../handler.ts';
import { ItemRefusal } from './admin-requests.ts';
import { RESOURCE_BROKER, RESOURCE_TOPIC } from './describe-configs.ts';

/**
 * Changes the configs of one resource. A broker's are all static in this release, and are refused as Kafka refuses those of its own that are
 * (42, KIP-226). Rejects with BrokerError or ItemRefusal.
 */
export async function alterResource(
  services: KafkaServices,
  change: {
    readonly resourceType: number;
    readonly resourceName: string;
    readonly operations: readonly ConfigOperation[];
    readonly replace: boolean;
    readonly validateOnly: boolean;
  },
): Promise<void> {
  const { resourceType, resourceName, operations, replace, validateOnly } = change;
  if (resourceType === RESOURCE_TOPIC) {
    await services.admin.alterTopicConfig({ kafkaName: resourceName, operations, replace, validateOnly });
    return;
  }
  if (resourceType !== RESOURCE_BROKER) {
    throw new ItemRefusal('INVALID_REQUEST', `Resource type ${resourceType} has no configs here`);
  }
  if (resourceName !== '' && resourceName !== String(services.brokerId)) {
    throw new ItemRefusal(
      'INVALID_REQUEST',
      `This is broker ${services.brokerId}; it cannot change broker ${JSON.stringify(resourceName)}`,
    );
  }
  if (operations.length === 0) return;
  const names = operations.map(({ name }) =>
    BROKER_DEFINITIONS.has(name) ? name : `${name}${didYouMean(name, BROKER_DEFINITIONS.keys())}`,
  );
  throw new ItemRefusal(
    'INVALID_REQUEST',
    `These configs cannot be changed while the broker runs: ${names.join(', ')}. Set them in its file and restart it`,
  );
}

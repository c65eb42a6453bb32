import type { KafkaServices } from '../handler.ts';
import { ItemRefusal } from './admin-requests.ts';

/** Numbers of the types of resources that have configs (KIP-133, KIP-412, KIP-714, KIP-848). */
export const RESOURCE_TOPIC = 2;
export const RESOURCE_BROKER = 4;
export const RESOURCE_BROKER_LOGGER = 8;
export const RESOURCE_CLIENT_METRICS = 16;
export const RESOURCE_GROUP = 32;

/** UTF-16 units; a group's own limit is Kafka's. */
const GROUP_ID_LENGTH_MAX = 1024;

/** The broker that is meant, or undefined for all of them. Throws ItemRefusal for another one. */
export function brokerOf({ brokerId }: Pick<KafkaServices, 'brokerId'>, name: string): number | undefined {
  if (name === '') return undefined;
  if (name === String(brokerId)) return brokerId;
  throw new ItemRefusal(
    'INVALID_REQUEST',
    `This is broker ${brokerId}: ask broker ${JSON.stringify(name)} itself, or name none for what holds for all`,
  );
}

export function groupOf(name: string): string {
  if (name === '' || name.length > GROUP_ID_LENGTH_MAX) {
    throw new ItemRefusal(
      'INVALID_REQUEST',
      `The name of a group has 1 to ${GROUP_ID_LENGTH_MAX} characters, and not ${name.length}`,
    );
  }
  return name;
}

/** The refusal of a type of resources that this broker has no configs for. */
export function noConfigs(resourceType: number): ItemRefusal {
  const reason =
    resourceType === RESOURCE_CLIENT_METRICS
      ? 'This broker does not collect metrics of clients (KIP-714)'
      : `Resource type ${resourceType} has no configs here`;
  return new ItemRefusal('INVALID_REQUEST', reason);
}

import { encodeKeyPart } from './sections.ts';

/*
 * Settings that were changed at run time, in the section `broker-configs/`: names and texts of one resource under its key.
 *
 *   broker-configs/broker:       { "log.retention.ms": "3600000" }             all brokers
 *   broker-configs/broker:1      { "max.connections": "500" }                  one of them
 *   broker-configs/group:orders  { "consumer.session.timeout.ms": "60000" }    a consumer group
 */
const BROKER_PREFIX = 'broker:';
const GROUP_PREFIX = 'group:';

/** `undefined`: of all brokers. */
export function brokerConfigKey(brokerId: number | undefined): string {
  return `${BROKER_PREFIX}${brokerId ?? ''}`;
}

export function groupConfigKey(groupId: string): string {
  return `${GROUP_PREFIX}${encodeKeyPart(groupId)}`;
}

/** The group of a key, still encoded as in it; undefined if it is no group's. */
export function groupOfConfigKey(key: string): string | undefined {
  return key.startsWith(GROUP_PREFIX) ? key.slice(GROUP_PREFIX.length) : undefined;
}

/** What is set for one resource. */
export function configRecord(
  section: { get(key: string): unknown },
  key: string,
): ReadonlyMap<string, string> {
  const record = section.get(key);
  return record === undefined ? NOTHING : new Map(Object.entries(record as Record<string, string>));
}

const NOTHING: ReadonlyMap<string, string> = new Map();

import { BrokerError } from '../errors.ts';
import { BROKER_DEFINITIONS, type BrokerConfig } from './broker-config.ts';
import { ConfigValueError, integer, type ConfigDefinition } from './definition.ts';
import { didYouMean } from './suggest.ts';

/** A config of single consumer groups, and the setting of the broker that holds for all others. */
export interface GroupConfigDefinition extends ConfigDefinition<number> {
  readonly brokerSynonym: string;
}

/** Those of groups with the consumer protocol (KIP-848). */
export const GROUP_CONFIGS = {
  'consumer.heartbeat.interval.ms': {
    ...integer('consumer.heartbeat.interval.ms', {
      type: 'int',
      default: '5000',
      min: 1,
      documentation: 'How often members of the group are told to send heartbeats.',
    }),
    brokerSynonym: 'group.consumer.heartbeat.interval.ms',
  },
  'consumer.session.timeout.ms': {
    ...integer('consumer.session.timeout.ms', {
      type: 'int',
      default: '45000',
      min: 1,
      documentation: 'How long a member of the group may be silent until its partitions are given to others.',
    }),
    brokerSynonym: 'group.consumer.session.timeout.ms',
  },
} as const satisfies Readonly<Record<string, GroupConfigDefinition>>;

export type GroupConfigName = keyof typeof GROUP_CONFIGS;

export function groupConfigDefinition(name: string): GroupConfigDefinition {
  if (Object.hasOwn(GROUP_CONFIGS, name)) return GROUP_CONFIGS[name as GroupConfigName];
  const names = Object.keys(GROUP_CONFIGS);
  throw new BrokerError(
    'INVALID_CONFIG',
    `Unknown group config name: ${name}${didYouMean(name, names)}; there are ${names.join(' and ')}`,
  );
}

/** What a group goes by that does not set it. */
export function inheritedGroupText(name: GroupConfigName, config: Pick<BrokerConfig, 'entries'>): string {
  const { brokerSynonym, defaultText } = groupConfigDefinition(name);
  const text = config.entries.get(brokerSynonym)?.text ?? BROKER_DEFINITIONS.get(brokerSynonym)?.defaultText;
  return text ?? defaultText ?? '';
}

export interface GroupConfig {
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

/** What a group goes by. Throws BrokerError INVALID_CONFIG. */
export function parseGroupConfig(
  overrides: ReadonlyMap<string, string>,
  config: Pick<BrokerConfig, 'entries'>,
): GroupConfig {
  for (const name of overrides.keys()) groupConfigDefinition(name);
  const value = (name: GroupConfigName): number => {
    try {
      return GROUP_CONFIGS[name].parse(overrides.get(name) ?? inheritedGroupText(name, config));
    } catch (error) {
      if (!(error instanceof ConfigValueError)) throw error;
      throw new BrokerError('INVALID_CONFIG', error.message);
    }
  };
  const sessionTimeoutMs = value('consumer.session.timeout.ms');
  const heartbeatIntervalMs = value('consumer.heartbeat.interval.ms');
  if (heartbeatIntervalMs >= sessionTimeoutMs) {
    throw new BrokerError(
      'INVALID_CONFIG',
      `consumer.heartbeat.interval.ms (${heartbeatIntervalMs}) must be below consumer.session.timeout.ms (${sessionTimeoutMs})`,
    );
  }
  return { sessionTimeoutMs, heartbeatIntervalMs };
}

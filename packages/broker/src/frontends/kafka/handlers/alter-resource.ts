import { brokerConfigKey, configRecord, groupConfigKey } from '../../../cluster/config-records.ts';
import { BROKER_DEFINITIONS } from '../../../config/broker-config.ts';
import {
  groupConfigDefinition,
  inheritedGroupText,
  parseGroupConfig,
  type GroupConfigName,
} from '../../../config/group-config.ts';
import { settingMistake, withLayers, type LiveConfig } from '../../../config/live-config.ts';
import { applyOperations, type ConfigOperation } from '../../../config/operations.ts';
import { didYouMean } from '../../../config/suggest.ts';
import { BrokerError } from '../../../errors.ts';
import type { KafkaServices } from '../handler.ts';
import { ItemRefusal } from './admin-requests.ts';
import { settingOfLogger } from './broker-loggers.ts';
import {
  brokerOf,
  groupOf,
  noConfigs,
  RESOURCE_BROKER,
  RESOURCE_BROKER_LOGGER,
  RESOURCE_GROUP,
  RESOURCE_TOPIC,
} from './config-resources.ts';

export interface ResourceChange {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly operations: readonly ConfigOperation[];
  /** Takes away what the operations do not name. */
  readonly replace: boolean;
  readonly validateOnly: boolean;
}

type Overrides = ReadonlyMap<string, string>;

/**
 * Changes the configs of one resource: a topic, this broker or its logger, all brokers (a broker without a name), or a consumer group. What a broker cannot
 * change while it runs, and what it refuses, is 42, as in Kafka (KIP-226). Rejects with BrokerError or ItemRefusal.
 */
export async function alterResource(services: KafkaServices, change: ResourceChange): Promise<void> {
  const { resourceType, resourceName, operations, replace, validateOnly } = change;
  switch (resourceType) {
    case RESOURCE_TOPIC:
      await services.admin.alterTopicConfig({ kafkaName: resourceName, operations, replace, validateOnly });
      return;
    case RESOURCE_BROKER:
      await alterBroker(services, brokerOf(services, resourceName), change);
      return;
    case RESOURCE_GROUP:
      await alterGroup(services, groupOf(resourceName), change);
      return;
    case RESOURCE_BROKER_LOGGER:
      await alterLogger(services, change);
      return;
    default:
      throw noConfigs(resourceType);
  }
}

async function alterLogger(services: KafkaServices, change: ResourceChange): Promise<void> {
  const brokerId = brokerOf(services, change.resourceName);
  if (brokerId === undefined) throw new ItemRefusal('INVALID_REQUEST', 'Loggers belong to a broker: name it');
  if (change.replace) {
    throw new ItemRefusal(
      'INVALID_REQUEST',
      'Levels of loggers are changed one by one (IncrementalAlterConfigs)',
    );
  }
  const operations = change.operations.map((operation) => settingOfLogger(operation));
  await alterBroker(services, brokerId, { ...change, operations });
}

/** `brokerId` undefined: all brokers. */
function alterBroker(
  { sections, config }: KafkaServices,
  brokerId: number | undefined,
  change: ResourceChange,
): Promise<void> {
  const key = brokerConfigKey(brokerId);
  return sections.change('broker-configs/', (records) => {
    const before = configRecord(records, key);
    // Tools take back what they may have set, such as throttles of replication that there are not here.
    const operations = change.operations.filter(
      ({ name, operation }) => operation !== 'delete' || before.has(name),
    );
    const after = applyOperations(change.replace ? new Map() : before, operations, {
      definitionOf: (name) => {
        const definition = BROKER_DEFINITIONS.get(name);
        if (definition !== undefined) return definition;
        const hint = didYouMean(name, BROKER_DEFINITIONS.keys());
        throw new ItemRefusal('INVALID_REQUEST', `Unknown broker config name: ${name}${hint}`);
      },
      effectiveText: (name) =>
        before.get(name) ?? config.entries.get(name)?.text ?? BROKER_DEFINITIONS.get(name)?.defaultText ?? '',
    });
    checkBroker(config, after, brokerId === undefined ? 'cluster' : 'broker');
    return recordOf(key, after, change);
  });
}

/** Throws ItemRefusal for what cannot be, alone or beside the rest of the configuration. */
function checkBroker(config: LiveConfig, after: Overrides, layer: 'broker' | 'cluster'): void {
  const mistakes = [...after].flatMap(([name, text]) => settingMistake(name, text) ?? []);
  if (mistakes.length > 0) throw new ItemRefusal('INVALID_REQUEST', mistakes.join('; '));
  try {
    withLayers(config.base, { ...config.layers, [layer]: after });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    throw new ItemRefusal('INVALID_REQUEST', error.message);
  }
}

function alterGroup(
  { sections, config }: KafkaServices,
  groupId: string,
  change: ResourceChange,
): Promise<void> {
  const key = groupConfigKey(groupId);
  return sections.change('broker-configs/', (records) => {
    const before = configRecord(records, key);
    const after = applyOperations(change.replace ? new Map() : before, change.operations, {
      definitionOf: groupConfigDefinition,
      effectiveText: (name) => before.get(name) ?? inheritedGroupText(name as GroupConfigName, config),
    });
    parseGroupConfig(after, config);
    if (before.size === 0 && after.size > 0 && records.size >= CONFIG_RECORDS_MAX) {
      throw new BrokerError(
        'POLICY_VIOLATION',
        `${CONFIG_RECORDS_MAX} brokers and groups have configs already: set the broker's group.consumer.* instead`,
      );
    }
    return recordOf(key, after, change);
  });
}

/** Groups and brokers with configs: every broker keeps them in memory. */
const CONFIG_RECORDS_MAX = 20_000;

function recordOf(
  key: string,
  after: Overrides,
  { validateOnly }: ResourceChange,
): ReadonlyMap<string, unknown> {
  if (validateOnly) return new Map();
  return new Map([[key, after.size === 0 ? undefined : Object.fromEntries(after)]]);
}

import { brokerConfigKey, configRecord, groupConfigKey } from '../../../cluster/config-records.ts';
import type { SectionRecords } from '../../../cluster/section-writer.ts';
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
import { NONE } from '../errors.ts';
import type { KafkaServices } from '../handler.ts';
import { ItemRefusal, itemErrorOf, NO_ERROR, runItem, type ItemError } from './admin-requests.ts';
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
 * Changes the configs of resources: topics, this broker or its logger, all brokers (a broker without a name), and consumer groups. What a broker cannot
 * change while it runs, and what it refuses, is 42, as in Kafka (KIP-226). Each plan says what one resource is to become, or throws BrokerError or
 * ItemRefusal; resolves with its outcome in the same place. What belongs to brokers and groups is read and written at once, however much it is.
 */
export async function alterResources(
  services: KafkaServices,
  plans: readonly (() => ResourceChange)[],
): Promise<ItemError[]> {
  const outcomes = plans.map(() => NO_ERROR);
  const kept = new Map<number, ResourceChange>();
  const topics: Promise<void>[] = [];
  for (const [index, plan] of plans.entries()) {
    outcomes[index] = outcomeOf(() => {
      const change = plan();
      if (change.resourceType === RESOURCE_TOPIC) {
        topics.push(alterTopic(services, change).then((outcome) => void (outcomes[index] = outcome)));
      } else kept.set(index, change);
    });
  }
  const records = alterRecords(services, kept).then((found) => {
    for (const [index, outcome] of found) outcomes[index] = outcome;
  });
  await Promise.all([...topics, records]);
  return outcomes;
}

function outcomeOf(work: () => void): ItemError {
  try {
    work();
    return NO_ERROR;
  } catch (error) {
    return itemErrorOf(error);
  }
}

function alterTopic(
  { admin }: KafkaServices,
  { resourceName, operations, replace, validateOnly }: ResourceChange,
): Promise<ItemError> {
  return runItem(
    async () => {
      await admin.alterTopicConfig({ kafkaName: resourceName, operations, replace, validateOnly });
      return NO_ERROR;
    },
    (error) => error,
  );
}

async function alterRecords(
  services: KafkaServices,
  changes: ReadonlyMap<number, ResourceChange>,
): Promise<ReadonlyMap<number, ItemError>> {
  const outcomes = new Map<number, ItemError>();
  const keys = new Map<number, string>();
  for (const [index, change] of changes) {
    const outcome = outcomeOf(() => void keys.set(index, keyOf(services, change)));
    outcomes.set(index, outcome);
  }
  if (keys.size === 0) return outcomes;
  try {
    await services.sections.change('broker-configs/', keys.values(), (records) => {
      const written = new Map<string, unknown>();
      let { size } = records;
      const latest: SectionRecords = {
        get size() {
          return size;
        },
        get: (key) => (written.has(key) ? written.get(key) : records.get(key)),
      };
      for (const [index, key] of keys) {
        const change = changes.get(index)!;
        const outcome = outcomeOf(() => {
          const record = altered(services, change, latest);
          if (change.validateOnly) return;
          size += Number(record !== undefined) - Number(latest.get(key) !== undefined);
          written.set(key, record);
        });
        outcomes.set(index, outcome);
      }
      return written;
    });
  } catch (error) {
    const failed = itemErrorOf(error);
    for (const [index, { errorCode }] of outcomes) if (errorCode === NONE) outcomes.set(index, failed);
  }
  return outcomes;
}

/** Where the settings of the resource are kept. Throws BrokerError or ItemRefusal. */
function keyOf(services: KafkaServices, { resourceType, resourceName }: ResourceChange): string {
  switch (resourceType) {
    case RESOURCE_BROKER:
    case RESOURCE_BROKER_LOGGER:
      return brokerConfigKey(brokerOf(services, resourceName));
    case RESOURCE_GROUP:
      return groupConfigKey(groupOf(resourceName));
    default:
      throw noConfigs(resourceType);
  }
}

/** What is kept of the resource then; undefined: nothing any more. Throws BrokerError or ItemRefusal. */
function altered(services: KafkaServices, change: ResourceChange, records: SectionRecords): unknown {
  const { resourceType, resourceName } = change;
  switch (resourceType) {
    case RESOURCE_BROKER:
      return alteredBroker(services, brokerOf(services, resourceName), change, records);
    case RESOURCE_GROUP:
      return alteredGroup(services, groupOf(resourceName), change, records);
    case RESOURCE_BROKER_LOGGER:
      return alteredLogger(services, change, records);
    default:
      throw noConfigs(resourceType);
  }
}

function alteredLogger(services: KafkaServices, change: ResourceChange, records: SectionRecords): unknown {
  const brokerId = brokerOf(services, change.resourceName);
  if (brokerId === undefined) throw new ItemRefusal('INVALID_REQUEST', 'Loggers belong to a broker: name it');
  if (change.replace) {
    throw new ItemRefusal(
      'INVALID_REQUEST',
      'Levels of loggers are changed one by one (IncrementalAlterConfigs)',
    );
  }
  const operations = change.operations.map((operation) => settingOfLogger(operation));
  return alteredBroker(services, brokerId, { ...change, operations }, records);
}

/** `brokerId` undefined: all brokers. */
function alteredBroker(
  { config }: KafkaServices,
  brokerId: number | undefined,
  change: ResourceChange,
  records: SectionRecords,
): unknown {
  const before = configRecord(records, brokerConfigKey(brokerId));
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
  return recordOf(after);
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

function alteredGroup(
  { config }: KafkaServices,
  groupId: string,
  change: ResourceChange,
  records: SectionRecords,
): unknown {
  const before = configRecord(records, groupConfigKey(groupId));
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
  return recordOf(after);
}

/** Groups and brokers with configs: every broker keeps them in memory. */
const CONFIG_RECORDS_MAX = 20_000;

function recordOf(after: Overrides): unknown {
  return after.size === 0 ? undefined : Object.fromEntries(after);
}

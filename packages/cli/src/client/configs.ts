import { describeConfigs as describeConfigsApi, incrementalAlterConfigs } from '@polylog/kafka-protocol';
import { CliError, protocolError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { didYouMean } from '../suggest.ts';
import type { NameValue } from '../values.ts';
import type { Cluster } from './cluster.ts';

export const RESOURCE_TOPIC = 2;
export const RESOURCE_BROKER = 4;
export const RESOURCE_GROUP = 32;
const OPERATION_SET = 0;
const OPERATION_DELETE = 1;

/** Kafka's numbers for where a value comes from. */
const SOURCES: Readonly<Record<number, string>> = {
  1: 'topic',
  2: 'broker',
  3: 'cluster',
  4: 'start',
  5: 'default',
  8: 'group',
};

const TYPES: Readonly<Record<number, string>> = {
  1: 'boolean',
  2: 'string',
  3: 'int',
  4: 'short',
  5: 'long',
  6: 'double',
  7: 'list',
  8: 'class',
  9: 'password',
};

export interface ConfigResource {
  readonly type: typeof RESOURCE_TOPIC | typeof RESOURCE_BROKER | typeof RESOURCE_GROUP;
  /** Of a topic or group, or a broker's number; empty for all brokers. */
  readonly name: string;
}

export interface ConfigEntry {
  readonly name: string;
  /** Null for a secret. */
  readonly value: string | null;
  /** `topic`, `group`, `broker` (set at run time), `cluster` (for all brokers), `start` (flags, environment or file), `default`. */
  readonly source: string;
  readonly type: string;
  readonly readOnly: boolean;
  readonly sensitive: boolean;
  readonly documentation: string | null;
  /** Where else it is set, the winner first. */
  readonly synonyms: readonly {
    readonly name: string;
    readonly value: string | null;
    readonly source: string;
  }[];
}

export function resourceKind({ type }: Pick<ConfigResource, 'type'>): 'topic' | 'broker' | 'group' {
  return type === RESOURCE_TOPIC ? 'topic' : type === RESOURCE_GROUP ? 'group' : 'broker';
}

export function resourceText(resource: ConfigResource): string {
  return isAllBrokers(resource) ? 'all brokers' : `${resourceKind(resource)} ${resource.name}`;
}

/** Of them only what was set is known. */
export function isAllBrokers({ type, name }: ConfigResource): boolean {
  return type === RESOURCE_BROKER && name === '';
}

/**
 * The settings of a topic or broker, by name.
 *
 * @param names those alone
 * @throws CliError (not found) for a name that does not exist, with a similar one if there is one
 */
export async function describeConfigs(
  cluster: Cluster,
  resource: ConfigResource,
  names?: readonly string[],
): Promise<{ readonly configs: readonly ConfigEntry[] }> {
  const node = await nodeFor(cluster, resource);
  const body = {
    resources: [{ resourceType: resource.type, resourceName: resource.name, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  };
  const answer = await cluster.request(describeConfigsApi, body, { node });
  const result = answer.results[0]!;
  if (result.errorCode !== 0)
    throw protocolError(result.errorCode, resourceText(resource), result.errorMessage);
  const all = result.configs
    .map((one): ConfigEntry => ({
      name: one.name,
      value: one.value,
      source: SOURCES[one.configSource] ?? `source ${one.configSource}`,
      type: TYPES[one.configType] ?? 'unknown',
      readOnly: one.readOnly,
      sensitive: one.isSensitive,
      documentation: one.documentation,
      synonyms: one.synonyms.map(({ name, value, source }) => ({
        name,
        value,
        source: SOURCES[source] ?? `source ${source}`,
      })),
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (names === undefined) return { configs: all };
  if (isAllBrokers(resource)) return { configs: all.filter((one) => names.includes(one.name)) };
  return { configs: names.map((name) => all.find((one) => one.name === name) ?? raise(resource, name, all)) };
}

function raise(resource: ConfigResource, name: string, all: readonly ConfigEntry[]): never {
  const similar = didYouMean(
    name,
    all.map((one) => one.name),
  );
  throw new CliError(`${resourceText(resource)} has no setting ${name}${similar}`, {
    code: 'UNKNOWN_CONFIG',
    exitCode: EXIT.notFound,
  });
}

/** Changes settings, all or none. Throws CliError. */
export async function alterConfigs(
  cluster: Cluster,
  resource: ConfigResource,
  changes: { readonly set: readonly NameValue[]; readonly unset: readonly string[] },
): Promise<void> {
  const node = await nodeFor(cluster, resource);
  const configs = [
    ...changes.set.map(({ name, value }) => ({ name, value, configOperation: OPERATION_SET })),
    ...changes.unset.map((name) => ({ name, value: null, configOperation: OPERATION_DELETE })),
  ];
  const body = {
    resources: [{ resourceType: resource.type, resourceName: resource.name, configs }],
    validateOnly: false,
  };
  const answer = await cluster.request(incrementalAlterConfigs, body, { node });
  const result = answer.responses[0]!;
  if (result.errorCode !== 0) {
    throw protocolError(result.errorCode, `cannot change ${resourceText(resource)}`, result.errorMessage);
  }
}

/** A broker answers for its own settings only, and any of them for all else. */
async function nodeFor(cluster: Cluster, resource: ConfigResource): Promise<number | undefined> {
  if (resource.type !== RESOURCE_BROKER || resource.name === '') return undefined;
  await cluster.metadata([]);
  return Number(resource.name);
}

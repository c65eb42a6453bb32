import { BROKER_DEFINITIONS, COARSER_SYNONYMS, type ConfigEntry } from '../../../config/broker-config.ts';
import type { ConfigDefinition } from '../../../config/definition.ts';
import { isDynamic } from '../../../config/dynamic-settings.ts';
import { GROUP_CONFIGS, inheritedGroupText, type GroupConfigName } from '../../../config/group-config.ts';
import type { DynamicLayers, LiveConfig } from '../../../config/live-config.ts';
import { topicConfigDefinitions } from '../../../config/topic-config-definitions.ts';

/** Where a value comes from, as DescribeConfigs and CreateTopics number it (KIP-226). */
const SOURCE = { topic: 1, broker: 2, cluster: 3, staticBroker: 4, default: 5, group: 8 } as const;

const CONFIG_TYPES: Readonly<Record<ConfigDefinition<unknown>['type'], number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
  password: 9,
};

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
}

/** One config as it is shown to clients. */
export interface ShownConfig {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  /** All places that define it, the one that counts first. */
  readonly synonyms: readonly ConfigSynonym[];
  readonly configType: number;
  readonly documentation: string;
}

/** What entries are worked out from: the part of the live configuration that says where each value comes from. */
export interface ConfigLayers {
  readonly base: { readonly entries: ReadonlyMap<string, ConfigEntry> };
  readonly layers: DynamicLayers;
  readonly topicDefaults: ReadonlyMap<string, string>;
}

/** Every config of a topic with these overrides. */
export function topicConfigEntries(
  overrides: ReadonlyMap<string, string>,
  config: ConfigLayers,
): ShownConfig[] {
  return topicConfigDefinitions().map((definition) => {
    const { name, brokerSynonym, defaultText } = definition;
    const override = overrides.get(name);
    const names =
      brokerSynonym === undefined
        ? []
        : [brokerSynonym, ...(COARSER_SYNONYMS.get(name) ?? []).map((coarser) => coarser.name)];
    const synonyms = placesOf(names, config);
    synonyms.push({ name: brokerSynonym ?? name, value: defaultText, source: SOURCE.default });
    if (override !== undefined) synonyms.unshift({ name, value: override, source: SOURCE.topic });
    const inherited = config.topicDefaults.get(name) ?? defaultText;
    return shownConfig(definition, override ?? inherited, synonyms);
  });
}

/** Every config of this broker. Those that cannot be changed while it runs are read-only. */
export function brokerConfigEntries(config: ConfigLayers): ShownConfig[] {
  return [...BROKER_DEFINITIONS.values()].map((definition) => {
    const { name, defaultText } = definition;
    const synonyms = placesOf([name], config);
    if (defaultText !== null) synonyms.push({ name, value: defaultText, source: SOURCE.default });
    return shownConfig(definition, synonyms[0]?.value ?? null, synonyms, !isDynamic(name));
  });
}

/** What was changed at run time for all brokers, and nothing else: as Kafka answers for a broker without a name. */
export function clusterConfigEntries({ layers }: ConfigLayers): ShownConfig[] {
  return [...layers.cluster].flatMap(([name, value]) => {
    const definition = BROKER_DEFINITIONS.get(name);
    if (definition === undefined) return [];
    return [shownConfig(definition, value, [{ name, value, source: SOURCE.cluster }])];
  });
}

/** Every config of a consumer group with these overrides. */
export function groupConfigEntries(
  overrides: ReadonlyMap<string, string>,
  config: ConfigLayers & Pick<LiveConfig, 'entries'>,
): ShownConfig[] {
  return Object.values(GROUP_CONFIGS).map((definition) => {
    const { brokerSynonym } = definition;
    const name = definition.name as GroupConfigName;
    const override = overrides.get(name);
    const synonyms = placesOf([brokerSynonym], config);
    const defaultText = BROKER_DEFINITIONS.get(brokerSynonym)?.defaultText ?? definition.defaultText;
    synonyms.push({ name: brokerSynonym, value: defaultText, source: SOURCE.default });
    if (override !== undefined) synonyms.unshift({ name, value: override, source: SOURCE.group });
    return shownConfig(definition, override ?? inheritedGroupText(name, config), synonyms);
  });
}

/** Nobody is told what is sensitive. */
function shownConfig(
  { name, type, documentation, isSensitive }: ConfigDefinition<unknown>,
  value: string | null,
  synonyms: readonly ConfigSynonym[],
  readOnly = false,
): ShownConfig {
  return {
    name,
    value: isSensitive ? null : value,
    readOnly,
    configSource: synonyms[0]?.source ?? SOURCE.default,
    isSensitive,
    synonyms: isSensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
    configType: CONFIG_TYPES[type],
    documentation,
  };
}

/** Where the settings of these names are given, the one that counts first. */
function placesOf(names: readonly string[], { base, layers }: ConfigLayers): ConfigSynonym[] {
  return names.flatMap((name) => {
    const places: readonly (readonly [value: string | undefined, source: number])[] = [
      [layers.broker.get(name), SOURCE.broker],
      [layers.cluster.get(name), SOURCE.cluster],
      [base.entries.get(name)?.text, SOURCE.staticBroker],
    ];
    return places.flatMap(([value, source]) => (value === undefined ? [] : [{ name, value, source }]));
  });
}

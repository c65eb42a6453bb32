import { BROKER_DEFINITIONS, COARSER_SYNONYMS, type BrokerConfig } from '../../../config/broker-config.ts';
import type { ConfigDefinition } from '../../../config/definition.ts';
import {
  topicConfigDefinitions,
  type TopicConfigDefinition,
} from '../../../config/topic-config-definitions.ts';

/** Where a value comes from, as DescribeConfigs and CreateTopics number it (KIP-226). */
const SOURCE = { topic: 1, staticBroker: 4, default: 5 } as const;

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

/** Every config of a topic with these overrides. */
export function topicConfigEntries(
  overrides: ReadonlyMap<string, string>,
  config: BrokerConfig,
): ShownConfig[] {
  return topicConfigDefinitions().map((definition) => {
    const override = overrides.get(definition.name);
    const synonyms = brokerSynonyms(definition, config);
    if (override !== undefined) {
      synonyms.unshift({ name: definition.name, value: override, source: SOURCE.topic });
    }
    const inherited = config.topicDefaults.get(definition.name) ?? definition.defaultText;
    return {
      name: definition.name,
      value: override ?? inherited,
      readOnly: false,
      configSource: synonyms[0]!.source,
      isSensitive: false,
      synonyms,
      configType: CONFIG_TYPES[definition.type],
      documentation: definition.documentation,
    };
  });
}

/** Every config of this broker. All are static in this release, so none may be altered. */
export function brokerConfigEntries(config: BrokerConfig): ShownConfig[] {
  return [...BROKER_DEFINITIONS.values()].map((definition) => {
    const { name, defaultText, isSensitive } = definition;
    const entry = config.entries.get(name);
    const value = isSensitive ? null : (entry?.text ?? defaultText);
    const synonyms: ConfigSynonym[] = [];
    if (entry !== undefined) synonyms.push({ name, value, source: SOURCE.staticBroker });
    if (defaultText !== null) synonyms.push({ name, value: defaultText, source: SOURCE.default });
    return {
      name,
      value,
      readOnly: true,
      configSource: synonyms[0]?.source ?? SOURCE.default,
      isSensitive,
      synonyms,
      configType: CONFIG_TYPES[definition.type],
      documentation: definition.documentation,
    };
  });
}

function brokerSynonyms(definition: TopicConfigDefinition, config: BrokerConfig): ConfigSynonym[] {
  const { name, brokerSynonym, defaultText } = definition;
  const synonyms: ConfigSynonym[] = [];
  if (brokerSynonym !== undefined) {
    const names = [brokerSynonym, ...(COARSER_SYNONYMS.get(name) ?? []).map((coarser) => coarser.name)];
    for (const synonym of names) {
      const entry = config.entries.get(synonym);
      if (entry !== undefined) {
        synonyms.push({ name: synonym, value: entry.text, source: SOURCE.staticBroker });
      }
    }
  }
  synonyms.push({ name: brokerSynonym ?? name, value: defaultText, source: SOURCE.default });
  return synonyms;
}

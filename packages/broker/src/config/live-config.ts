import { BrokerError } from '../errors.ts';
import {
  BROKER_CONFIGS,
  BROKER_DEFINITIONS,
  parseSettings,
  topicDefaultsOf,
  type BrokerConfig,
  type BrokerSettings,
  type ConfigEntry,
  type StepsPerTurn,
} from './broker-config.ts';
import { ConfigValueError } from './definition.ts';
import { isDynamic } from './dynamic-settings.ts';
import type { ListenerConfig } from './listeners.ts';
import { parseTopicSettings, type TopicDefaults } from './topic-config.ts';

/** What was changed while brokers ran: for one broker, or for all of them. Each is the text of settings by their names. */
export type DynamicSettings = ReadonlyMap<string, string>;

export interface DynamicLayers {
  /** For this broker alone; the first that has a setting counts. */
  readonly broker: DynamicSettings;
  readonly cluster: DynamicSettings;
}

export const NO_DYNAMIC_SETTINGS: DynamicLayers = { broker: new Map(), cluster: new Map() };

/**
 * The broker's configuration as it is at the moment: what it was started with, under what was changed since (KIP-226). Its fields are
 * read whenever they are needed, and not kept.
 */
export class LiveConfig implements BrokerConfig {
  /** As the broker was started. */
  readonly base: BrokerConfig;
  #layers = NO_DYNAMIC_SETTINGS;
  #now: BrokerConfig;
  readonly #listeners: ((before: BrokerConfig) => void)[] = [];

  constructor(base: BrokerConfig) {
    this.base = base;
    this.#now = base;
  }

  get settings(): BrokerSettings {
    return this.#now.settings;
  }

  get topicDefaults(): TopicDefaults {
    return this.#now.topicDefaults;
  }

  get listeners(): readonly ListenerConfig[] {
    return this.base.listeners;
  }

  get entries(): ReadonlyMap<string, ConfigEntry> {
    return this.#now.entries;
  }

  get stepsPerTurn(): StepsPerTurn | undefined {
    return this.base.stepsPerTurn;
  }

  get layers(): DynamicLayers {
    return this.#layers;
  }

  /** Is called after each change, with what was before. */
  onChange(listener: (before: BrokerConfig) => void): void {
    this.#listeners.push(listener);
  }

  /** Goes by these from now on. Returns why some of them do not count: this release does not know them, or refuses their values. */
  apply(layers: DynamicLayers): string[] {
    const mistakes: string[] = [];
    const legal = (settings: DynamicSettings): DynamicSettings =>
      new Map(
        [...settings].filter(([name, text]) => {
          const mistake = settingMistake(name, text);
          if (mistake !== undefined) mistakes.push(mistake);
          return mistake === undefined;
        }),
      );
    const next = { broker: legal(layers.broker), cluster: legal(layers.cluster) };
    const before = this.#now;
    try {
      this.#now = withLayers(this.base, next);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      // Each is legal, but not beside the others: as before, rather than with some of them.
      return [...mistakes, error.message];
    }
    this.#layers = next;
    for (const listener of this.#listeners) listener(before);
    return mistakes;
  }
}

/** Why the setting cannot have this value at run time, if so. */
export function settingMistake(name: string, text: string): string | undefined {
  const definition = BROKER_DEFINITIONS.get(name);
  if (definition === undefined || !isDynamic(name)) {
    return `${name} cannot be changed while the broker runs: set it in its file and restart it`;
  }
  try {
    definition.parse(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigValueError)) throw error;
    return error.message;
  }
}

/** Throws BrokerError INVALID_CONFIG for values that contradict each other. */
export function withLayers(base: BrokerConfig, { broker, cluster }: DynamicLayers): BrokerConfig {
  if (broker.size === 0 && cluster.size === 0) return base;
  const entries = new Map(base.entries);
  for (const [name, text] of [...cluster, ...broker]) {
    entries.set(name, { text, source: 'dynamic', where: 'a change at run time' });
  }
  const topicDefaults = topicDefaultsOf(entries);
  parseTopicSettings(new Map(), topicDefaults);
  const isOwn = [...broker.keys(), ...cluster.keys()].some((name) => Object.hasOwn(BROKER_CONFIGS, name));
  const settings = isOwn ? parseSettings(entries) : base.settings;
  return Object.freeze({ ...base, settings, topicDefaults, entries });
}

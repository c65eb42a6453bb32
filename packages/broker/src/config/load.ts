import {
  BROKER_DEFINITIONS,
  parseSettings,
  topicDefaultsOf,
  type BrokerConfig,
  type ConfigEntry,
  type ConfigSource,
} from './broker-config.ts';
import { ConfigValueError, type ConfigDefinition } from './definition.ts';
import { LISTENER_CONFIGS } from './listener-definitions.ts';
import { listenersOf, overrideName, parseOverride } from './listeners.ts';
import { didYouMean } from './suggest.ts';
import { parseTopicSettings } from './topic-config.ts';

export const ENVIRONMENT_PREFIX = 'POLYLOG_';
/** The first names the file; the other one is for the command line, and a shell that exports it may start brokers too. */
const NO_SETTINGS: ReadonlySet<string> = new Set(['POLYLOG_CONFIG', 'POLYLOG_BOOTSTRAP']);

/** One setting as some source names it; `name` may be in any of the spellings that {@link canonicalName} knows. */
export interface RawSetting {
  readonly name: string;
  readonly text: string;
  readonly source: ConfigSource;
  readonly where: string;
}

/** What is wrong with a configuration, one line per mistake. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'));
    this.mistakes = mistakes;
  }
}

/**
 * Puts sources together, the later ones over the earlier ones, and validates the result.
 * Throws {@link ConfigError} with all mistakes.
 */
export function resolveConfig(settings: readonly RawSetting[]): BrokerConfig {
  const mistakes: string[] = [];
  const entries = new Map<string, ConfigEntry>();
  for (const { name, text, source, where } of settings) {
    const canonical = canonicalName(name);
    if (canonical === undefined) {
      mistakes.push(`${where}: unknown setting ${name}${didYouMean(name, BROKER_DEFINITIONS.keys())}`);
      continue;
    }
    try {
      definitionOf(canonical).parse(text);
    } catch (error) {
      if (!(error instanceof ConfigValueError)) throw error;
      mistakes.push(`${where}: ${error.message}`);
      continue;
    }
    entries.set(canonical, { text: text.trim(), source, where });
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  const listeners = listenersOf(entries, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  const topicDefaults = topicDefaultsOf(entries);
  parseTopicSettings(new Map(), topicDefaults);
  return Object.freeze({ settings: parseSettings(entries), topicDefaults, listeners, entries });
}

/** `POLYLOG_…` variables as settings, but for those of {@link NO_SETTINGS}. */
export function environmentSettings(environment: Readonly<Record<string, string | undefined>>): RawSetting[] {
  return Object.entries(environment).flatMap(([variable, text]) => {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || text === undefined) return [];
    if (NO_SETTINGS.has(variable)) return [];
    const name = variable.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('_', '.');
    return [{ name, text, source: 'environment' as const, where: variable }];
  });
}

let namesBySpelling: Map<string, string> | undefined;

/** The setting's own name for any spelling: letter case, and `.`, `-` and `_` for each other. */
export function canonicalName(name: string): string | undefined {
  namesBySpelling ??= new Map([...BROKER_DEFINITIONS.keys()].map((known) => [spelling(known), known]));
  const known = namesBySpelling.get(spelling(name));
  if (known !== undefined) return known;
  const override = parseOverride(name);
  return override === undefined ? undefined : overrideName(override);
}

/** Of a name in its canonical form. */
function definitionOf(name: string): ConfigDefinition<unknown> {
  const override = parseOverride(name);
  return override === undefined ? BROKER_DEFINITIONS.get(name)! : LISTENER_CONFIGS[override.setting];
}

function spelling(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '.');
}

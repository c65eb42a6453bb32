import { topicConfigDefinitions } from './topic-config-definitions.ts';

/**
 * The broker's own settings that can be changed while it runs, where Kafka's can too, and the level of its log. The others are read at the start only: what they size or
 * open is not made anew.
 */
const DYNAMIC_SETTINGS: ReadonlySet<string> = new Set([
  'log-level',
  'max.connections',
  'max.connections.per.ip',
  'max.connection.creation.rate',
  'log.cleaner.backoff.ms',
  'log.cleaner.dedupe.buffer.size',
  'log.cleaner.io.max.bytes.per.second',
  'producer.id.expiration.ms',
  'sasl.kerberos.min.time.before.relogin',
]);

/** Whether it is one of those, and not the default of a topic. */
export function isDynamicSetting(name: string): boolean {
  return DYNAMIC_SETTINGS.has(name);
}

let defaultsOfTopics: ReadonlySet<string> | undefined;

/** Whether it can be changed at run time: those above, and the defaults of topics. */
export function isDynamic(name: string): boolean {
  defaultsOfTopics ??= new Set(topicConfigDefinitions().flatMap(({ brokerSynonym }) => brokerSynonym ?? []));
  return isDynamicSetting(name) || defaultsOfTopics.has(name);
}

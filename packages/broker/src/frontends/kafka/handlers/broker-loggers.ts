import type { LiveConfig } from '../../../config/live-config.ts';
import type { ConfigOperation } from '../../../config/operations.ts';
import { ItemRefusal } from './admin-requests.ts';
import type { ShownConfig } from './config-entries.ts';

/*
 * The loggers of a broker as configs (KIP-412). There is one, `root`, whose level is the broker's setting `log-level`: it is kept, where Kafka's
 * levels last until the next start.
 */
const ROOT = 'root';
const SETTING = 'log-level';
/** KIP-226's number of levels of loggers. */
const SOURCE_LOGGER = 6;
const TYPE_STRING = 2;

/** Kafka's names; TRACE is more than there is, and FATAL would only be what ends the broker. */
const LEVELS: ReadonlyMap<string, string> = new Map([
  ['TRACE', 'debug'],
  ['DEBUG', 'debug'],
  ['INFO', 'info'],
  ['WARN', 'warn'],
  ['ERROR', 'error'],
  ['FATAL', 'silent'],
]);

export function brokerLoggerEntries({ settings }: LiveConfig): ShownConfig[] {
  const level = settings[SETTING];
  return [
    {
      name: ROOT,
      value: level === 'silent' ? 'FATAL' : level.toUpperCase(),
      readOnly: false,
      configSource: SOURCE_LOGGER,
      isSensitive: false,
      synonyms: [],
      configType: TYPE_STRING,
      documentation: `The least level of messages that are logged: the broker's ${SETTING}.`,
    },
  ];
}

/** The change of the broker's setting that a change of its loggers stands for. Throws ItemRefusal. */
export function settingOfLogger({ name, operation, value }: ConfigOperation): ConfigOperation {
  if (name !== ROOT)
    throw new ItemRefusal('INVALID_CONFIG', `There is no logger ${name}: there is only ${ROOT}`);
  if (operation !== 'set' || value === undefined) {
    throw new ItemRefusal('INVALID_REQUEST', `The level of the logger ${ROOT} can be set, and nothing else`);
  }
  const level = LEVELS.get(value);
  if (level === undefined) {
    const known = [...LEVELS.keys()].join(', ');
    throw new ItemRefusal('INVALID_CONFIG', `${value} is no level: there are ${known}`);
  }
  return { name: SETTING, operation, value: level };
}

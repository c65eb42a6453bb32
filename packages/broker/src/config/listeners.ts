import type { ConfigEntry } from './broker-config.ts';
import { ADDRESS_LEGAL, parseAddress, splitList, type Address } from './definition.ts';
import { LISTENER_CONFIGS, type ListenerSettings } from './listener-definitions.ts';

export const SECURITY_MODES = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
export type SecurityMode = (typeof SECURITY_MODES)[number];

/** The name of the only listener where the setting `listeners` is not used. */
export const DEFAULT_LISTENER = 'kafka';
const DEFAULT_ADDRESS: Address = { host: '127.0.0.1', port: 9092 };

/** A door of the broker. */
export interface ListenerConfig {
  /** As it was written; names that differ in case only are the same. */
  readonly name: string;
  /** What is spoken there. */
  readonly protocol: 'kafka';
  readonly security: SecurityMode;
  /** Where it listens. */
  readonly address: Address;
  /** Where clients are told to connect, if that differs. */
  readonly advertised: Address | undefined;
  readonly settings: ListenerSettings;
}

export function usesTls(security: SecurityMode): boolean {
  return security === 'SSL' || security === 'SASL_SSL';
}

export function usesSasl(security: SecurityMode): boolean {
  return security === 'SASL_PLAINTEXT' || security === 'SASL_SSL';
}

const OVERRIDE_PREFIX = 'listener.name.';

/** The spelling by which names are compared: environment variables have neither case nor dashes. */
function spelling(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '.');
}

const OVERRIDABLE = new Map(Object.keys(LISTENER_CONFIGS).map((name) => [spelling(name), name]));

export interface Override {
  /** In {@link spelling}. */
  readonly listener: string;
  readonly setting: keyof ListenerSettings;
}

/** What `listener.name.NAME.SETTING` is about, in any spelling; undefined for other names. */
export function parseOverride(name: string): Override | undefined {
  const spelled = spelling(name);
  if (!spelled.startsWith(OVERRIDE_PREFIX)) return undefined;
  const rest = spelled.slice(OVERRIDE_PREFIX.length);
  // The longest setting that fits: names of listeners may have dots in this spelling.
  for (let dot = rest.indexOf('.'); dot >= 0; dot = rest.indexOf('.', dot + 1)) {
    const setting = OVERRIDABLE.get(rest.slice(dot + 1));
    if (setting !== undefined && dot > 0) {
      return { listener: rest.slice(0, dot), setting: setting as keyof ListenerSettings };
    }
  }
  return undefined;
}

export function overrideName({ listener, setting }: Override): string {
  return `${OVERRIDE_PREFIX}${listener}.${setting}`;
}

const LISTENER_PATTERN = /^(?<name>[A-Za-z][A-Za-z0-9_-]{0,99}):\/\/(?<address>.+)$/;
const LISTENERS_LEGAL = `NAME://HOST:PORT, several with commas between: ${ADDRESS_LEGAL}`;

/** `NAME://HOST:PORT,…`, each name once. Undefined if it is something else. */
export function parseListeners(text: string): ReadonlyMap<string, Address> | undefined {
  const parsed = new Map<string, Address>();
  const names = new Set<string>();
  for (const item of splitList(text)) {
    const { name, address: written } = LISTENER_PATTERN.exec(item)?.groups ?? {};
    const address = written === undefined ? undefined : parseAddress(written);
    if (name === undefined || address === undefined || names.has(spelling(name))) return undefined;
    names.add(spelling(name));
    parsed.set(name, address);
  }
  return parsed.size === 0 ? undefined : parsed;
}

/** `NAME:MODE,…`. Undefined if it is something else. */
export function parseSecurityMap(text: string): ReadonlyMap<string, SecurityMode> | undefined {
  const parsed = new Map<string, SecurityMode>();
  for (const item of splitList(text)) {
    const [name, written, ...more] = item.split(':');
    const mode = SECURITY_MODES.find((one) => one === written?.toUpperCase());
    if (name === undefined || name === '' || mode === undefined || more.length > 0) return undefined;
    parsed.set(spelling(name), mode);
  }
  return parsed;
}

export const LISTENERS_FORM = { legal: LISTENERS_LEGAL, parse: parseListeners };

/** The listeners that a configuration asks for. Adds to the mistakes what does not fit together. */
export function listenersOf(
  entries: ReadonlyMap<string, ConfigEntry>,
  mistakes: string[],
): readonly ListenerConfig[] {
  const { addresses, advertised, from } = doors(entries, mistakes);
  const modes = parseSecurityMap(entries.get('listener.security.protocol.map')?.text ?? '') ?? new Map();
  const spelled = new Map([...addresses.keys()].map((name) => [spelling(name), name]));
  for (const [name, { where }] of entries) {
    const override = parseOverride(name);
    if (override !== undefined && !spelled.has(override.listener)) {
      const known = [...addresses.keys()].join(', ');
      mistakes.push(`${where}: there is no listener ${override.listener}, only ${known}`);
    }
  }
  for (const name of advertised.keys()) {
    if (!spelled.has(name)) mistakes.push(`${from}: there is no listener ${name} to advertise`);
  }
  return [...addresses].flatMap(([name, address]): ListenerConfig[] => {
    const security = modes.get(spelling(name)) ?? modeNamed(name);
    if (security === undefined) {
      mistakes.push(
        `${from}: nothing says how the listener ${name} is secured: ` +
          `add ${name}:${SECURITY_MODES.join('|')} to listener.security.protocol.map`,
      );
      return [];
    }
    const listener: ListenerConfig = {
      name,
      protocol: 'kafka',
      security,
      address,
      advertised: advertised.get(spelling(name)),
      settings: settingsOf(entries, spelling(name)),
    };
    const mistake = twiceGiven(listener) ?? whatIsMissing(listener);
    if (mistake !== undefined) mistakes.push(`${from}: the listener ${name} is ${security}: ${mistake}`);
    return [listener];
  });
}

interface Doors {
  readonly addresses: ReadonlyMap<string, Address>;
  /** By spelling. */
  readonly advertised: ReadonlyMap<string, Address>;
  /** Where it was said. */
  readonly from: string;
}

/** Either the one-line settings, or Kafka's. */
function doors(entries: ReadonlyMap<string, ConfigEntry>, mistakes: string[]): Doors {
  const many = entries.get('listeners');
  if (many === undefined) {
    const one = entries.get('kafka');
    const advertised = entries.get('advertised.kafka');
    const misplaced = entries.get('advertised.listeners');
    if (misplaced !== undefined) {
      mistakes.push(
        `${misplaced.where}: advertised.listeners goes with listeners; beside kafka it is advertised.kafka`,
      );
    }
    return {
      addresses: new Map([[DEFAULT_LISTENER, one === undefined ? DEFAULT_ADDRESS : parseAddress(one.text)!]]),
      advertised: new Map(
        advertised === undefined ? [] : [[DEFAULT_LISTENER, parseAddress(advertised.text)!]],
      ),
      from: one?.where ?? 'kafka',
    };
  }
  for (const name of ['kafka', 'advertised.kafka']) {
    const entry = entries.get(name);
    if (entry !== undefined) {
      mistakes.push(
        `${entry.where}: ${name} and listeners exclude each other: name every listener in listeners`,
      );
    }
  }
  const advertised =
    parseListeners(entries.get('advertised.listeners')?.text ?? '') ?? new Map<string, Address>();
  return {
    addresses: parseListeners(many.text)!,
    advertised: new Map([...advertised].map(([name, address]) => [spelling(name), address])),
    from: many.where,
  };
}

function modeNamed(name: string): SecurityMode | undefined {
  return name === DEFAULT_LISTENER
    ? 'PLAINTEXT'
    : SECURITY_MODES.find((mode) => spelling(mode) === spelling(name));
}

/** What holds for the listener: its own settings over those for all. */
function settingsOf(entries: ReadonlyMap<string, ConfigEntry>, listener: string): ListenerSettings {
  const parsed: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(LISTENER_CONFIGS)) {
    const setting = name as keyof ListenerSettings;
    const own = entries.get(overrideName({ listener, setting }));
    const text = own?.text ?? entries.get(name)?.text ?? definition.defaultText;
    parsed[name] = text === null ? undefined : definition.parse(text);
  }
  // Each value comes from the definition of the same name, which is what the type says.
  return Object.freeze(parsed) as ListenerSettings;
}

/** In a text and in a file. One of them may be for all listeners, and the other for this one: nothing says which is meant. */
const EXCLUSIVE = [
  ['ssl.keystore.certificate.chain', 'ssl.keystore.location'],
  ['ssl.keystore.key', 'ssl.key.location'],
  ['ssl.truststore.certificates', 'ssl.truststore.location'],
] as const;

function twiceGiven({ security, settings }: ListenerConfig): string | undefined {
  if (!usesTls(security)) return undefined;
  const twice = EXCLUSIVE.find(
    ([text, file]) => settings[text] !== undefined && settings[file] !== undefined,
  );
  return twice === undefined ? undefined : `${twice.join(' and ')} exclude each other`;
}

function whatIsMissing({ security, settings }: ListenerConfig): string | undefined {
  if (usesTls(security)) {
    const chain = settings['ssl.keystore.certificate.chain'];
    if (settings['ssl.keystore.location'] === undefined && chain === undefined) {
      return 'ssl.keystore.location has to name a PEM file with its certificate and private key';
    }
    if (chain !== undefined && settings['ssl.keystore.key'] === undefined) {
      return 'ssl.keystore.certificate.chain needs ssl.keystore.key beside it';
    }
    const trusts = settings['ssl.truststore.location'] ?? settings['ssl.truststore.certificates'];
    if (settings['ssl.client.auth'] !== 'none' && trusts === undefined) {
      return 'ssl.client.auth needs ssl.truststore.location, a PEM file with the authorities that are trusted';
    }
  }
  const usesTokens = usesSasl(security) && settings['sasl.enabled.mechanisms'].includes('OAUTHBEARER');
  if (usesTokens && settings['sasl.oauthbearer.jwks.endpoint.url'] === undefined) {
    return 'OAUTHBEARER needs sasl.oauthbearer.jwks.endpoint.url';
  }
  return undefined;
}

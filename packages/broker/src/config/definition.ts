/** One setting: its name, what is legal, and what it is for. Values are text, as in files, environment and Kafka's protocol, until they are parsed. */
export interface ConfigDefinition<T> {
  readonly name: string;
  /** Kafka's type names, for DescribeConfigs. */
  readonly type: 'boolean' | 'string' | 'int' | 'long' | 'double' | 'list' | 'password';
  /** `null`: unset, where the parsed value has a rule of its own. */
  readonly defaultText: string | null;
  /** `ms`, `bytes`, … where the name does not end in it. */
  readonly unit: string | undefined;
  readonly importance: 'high' | 'medium' | 'low';
  readonly documentation: string;
  /** Its value is a secret: nobody is shown it, and no message quotes it. */
  readonly isSensitive: boolean;
  /** What a legal value is, to complete the sentence "must be …". */
  readonly legal: string;
  /** Throws {@link ConfigValueError}. */
  parse(text: string): T;
}

/** A value that its definition refuses. */
export class ConfigValueError extends Error {
  override readonly name = 'ConfigValueError';

  /** `text` is left out for a secret. */
  constructor(name: string, text: string | undefined, legal: string) {
    super(`${name} must be ${legal}${text === undefined ? '' : `, not ${JSON.stringify(text)}`}`);
  }
}

interface Common {
  readonly default: string | null;
  readonly unit?: string;
  readonly importance?: 'high' | 'medium' | 'low';
  readonly documentation: string;
}

const INT_MAX = 2_147_483_647;
const LONG_MAX = 9_223_372_036_854_775_807n;
const INTEGER_PATTERN = /^[+-]?\d{1,19}$/;

/** Integers within Java's int or long; those beyond 2^53 become the nearest double, which serves as "no limit". */
export function integer(
  name: string,
  options: Common & { readonly type: 'int' | 'long'; readonly min: number; readonly max?: number },
): ConfigDefinition<number> {
  const max = options.max ?? (options.type === 'int' ? INT_MAX : Number(LONG_MAX));
  const unbounded = options.max === undefined && options.type === 'long';
  const legal = unbounded
    ? `an integer of at least ${options.min}`
    : `an integer from ${options.min} to ${max}`;
  return define(name, options, options.type, legal, (text) => {
    if (!INTEGER_PATTERN.test(text)) return undefined;
    const big = BigInt(text);
    const value = Number(big);
    return value < options.min || big > LONG_MAX || value > max ? undefined : value;
  });
}

export function boolean(name: string, options: Common): ConfigDefinition<boolean> {
  return define(name, options, 'boolean', 'true or false', (text) => {
    const lower = text.toLowerCase();
    return lower === 'true' ? true : lower === 'false' ? false : undefined;
  });
}

export function decimal(
  name: string,
  options: Common & { readonly min: number; readonly max: number },
): ConfigDefinition<number> {
  const legal = `a number from ${options.min} to ${options.max}`;
  return define(name, options, 'double', legal, (text) => {
    const value = text === '' ? Number.NaN : Number(text);
    return value >= options.min && value <= options.max ? value : undefined;
  });
}

export function oneOf<const T extends string>(
  name: string,
  options: Common & { readonly values: readonly T[] },
): ConfigDefinition<T> {
  return define(name, options, 'string', `one of ${options.values.join(', ')}`, (text) =>
    options.values.find((value) => value === text),
  );
}

/** Any text that the pattern allows. */
export function pattern(
  name: string,
  options: Common & { readonly pattern: RegExp; readonly legal: string },
): ConfigDefinition<string> {
  return define(name, options, 'string', options.legal, (value) =>
    options.pattern.test(value) ? value : undefined,
  );
}

/** A URL that everybody may read: none with a user or a password in it, and no message quotes such a one. */
export function url(
  name: string,
  options: Common & { readonly protocols: readonly string[] },
): ConfigDefinition<string> {
  const { protocols } = options;
  const legal = `a URL of ${protocols.join(' or ')}, without a user and a password in it`;
  const common = { ...options, hides: (text: string) => text.includes('@') };
  return define(name, common, 'string', legal, (text) => {
    const { protocol, username, password } = URL.parse(text) ?? {};
    const isLegal = protocols.some((one) => protocol === `${one}:` && text.startsWith(`${one}://`));
    return isLegal && username === '' && password === '' ? text : undefined;
  });
}

/** Text that nobody may read: it is neither shown nor logged. */
export function secret(
  name: string,
  options: Common & { readonly pattern: RegExp; readonly legal: string },
): ConfigDefinition<string> {
  return define(name, options, 'password', options.legal, (value) =>
    options.pattern.test(value) ? value : undefined,
  );
}

/** Comma-separated values, each at most once. */
export function list(
  name: string,
  options: Common & { readonly item: RegExp; readonly legal: string; readonly nonEmpty?: boolean },
): ConfigDefinition<readonly string[]> {
  return define(name, options, 'list', options.legal, (value) => {
    const items = splitList(value);
    if (options.nonEmpty === true && items.length === 0) return undefined;
    const valid = items.every((item) => options.item.test(item)) && new Set(items).size === items.length;
    return valid ? items : undefined;
  });
}

/** The same with a form of its own; `parse` returns undefined for what is not legal. */
export function secretForm<T>(
  name: string,
  options: Common & { readonly legal: string; readonly parse: (text: string) => T | undefined },
): ConfigDefinition<T> {
  return define(name, options, 'password', options.legal, options.parse);
}

/** Some of these values, at least one, each at most once. */
export function someOf<const T extends string>(
  name: string,
  options: Common & { readonly values: readonly T[] },
): ConfigDefinition<readonly T[]> {
  return define(name, options, 'list', `some of ${options.values.join(', ')}`, (text) => {
    const items = splitList(text);
    const known = options.values.filter((value) => items.includes(value));
    return known.length === items.length && known.length > 0 ? known : undefined;
  });
}

/** A list whose items have a form of their own; `parse` returns undefined for what is not legal. */
export function form<T>(
  name: string,
  options: Common & { readonly legal: string; readonly parse: (text: string) => T | undefined },
): ConfigDefinition<T> {
  return define(name, options, 'list', options.legal, options.parse);
}

/** Surrounding blanks do not count; an empty text is an empty list. */
export function splitList(value: string): string[] {
  const trimmed = value.trim();
  return trimmed === '' ? [] : trimmed.split(',').map((item) => item.trim());
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

const ADDRESS_PATTERN = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]]*)):(\d{1,5})$/;
const PORT_MAX = 65_535;

export const ADDRESS_LEGAL = 'HOST:PORT, with a port from 0 (any free one) to 65535';

export function address(name: string, options: Common): ConfigDefinition<Address> {
  return define(name, options, 'string', ADDRESS_LEGAL, parseAddress);
}

/** `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for all interfaces; port 0 takes a free one. Undefined if it is something else. */
export function parseAddress(text: string): Address | undefined {
  const match = ADDRESS_PATTERN.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  const host = match[1] ?? match[2] ?? '';
  return port > PORT_MAX ? undefined : Object.freeze({ host: host === '' ? '0.0.0.0' : host, port });
}

/** A definition whose value may be left out. */
export function optional<T>(definition: ConfigDefinition<T>): ConfigDefinition<T | undefined> {
  return { ...definition, defaultText: null };
}

function define<T>(
  name: string,
  common: Common & { readonly hides?: (text: string) => boolean },
  type: ConfigDefinition<T>['type'],
  legal: string,
  parse: (text: string) => T | undefined,
): ConfigDefinition<T> {
  return {
    name,
    type,
    defaultText: common.default,
    unit: common.unit,
    importance: common.importance ?? 'medium',
    documentation: common.documentation,
    isSensitive: type === 'password',
    legal,
    parse: (value) => {
      const parsed = parse(value.trim());
      if (parsed !== undefined) return parsed;
      const isHidden = type === 'password' || common.hides?.(value) === true;
      throw new ConfigValueError(name, isHidden ? undefined : value, legal);
    },
  };
}

/** The options of the repository's commands (`npm run sim -- --seed 3`): one way to read them, to list them for `--help`, and to refuse what is wrong. */
import process from 'node:process';
import { parseArgs } from 'node:util';

const COLUMN_GAP = 3;
/** Choices that are longer together stand below their option, and not in its line. */
const CHOICES_CHARACTERS_MAX = 60;
const LINE_CHARACTERS_MAX = 100;
/** What a command that was called wrongly exits with. */
const EXIT_USAGE = 2;

/** A mistake of whoever called the command. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

/** One option; V is what becomes of its text, or of its absence. */
export interface Option<V> {
  /** What stands behind its name, such as `N`; undefined for one that is given or not. */
  readonly hint: string | undefined;
  readonly help: string;
  /** What it may be, where those are too many for its line. */
  readonly choices?: readonly string[] | undefined;
  /** Throws {@link OptionError}; `name` with its dashes. */
  read(name: string, text: string | undefined): V;
}

export interface CommandDescription<O> {
  /** As in `npm run NAME`. */
  readonly command: string;
  readonly summary: string;
  readonly options: O;
  /** Arguments that show what it can do. */
  readonly examples?: readonly string[];
}

type Options = Readonly<Record<string, Option<unknown>>>;
type Values<O extends Options> = { readonly [N in keyof O]: ReturnType<O[N]['read']> };

export function flag(help: string): Option<boolean> {
  return { hint: undefined, help, read: (_name, text) => text !== undefined };
}

interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  /** Where the default is none to show. */
  readonly defaultText?: string;
}

/** A whole number. */
export function integer(help: string, options: NumberRange & { readonly default: number }): Option<number>;
export function integer(help: string, options?: NumberRange): Option<number | undefined>;
export function integer(
  help: string,
  options: NumberRange & { readonly default?: number } = {},
): Option<number | undefined> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options;
  const upTo = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return {
    hint: 'N',
    help: withDefault(help, options.defaultText ?? options.default?.toString()),
    read(name, text) {
      if (text === undefined) return options.default;
      const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
      if (value >= min && value <= max) return value;
      throw new OptionError(`${name} wants a whole number ${upTo}, not ${JSON.stringify(text)}`);
    },
  };
}

/** A seed of chance; where it is not given, another one each time. */
export function seedOption(help: string): Option<number> {
  return integer(help, { default: Date.now() % 1_000_000, defaultText: 'another one each time' });
}

export function text(
  help: string,
  options: { readonly hint: string; readonly default: string },
): Option<string>;
export function text(help: string, options: { readonly hint: string }): Option<string | undefined>;
export function text(
  help: string,
  options: { readonly hint: string; readonly default?: string },
): Option<string | undefined> {
  return {
    hint: options.hint,
    help: withDefault(help, options.default),
    read: (_name, given) => given ?? options.default,
  };
}

export function oneOf<const T extends string>(
  help: string,
  options: { readonly values: readonly T[]; readonly default: T },
): Option<T>;
export function oneOf<const T extends string>(
  help: string,
  options: { readonly values: readonly T[] },
): Option<T | undefined>;
export function oneOf<const T extends string>(
  help: string,
  options: { readonly values: readonly T[]; readonly default?: T },
): Option<T | undefined> {
  const { values } = options;
  return {
    hint: areMany(values) ? 'NAME' : values.join('|'),
    help: withDefault(help, options.default),
    choices: areMany(values) ? values : undefined,
    read: (name, given) => (given === undefined ? options.default : known(name, given, values)),
  };
}

/** Some of these values, with commas between. */
export function someOf<const T extends string>(
  help: string,
  options: { readonly values: readonly T[]; readonly default: readonly T[] },
): Option<readonly T[]> {
  const { values } = options;
  return {
    hint: 'A,B',
    help: withDefault(areMany(values) ? help : `${help}: ${values.join(', ')}`, options.default.join()),
    choices: areMany(values) ? values : undefined,
    read: (name, given) =>
      given === undefined ? options.default : given.split(',').map((one) => known(name, one, values)),
  };
}

function areMany(values: readonly string[]): boolean {
  return values.join('|').length > CHOICES_CHARACTERS_MAX;
}

function known<T extends string>(name: string, given: string, values: readonly T[]): T {
  const found = values.find((value) => value === given);
  if (found !== undefined) return found;
  const legal = areMany(values) ? 'the names that the help lists' : values.join(', ');
  throw new OptionError(`${name} wants one of ${legal}, not ${JSON.stringify(given)}`);
}

function withDefault(help: string, value: string | undefined): string {
  return value === undefined ? help : `${help} (${value})`;
}

/** What the arguments say, or `help` where they ask for it. Throws {@link OptionError}. */
export function readOptions<O extends Options>(options: O, args: readonly string[]): Values<O> | 'help' {
  const read: Record<string, unknown> = {};
  const given = givenOf(options, args);
  if (given['help'] === true) return 'help';
  for (const [name, option] of Object.entries(options)) {
    const value = given[name];
    read[name] = option.read(`--${name}`, value === undefined ? undefined : String(value));
  }
  // Each value comes from the option of the same name, which is what the type says.
  return read as Values<O>;
}

function givenOf(
  options: Options,
  args: readonly string[],
): Readonly<Record<string, string | boolean | undefined>> {
  const types = Object.entries(options).map(
    ([name, { hint }]) => [name, { type: hint === undefined ? 'boolean' : 'string' }] as const,
  );
  try {
    return parseArgs({
      args: [...args],
      options: { ...Object.fromEntries(types), help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    // Node's own hints are long, and about options that begin in odd ways.
    if (!(error instanceof TypeError)) throw error;
    const [line] = error.message.split(/\n|\. /);
    throw new OptionError(line!.replace(/\.$/, ''), { cause: error });
  }
}

export function usageOf({ command, summary, options, examples = [] }: CommandDescription<Options>): string {
  const all: Options = { ...options, help: flag('prints this') };
  const rows = Object.entries(all).map(([name, { hint, help, choices = [] }]) => ({
    left: hint === undefined ? `--${name}` : `--${name} ${hint}`,
    help,
    choices,
  }));
  const width = Math.max(...rows.map(({ left }) => left.length)) + COLUMN_GAP;
  const lines = [
    `Usage: npm run ${command} -- [options]`,
    '',
    summary,
    '',
    ...rows.flatMap(({ left, help, choices }) =>
      [`  ${left.padEnd(width)}${help}`].concat(wrapped(choices, '      ')),
    ),
    ...(examples.length === 0 ? [] : ['', ...examples.map((args) => `  npm run ${command} -- ${args}`)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Lines of words with commas between. */
function wrapped(words: readonly string[], indent: string): string[] {
  const lines: string[] = [];
  for (const [index, word] of words.entries()) {
    const item = index < words.length - 1 ? `${word},` : word;
    const longer = `${lines.at(-1)} ${item}`;
    if (lines.length === 0 || longer.length > LINE_CHARACTERS_MAX) lines.push(indent + item);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** The options that this process was called with. Ends it after printing the help, code 0, or one line that says what is wrong, code 2. */
export function commandOptions<O extends Options>(description: CommandDescription<O>): Values<O> {
  try {
    const values = readOptions(description.options, process.argv.slice(2));
    if (values !== 'help') return values;
    process.stdout.write(usageOf(description));
    process.exit(0);
  } catch (error) {
    endOnMistake(description.command, error);
  }
}

/** For mistakes that only the command itself can see: ends the process as {@link commandOptions} does. Throws what is none of them. */
export function endOnMistake(command: string, error: unknown): never {
  if (!(error instanceof OptionError)) throw error;
  process.stderr.write(`${command}: ${error.message}; npm run ${command} -- --help lists the options\n`);
  process.exit(EXIT_USAGE);
}

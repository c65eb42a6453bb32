/** What people write on command lines: whole numbers, durations, points in time, name=value. All throw InvalidArgumentError. */
import { InvalidArgumentError } from 'commander';

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A parser for whole numbers of at least `min`. */
export function integer(min = 0, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Give a whole number ${range}.`);
  };
}

/** As {@link integer}, for an option that may be repeated or take a list with commas between. */
export function integers(min = 0): (text: string, previous?: readonly number[]) => number[] {
  const one = integer(min);
  return (text, previous = []) => [...previous, ...text.split(',').map(one)];
}

/** `500ms`, `90s`, `1h30m`, `7d`, `2w` in ms. */
export function duration(text: string): number {
  if (/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(text)) {
    let sumMs = 0;
    for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
      sumMs += Number(count) * DURATION_UNITS_MS[unit!]!;
    }
    if (Number.isSafeInteger(Math.round(sumMs))) return Math.round(sumMs);
  }
  throw new InvalidArgumentError('Give a duration, such as 500ms, 90s, 1h30m or 7d.');
}

/** What timers and Kafka's requests hold: nearly 25 days. */
const PATIENCE_MS_MAX = 2 ** 31 - 1;

/** A {@link duration} to wait for something. */
export function patience(text: string): number {
  const ms = duration(text);
  if (ms >= 1 && ms <= PATIENCE_MS_MAX) return ms;
  throw new InvalidArgumentError('Give a duration from 1ms to 24d.');
}

/** An ISO 8601 date or date and time (local without a zone, as Date reads it, but for a bare date: UTC), or ms since the epoch; in ms. */
export function pointInTime(text: string): number {
  const ms = /^\d{10,}$/.test(text) ? Number(text) : isoTime(text);
  if (Number.isSafeInteger(ms)) return ms;
  throw new InvalidArgumentError(
    'Give a date, such as 2026-11-25, 2026-11-25T18:30 or 2026-11-25T18:30:00Z, or milliseconds since 1970.',
  );
}

function isoTime(text: string): number {
  return /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/.test(text)
    ? Date.parse(text.replace(' ', 'T'))
    : NaN;
}

export interface NameValue {
  readonly name: string;
  readonly value: string;
}

/** `name=value`, for options that may be repeated and for arguments. The value may be empty and may contain `=`. */
export function nameValue(text: string, previous: readonly NameValue[] = []): NameValue[] {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('Give NAME=VALUE.');
  return [...previous, { name: text.slice(0, at), value: text.slice(at + 1) }];
}

/** Strings of an option that may be repeated. */
export function collect(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text];
}

/** As collect, and with commas between. */
export function names(text: string, previous: readonly string[] = []): string[] {
  return [...previous, ...text.split(',').filter((name) => name !== '')];
}

/** Messages per second: `100`, `100/s`, `6000/m`. */
export function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/([smh]))?$/.exec(text);
  const perSecond = (Number(match?.[1] ?? NaN) * 1000) / DURATION_UNITS_MS[match?.[2] ?? 's']!;
  if (perSecond > 0) return perSecond;
  throw new InvalidArgumentError('Give messages per second, such as 100, or 6000/m.');
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '0': '\0', '\\': '\\' };

/** Replaces \n, \r, \t, \0, \\ and \xHH, which are awkward to type in a shell. */
export function unescape(text: string): string {
  return text.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|([nrt0\\]))/g,
    (_, hex: string | undefined, letter: string) =>
      hex === undefined ? ESCAPES[letter]! : String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}

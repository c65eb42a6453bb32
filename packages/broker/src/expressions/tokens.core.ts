/** What a regular expression of RE2 consists of. A malformed one has tokens too: its fault is for RE2 to find. */
export type Token =
  /** One character. */
  | { readonly kind: 'text'; readonly character: string }
  /** One character out of many: `.`, `[a-z]`, `\w`, `\pL`. */
  | { readonly kind: 'class'; readonly content: ClassContent }
  /** `^`, `\b`: no character. */
  | { readonly kind: 'place' }
  | { readonly kind: 'open'; readonly captures: boolean }
  | { readonly kind: 'bar' }
  | { readonly kind: 'close' }
  /** Of what stands before it. */
  | { readonly kind: 'repeat'; readonly least: number; readonly most: number };

export interface ClassContent {
  /** In brackets. */
  readonly isList: boolean;
  /** Single characters, ranges, and small classes such as `\d`. */
  readonly items: number;
  /** Classes of Unicode: `\pL`, `\p{Greek}`. */
  readonly properties: number;
  /** Characters in its ranges, together. */
  readonly span: number;
}

const REPETITION = /\{(\d{1,9})(?:(,)(\d{0,9}))?\}/y;
const PROPERTY = /\\[pP](?:\{[^}]*\}|[^]?)/y;
const CHARACTER = /\\x\{([0-9a-fA-F]{1,8})\}|\\x([0-9a-fA-F]{2})|\\([0-7]{1,3})/y;
const NAMED_CLASS = /\[:[^\]]*:\]/y;
/** `(?:`, `(?i-s:`, and `(?i)`, which opens no group. */
const FLAGS = /\(\?([a-zA-Z-]*)([:)])/y;
const ANY: ClassContent = { isList: false, items: 1, properties: 0, span: 0 };

/** Reads an expression from left to right, once. Never throws. */
export function* tokensOf(expression: string): Generator<Token> {
  let at = 0;
  while (at < expression.length) {
    if (expression.startsWith('\\Q', at)) {
      const end = expression.indexOf('\\E', at + 2);
      const quoted = expression.slice(at + 2, end === -1 ? undefined : end);
      for (const character of quoted) yield { kind: 'text', character };
      at = end === -1 ? expression.length : end + 2;
      continue;
    }
    const { token, end } = tokenAt(expression, at);
    if (token !== undefined) yield token;
    at = end;
    if (token?.kind === 'repeat' && expression[at] === '?') at++;
  }
}

interface Read {
  /** Undefined: what stands there is nothing by itself. */
  readonly token: Token | undefined;
  readonly end: number;
}

function tokenAt(expression: string, at: number): Read {
  const character = expression[at]!;
  const end = at + 1;
  switch (character) {
    case '\\':
      return escapeAt(expression, at);
    case '[':
      return listAt(expression, at);
    case '(':
      return groupAt(expression, at);
    case ')':
      return { token: { kind: 'close' }, end };
    case '|':
      return { token: { kind: 'bar' }, end };
    case '.':
      return { token: { kind: 'class', content: ANY }, end };
    case '^':
    case '$':
      return { token: { kind: 'place' }, end };
    case '*':
      return { token: { kind: 'repeat', least: 0, most: Infinity }, end };
    case '+':
      return { token: { kind: 'repeat', least: 1, most: Infinity }, end };
    case '?':
      return { token: { kind: 'repeat', least: 0, most: 1 }, end };
    case '{':
      return repetitionAt(expression, at);
    default:
      return { token: { kind: 'text', character }, end };
  }
}

function repetitionAt(expression: string, at: number): Read {
  const found = matchAt(REPETITION, expression, at);
  if (found === undefined) return { token: { kind: 'text', character: '{' }, end: at + 1 };
  const [text, least, comma, most] = found;
  const count = Number(least);
  const last = most === undefined || most === '' ? Infinity : Number(most);
  const token = { kind: 'repeat', least: count, most: comma === undefined ? count : last } as const;
  return { token, end: at + text.length };
}

function groupAt(expression: string, at: number): Read {
  const found = matchAt(FLAGS, expression, at);
  if (found === undefined) return { token: { kind: 'open', captures: true }, end: at + 1 };
  const [text, , last] = found;
  const token = last === ':' ? ({ kind: 'open', captures: false } as const) : undefined;
  return { token, end: at + text.length };
}

function escapeAt(expression: string, at: number): Read {
  const letter = expression[at + 1] ?? '';
  const end = Math.min(expression.length, at + 2);
  switch (letter) {
    case 'p':
    case 'P': {
      const text = matchAt(PROPERTY, expression, at)![0];
      const content = { isList: false, items: 0, properties: 1, span: 0 };
      return { token: { kind: 'class', content }, end: at + text.length };
    }
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
    case 'C':
      return { token: { kind: 'class', content: ANY }, end };
    case 'A':
    case 'b':
    case 'B':
    case 'z':
      return { token: { kind: 'place' }, end };
    default: {
      const code = matchAt(CHARACTER, expression, at);
      const character = code === undefined ? letter : String(codeOf(code));
      return { token: { kind: 'text', character }, end: code === undefined ? end : at + code[0].length };
    }
  }
}

/** From a `[` to the `]` that ends it, or to the end of the expression. */
function listAt(expression: string, start: number): Read {
  let at = start + 1;
  if (expression[at] === '^') at++;
  let items = 0;
  let properties = 0;
  let span = 0;
  for (let isFirst = true; at < expression.length; isFirst = false) {
    if (expression[at] === ']' && !isFirst) break;
    const named = matchAt(NAMED_CLASS, expression, at) ?? matchAt(PROPERTY, expression, at);
    if (named !== undefined) {
      if (named[0].startsWith('\\')) properties++;
      else items++;
      at += named[0].length;
      continue;
    }
    const from = memberAt(expression, at);
    at = from.end;
    items++;
    if (expression[at] !== '-' || at + 1 >= expression.length || expression[at + 1] === ']') continue;
    const to = memberAt(expression, at + 1);
    at = to.end;
    span += Math.max(0, to.code - from.code);
  }
  const content = { isList: true, items, properties, span };
  return { token: { kind: 'class', content }, end: Math.min(expression.length, at + 1) };
}

/** A character in brackets, as it is or behind a `\`. */
function memberAt(expression: string, at: number): { readonly code: number; readonly end: number } {
  const written = matchAt(CHARACTER, expression, at);
  if (written !== undefined) return { code: codeOf(written), end: at + written[0].length };
  const begin = expression[at] === '\\' && at + 1 < expression.length ? at + 1 : at;
  const code = expression.codePointAt(begin)!;
  return { code, end: begin + String.fromCodePoint(code).length };
}

function codeOf([, braced, two, octal]: RegExpExecArray): number {
  return octal === undefined ? Number.parseInt((braced ?? two)!, 16) : Number.parseInt(octal, 8);
}

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | undefined {
  sticky.lastIndex = at;
  return sticky.exec(text) ?? undefined;
}

import { type ClassContent, type Token, tokensOf } from './tokens.core.ts';

/** Places in the longest name of a topic, before its first character and behind each. */
const PLACES = 250;
/** Weighs about 1 us of compiling, as all weights here; some 5 to 10 ms together. */
export const BUILD_MAX = 5000;
/** Places of an expression that are looked at while a name of 249 characters is read, if none is known from before: 25 to 60 ns each, and so 1 to 2 ms. */
export const STEPS_MAX = 40_000;
/** Nothing counts further: sums of it stay numbers. */
const CEILING = 1e9;

/** Measured: a class of Unicode by itself and in brackets, and what each further copy takes. */
const PROPERTY_BUILD = 40;
const LISTED_PROPERTY_BUILD = 100;
/** Of each pair of them in the same brackets: they are sorted into each other. */
const PROPERTY_PAIR_BUILD = 4;
const PROPERTY_COPY = 15;
/** Cases are folded range by range, those of some 16 characters in 1 us; of classes of Unicode that are many. */
const FOLDED_PER_UNIT = 16;
const FOLDED_PROPERTIES = 4;
const CLASS_BUILD = 5;
const CLASS_COPY = 2;
const ITEMS_PER_COPY_UNIT = 16;
/** `(`, `)` and what they note. */
const GROUP_BUILD = 5;
const GROUP_COPY = 3;
const CAPTURE_STEPS = 2;
const REPEAT_BUILD = 2;
/** To go on or to go past: that many places in the program. */
const CHOICE_STEPS = 2;

const FOLDS = /\(\?[a-zA-Z]*i/;

/** What an expression costs before anything is done with it: an upper bound, as far as measurement goes. */
export interface ExpressionCost {
  /** Of compiling it, see {@link BUILD_MAX}. */
  readonly build: number;
  /** Of matching a text of 249 characters, see {@link STEPS_MAX}. */
  readonly steps: number;
  /** Of one more character beyond those. */
  readonly stepsPerCharacter: number;
}

/** What a part of an expression costs, and how much text it may stand for. */
interface Part {
  build: number;
  /** Of one more copy, where it is repeated by a count: RE2 writes repetitions out. */
  copy: number;
  /** Places that may be taken at the same time, at most. */
  crowd: number;
  /** Places that are taken, summed over the text, where the part may begin at as many places as were given when it was read. */
  steps: number;
  /** Characters. */
  least: number;
  most: number;
}

/** The alternatives of a group that have been read, and the one that is being read. */
interface Frame {
  /** Places in the text at which it may begin. */
  readonly starts: number;
  readonly weighsCapture: boolean;
  readonly closed: Part[];
  sequence: Part;
  /** The last characters, without those behind which something else has come. */
  run: string[];
  /** What a repetition would repeat, where that is not the last character. */
  last: Part | undefined;
}

/**
 * Weighs an expression of RE2, without compiling it. A place is a position in the expression at which a character is awaited; while a text is read,
 * many may be taken at the same time. How many follows from how variable the length of what stands before is: behind parts of a fixed length all is
 * in step, behind `.*` everything may begin anywhere.
 */
export function expressionCost(expression: string): ExpressionCost {
  const folds = FOLDS.test(expression);
  const root = frame(1, false);
  const open: Frame[] = [];
  let top = root;
  for (const token of tokensOf(expression)) {
    if (token.kind === 'open') {
      settle(top);
      open.push(top);
      top = frame(startsOf(top), token.captures);
    } else if (token.kind === 'close') {
      const outer = open.pop();
      // One that was never opened: RE2 will say so.
      if (outer === undefined) continue;
      outer.last = closed(top);
      top = outer;
    } else take(top, token, folds);
  }
  for (let outer = open.pop(); outer !== undefined; outer = open.pop()) {
    outer.last = closed(top);
    top = outer;
  }
  const { build, steps, crowd, most } = closed(top);
  return { build, steps, stepsPerCharacter: most < PLACES ? 0 : Math.min(crowd, steps / PLACES) };
}

/** What is wrong with an expression of that cost; undefined: nothing. */
export function costFault({ build, steps }: ExpressionCost): string | undefined {
  if (build > BUILD_MAX) {
    return 'it is too large, its repetitions written out: use fewer or smaller repetitions, classes of Unicode or alternatives';
  }
  if (steps > STEPS_MAX) {
    return 'too much of it may match at the same time: use fewer parts of variable length, such as .* or {1,99}, before others';
  }
  return undefined;
}

/** Of matching a text of so many characters. */
export function stepsFor({ steps, stepsPerCharacter }: ExpressionCost, characters: number): number {
  if (characters < PLACES) return (steps * (characters + 1)) / PLACES;
  return steps + stepsPerCharacter * (characters + 1 - PLACES);
}

function take(top: Frame, token: Exclude<Token, { kind: 'open' | 'close' }>, folds: boolean): void {
  switch (token.kind) {
    case 'text':
      settleLast(top);
      top.run.push(folds ? token.character.toLowerCase() : token.character);
      return;
    case 'class':
      settle(top);
      top.last = classPart(token.content, folds, startsOf(top));
      return;
    case 'place':
      settle(top);
      top.last = { build: 2, copy: 1, crowd: 2, steps: 2 * startsOf(top), least: 0, most: 0 };
      return;
    case 'bar':
      settle(top);
      top.closed.push(top.sequence);
      top.sequence = empty();
      return;
    case 'repeat': {
      const last = lastOf(top);
      if (last !== undefined) top.last = repeated(last, token, startsOf(top));
    }
  }
}

function frame(starts: number, weighsCapture: boolean): Frame {
  return { starts, weighsCapture, closed: [], sequence: empty(), run: [], last: undefined };
}

function empty(): Part {
  return { build: 0, copy: 0, crowd: 0, steps: 0, least: 0, most: 0 };
}

/** Places in the text at which what comes next may begin. */
function startsOf({ starts, sequence: { least, most } }: Frame): number {
  return Math.min(PLACES, starts + most - least);
}

/** The part that a repetition would repeat, no longer in the frame; of several characters the last one. */
function lastOf(top: Frame): Part | undefined {
  const { last } = top;
  if (last !== undefined) {
    top.last = undefined;
    return last;
  }
  const character = top.run.pop();
  settleRun(top);
  return character === undefined ? undefined : runPart([character], startsOf(top));
}

function settle(top: Frame): void {
  settleLast(top);
  settleRun(top);
}

function settleLast(top: Frame): void {
  if (top.last !== undefined) append(top.sequence, top.last);
  top.last = undefined;
}

function settleRun(top: Frame): void {
  if (top.run.length > 0) append(top.sequence, runPart(top.run, startsOf(top)));
  top.run = [];
}

/** Characters, one behind the other. */
function runPart(characters: readonly string[], starts: number): Part {
  const { length } = characters;
  const crowd = Math.min(length, 1 + overlapOf(characters));
  const steps = Math.min(length * starts, crowd * PLACES);
  return { build: length, copy: length, crowd, steps, least: length, most: length };
}

/** How many beginnings of a word may end at the same place of a text, at most: `aaaa` has many, `orders` one. */
function overlapOf(word: readonly string[]): number {
  // As Knuth, Morris and Pratt: of each beginning the longest shorter one that it ends with, and how many those are.
  const shorter = [0];
  const depths = [0];
  let most = 0;
  for (let length = 1; length < word.length; length++) {
    let candidate = length === 1 ? 0 : shorter[length - 1]!;
    while (candidate > 0 && word[candidate] !== word[length - 1]) candidate = shorter[candidate]!;
    if (length > 1 && word[candidate] === word[length - 1]) candidate++;
    shorter[length] = candidate;
    depths[length] = 1 + (candidate === 0 ? 0 : depths[candidate]!);
    most = Math.max(most, depths[length]!);
  }
  return most;
}

function classPart({ isList, items, properties, span }: ClassContent, folds: boolean, starts: number): Part {
  const each = isList ? LISTED_PROPERTY_BUILD + PROPERTY_PAIR_BUILD * properties : PROPERTY_BUILD;
  const property = folds ? FOLDED_PROPERTIES * each : each;
  const folded = folds ? span / FOLDED_PER_UNIT : 0;
  return bounded({
    build: CLASS_BUILD + items + folded + property * properties,
    copy: CLASS_COPY + items / ITEMS_PER_COPY_UNIT + PROPERTY_COPY * properties,
    crowd: 1,
    steps: starts,
    least: 1,
    most: 1,
  });
}

function append(sequence: Part, part: Part): void {
  sequence.build = Math.min(CEILING, sequence.build + part.build);
  sequence.copy = Math.min(CEILING, sequence.copy + part.copy);
  sequence.crowd = Math.min(CEILING, sequence.crowd + part.crowd);
  sequence.steps = Math.min(CEILING, sequence.steps + part.steps);
  sequence.least = Math.min(CEILING, sequence.least + part.least);
  sequence.most = Math.min(CEILING, sequence.most + part.most);
}

/** A group, or the whole, at its end. */
function closed(top: Frame): Part {
  settle(top);
  const alternatives = [...top.closed, top.sequence];
  const whole = empty();
  for (const alternative of alternatives) append(whole, alternative);
  const forks = alternatives.length - 1;
  const taken = forks + (top.weighsCapture ? CAPTURE_STEPS : 0);
  append(whole, {
    build: GROUP_BUILD + forks,
    copy: GROUP_COPY + forks,
    crowd: taken,
    steps: taken * top.starts,
    least: 0,
    most: 0,
  });
  // No spread: there may be as many alternatives as characters.
  whole.least = alternatives.reduce((least, part) => Math.min(least, part.least), CEILING);
  whole.most = alternatives.reduce((most, part) => Math.max(most, part.most), 0);
  return bounded(whole);
}

function repeated(
  part: Part,
  { least, most }: { readonly least: number; readonly most: number },
  starts: number,
): Part {
  const isEndless = most === Infinity;
  const copies = Math.max(1, isEndless ? least : most);
  const choices = isEndless ? 1 : Math.max(0, most - least);
  const crowd = copies * part.crowd + CHOICE_STEPS * choices;
  const isInStep = !isEndless && part.least === part.most;
  return bounded({
    build: part.build + (copies - 1) * part.copy + choices + REPEAT_BUILD,
    copy: copies * part.copy + choices,
    crowd,
    // Copies of one length follow each other: each of them begins at as many places as the first.
    steps: isInStep ? copies * part.steps + CHOICE_STEPS * choices * starts : crowd * PLACES,
    least: least * part.least,
    most: isEndless ? CEILING : most * part.most,
  });
}

function bounded(part: Part): Part {
  const { build, copy, crowd, steps, least, most } = part;
  return {
    build: Math.min(CEILING, build),
    copy: Math.min(CEILING, copy),
    crowd: Math.min(CEILING, crowd),
    steps: Math.min(CEILING, steps, crowd * PLACES),
    least: Math.min(CEILING, least),
    most: Math.min(CEILING, most),
  };
}

/** A counted repetition, and the parenthesis that what it repeats may end with. */
const REPETITION = /(\)?)\{(\d+)(?:,(\d*))?\}/g;
/** RE2 allows no more, nested ones multiplied. */
const REPEATED_MAX = 1000;
/** Some tens of milliseconds to compile, and some MiB. */
export const EXPRESSION_SIZE_MAX = 16_384;

/**
 * A bound on how large what an expression of RE2 is compiled to becomes, in its own steps: repetitions are written out, so that a few characters may
 * stand for many thousands.
 */
export function expressionSize(expression: string): number {
  let steps = expression.length;
  let groups = 1;
  for (const [, parenthesis, least, most] of expression.matchAll(REPETITION)) {
    const count = Math.max(1, Number(least), Number(most ?? 0));
    if (parenthesis === '') steps += count;
    else groups = Math.min(REPEATED_MAX, groups * count);
  }
  return steps * groups;
}

import { BrokerError } from './errors.ts';
import { EXPRESSION_SIZE_MAX, expressionSize } from './expression-size.ts';

/** Of an expression: what it is compiled to takes a multiple of that in memory. */
const EXPRESSION_CHARACTERS_MAX = 4096;

/** Whether a text matches an expression as a whole. */
export type Pattern = (text: string) => boolean;

/**
 * Compiles a regular expression of a client, in RE2's syntax, which Kafka takes too: its time is linear in the text, whatever the expression is.
 * Rejects with BrokerError INVALID_REGULAR_EXPRESSION.
 */
export async function compilePattern(expression: string): Promise<Pattern> {
  if (expression.length > EXPRESSION_CHARACTERS_MAX) {
    throw invalid(`${expression.slice(0, 20)}…`, `it is longer than ${EXPRESSION_CHARACTERS_MAX} characters`);
  }
  if (expressionSize(expression) > EXPRESSION_SIZE_MAX) {
    throw invalid(`${expression.slice(0, 20)}…`, 'written out, its repetitions are too large');
  }
  // Few clients send one: others need not wait for it at the start.
  const { RE2JS, RE2JSException } = await import('re2js');
  try {
    const compiled = RE2JS.compile(expression);
    return (text) => compiled.matches(text);
  } catch (error) {
    if (error instanceof RE2JSException) throw invalid(expression, error.message);
    throw error;
  }
}

function invalid(expression: string, why: string): BrokerError {
  return new BrokerError(
    'INVALID_REGULAR_EXPRESSION',
    `The expression ${JSON.stringify(expression)} is illegal: ${why}`,
  );
}

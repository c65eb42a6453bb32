import { RE2JSException, RE2Set } from 're2js';
import { costFault, expressionCost } from './cost.core.ts';
import type { CompiledExpression, RefusedExpression } from './types.ts';

/** What is longer is not even weighed. */
const EXPRESSION_CHARACTERS_MAX = 8192;
/** What is remembered of the texts that an expression has seen: enough for the longest name of a topic with the costliest one. */
const AUTOMATON_BYTES_MAX = 256 * 1024;
/** Of the program, for each unit of its cost. */
const BYTES_PER_BUILD_UNIT = 300;

/**
 * Compiles a regular expression of a client, in RE2's syntax, which Kafka takes too: its time is linear in the text, and both the time to compile it
 * and that for each text are bounded by {@link costFault}.
 */
export function compileExpression(expression: string): CompiledExpression | RefusedExpression {
  if (expression.length > EXPRESSION_CHARACTERS_MAX) {
    return { fault: `it is longer than ${EXPRESSION_CHARACTERS_MAX} characters` };
  }
  const cost = expressionCost(expression);
  const fault = costFault(cost);
  if (fault !== undefined) return { fault };
  try {
    // A set of one: sets alone let their memory be bounded.
    const set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, AUTOMATON_BYTES_MAX);
    set.add(expression);
    set.compile();
    const bytesMax = AUTOMATON_BYTES_MAX + BYTES_PER_BUILD_UNIT * cost.build;
    return { matches: (text) => set.match(text).length > 0, cost, bytesMax };
  } catch (error) {
    if (error instanceof RE2JSException) return { fault: error.message };
    throw error;
  }
}

import { RE2JS, RE2JSSyntaxException } from 're2js';
import { EXPRESSION_SIZE_MAX, expressionSize } from '../expression-size.ts';
import type { TopicMatcher } from './consumer/types.ts';

/** Expressions of RE2, as Kafka understands them for subscriptions (KIP-848): no time that grows faster than the text, whatever a client sends. */
export function compileRegex(expression: string): TopicMatcher | undefined {
  if (expressionSize(expression) > EXPRESSION_SIZE_MAX) return undefined;
  try {
    const compiled = RE2JS.compile(expression);
    return (topic) => compiled.testExact(topic);
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return undefined;
    throw error;
  }
}

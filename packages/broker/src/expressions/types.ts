import type { ExpressionCost } from './cost.core.ts';

/** A regular expression that can be asked. */
export interface CompiledExpression {
  readonly fault?: undefined;
  /** Whether the whole of a text is what the expression describes. */
  readonly matches: (text: string) => boolean;
  readonly cost: ExpressionCost;
  /** The most that it takes in memory, roughly. */
  readonly bytesMax: number;
}

/** An expression that is refused, and why. */
export interface RefusedExpression {
  readonly fault: string;
}

/** Understands expressions of RE2, and refuses those that would hold the event loop. */
export type ExpressionCompiler = (expression: string) => CompiledExpression | RefusedExpression;

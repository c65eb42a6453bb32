import { BrokerError } from '../errors.ts';
import type { Clock, Timers } from '../platform/index.ts';
import { ExpressionCache } from './cache.ts';
import { stepsFor } from './cost.core.ts';
import { STEPS_PER_BUILD_UNIT, StepBudget } from './step-budget.core.ts';
import type { CompiledExpression, ExpressionCompiler } from './types.ts';

/** Of one text, some 10 ms: names of topics are never so long. */
const TEXT_STEPS_MAX = 200_000;
/** What looking at a text takes at least. */
const TEXT_STEPS_MIN = 20;

/** Compiles and matches expressions of clients in slices, between which the event loop turns. */
export class Slices {
  readonly budget: StepBudget;
  readonly cache = new ExpressionCache();
  readonly #clock: Clock;
  readonly #timers: Timers;

  constructor(
    { clock, timers }: { readonly clock: Clock; readonly timers: Timers },
    { stepsPerSlice }: { readonly stepsPerSlice?: number | undefined } = {},
  ) {
    this.#clock = clock;
    this.#timers = timers;
    this.budget = new StepBudget(stepsPerSlice);
  }

  /** Whether {@link toCompile} would resolve at once. */
  mayCompile(expression: string): boolean {
    return this.cache.has(expression) || this.budget.isOpen(this.#clock.monotonicMs());
  }

  /** Resolves when there is time for an expression to be compiled, with it compiled or refused. */
  async toCompile(expression: string): Promise<ReturnType<ExpressionCompiler>> {
    while (!this.mayCompile(expression)) await this.#turn(this.budget.nextMs);
    return this.compileNow(expression);
  }

  /** The same without waiting. */
  readonly compileNow: ExpressionCompiler = (expression) => {
    const isKnown = this.cache.has(expression);
    const compiled = this.cache.compile(expression);
    const build = compiled.fault === undefined ? compiled.cost.build : expression.length;
    if (!isKnown) this.budget.take(STEPS_PER_BUILD_UNIT * build);
    return compiled;
  };

  /**
   * Resolves with those items whose text is what the expression describes. Rejects with BrokerError INVALID_REGULAR_EXPRESSION where a text is so long
   * that the expression would take too much time for it.
   */
  async matching<T>(
    items: readonly T[],
    textOf: (item: T) => string,
    { matches, cost }: CompiledExpression,
  ): Promise<T[]> {
    const found: T[] = [];
    let hasTaken = false;
    let turnMs = this.#clock.monotonicMs();
    for (const item of items) {
      const text = textOf(item);
      const steps = stepsFor(cost, text.length);
      if (steps > TEXT_STEPS_MAX) {
        throw invalidExpression(`it would take too long for a text of ${text.length} characters`);
      }
      while (!this.budget.isOpen(turnMs)) {
        const { nextMs, nextAfterOthersMs } = this.budget;
        await this.#turn(hasTaken ? nextAfterOthersMs : nextMs);
        hasTaken = false;
        turnMs = this.#clock.monotonicMs();
      }
      hasTaken = true;
      this.budget.take(Math.max(TEXT_STEPS_MIN, steps));
      if (matches(text)) found.push(item);
    }
    return found;
  }

  #turn(atMs: number): Promise<void> {
    const waitMs = Math.max(0, Math.ceil(atMs - this.#clock.monotonicMs()));
    return new Promise((resolve) => void this.#timers.after(waitMs, resolve));
  }
}

export function invalidExpression(why: string): BrokerError {
  return new BrokerError('INVALID_REGULAR_EXPRESSION', `The regular expression is refused: ${why}`);
}

import { compileExpression } from './compile.ts';
import type { CompiledExpression, ExpressionCompiler } from './types.ts';

/** Some hundred expressions of any kind; of those that are used least the next use takes a compilation. */
const CACHED_BYTES_MAX = 32 * 1024 * 1024;

/** Compiled expressions, those that were used last: each is compiled once, however many members and groups have it. */
export class ExpressionCache {
  readonly #bytesMax: number;
  /** In the order of their last use. */
  readonly #compiled = new Map<string, CompiledExpression>();
  #bytes = 0;
  /** Expressions that were compiled. */
  compilations = 0;

  constructor({ bytesMax = CACHED_BYTES_MAX }: { readonly bytesMax?: number } = {}) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(expression: string): boolean {
    return this.#compiled.has(expression);
  }

  readonly compile: ExpressionCompiler = (expression) => {
    const known = this.#compiled.get(expression);
    if (known !== undefined) {
      this.#compiled.delete(expression);
      this.#compiled.set(expression, known);
      return known;
    }
    this.compilations++;
    const compiled = compileExpression(expression);
    if (compiled.fault === undefined) this.#keep(expression, compiled);
    return compiled;
  };

  #keep(expression: string, compiled: CompiledExpression): void {
    this.#compiled.set(expression, compiled);
    this.#bytes += compiled.bytesMax;
    for (const [oldest, { bytesMax }] of this.#compiled) {
      if (this.#bytes <= this.#bytesMax || oldest === expression) return;
      this.#compiled.delete(oldest);
      this.#bytes -= bytesMax;
    }
  }
}

import type { Loop } from '../loop.ts';

/**
 * The check phase of Node's event loop comes right after all sockets that were readable have been read: one immediate per turn
 * runs all callbacks. An immediate that is set in the check phase waits for the next one.
 */
export class NodeLoop implements Loop {
  #callbacks: (() => void)[] = [];
  #last: (() => void)[] = [];
  #scheduled = false;

  afterTurn(callback: () => void): void {
    this.#callbacks.push(callback);
    this.#schedule();
  }

  lastInTurn(callback: () => void): void {
    this.#last.push(callback);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    let ran = 0;
    let last: (() => void)[] = [];
    let ranLast = 0;
    try {
      while (ran < callbacks.length) callbacks[ran++]!();
      last = this.#last;
      this.#last = [];
      while (ranLast < last.length) last[ranLast++]!();
    } finally {
      // A callback threw: the process is likely to end, but if a handler keeps it alive, nobody else's work is lost.
      if (ran < callbacks.length) this.#callbacks = [...callbacks.slice(ran), ...this.#callbacks];
      if (ranLast < last.length) this.#last = [...last.slice(ranLast), ...this.#last];
      // Whoever gave a callback meanwhile found the turn scheduled, or scheduled the next one.
      if (this.#callbacks.length > 0 || this.#last.length > 0) this.#schedule();
    }
  };
}

import type { Loop } from '../loop.ts';

/**
 * The check phase of Node's event loop comes right after all sockets that were readable have been read: one immediate per turn
 * runs all callbacks. An immediate that is set in the check phase waits for the next one.
 */
export class NodeLoop implements Loop {
  #callbacks: (() => void)[] = [];
  #scheduled = false;

  afterTurn(callback: () => void): void {
    this.#callbacks.push(callback);
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
    try {
      while (ran < callbacks.length) callbacks[ran++]!();
    } finally {
      // A callback threw: the process is likely to end, but if a handler keeps it alive, nobody else's work is lost.
      if (ran < callbacks.length) {
        this.#callbacks = [...callbacks.slice(ran), ...this.#callbacks];
        this.#schedule();
      }
    }
  };
}

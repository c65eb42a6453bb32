/** Who wants to be woken at the end of a turn in which something moved. */
export class Subscribers {
  readonly #entries = new Set<() => void>();
  readonly #waking: (() => void)[] = [];

  get size(): number {
    return this.#entries.size;
  }

  /** Subscribes until the returned function is called. Each subscription is its own, even if the same function subscribes twice. */
  add(wake: () => void): () => void {
    const entry = (): void => wake();
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  }

  /** Those that subscribe while others are woken wait for the next turn. */
  wakeAll(): void {
    const entries = this.#entries;
    if (entries.size === 0) return;
    const waking = this.#waking;
    for (const wake of entries) waking.push(wake);
    for (const wake of waking) if (entries.has(wake)) wake();
    waking.length = 0;
  }
}

import { Bag, type BagEntry } from '../bag.ts';

class Subscription implements BagEntry {
  bagIndex = -1;
  readonly wake: () => void;

  constructor(wake: () => void) {
    this.wake = wake;
  }
}

/** Who wants to be woken at the end of a turn in which something moved. */
export class Subscribers {
  readonly #subscriptions = new Bag<Subscription>();
  readonly #waking: Subscription[] = [];

  get size(): number {
    return this.#subscriptions.size;
  }

  /** Subscribes until the returned function is called. Each subscription is its own, even if the same function subscribes twice. */
  add(wake: () => void): () => void {
    const subscription = new Subscription(wake);
    this.#subscriptions.add(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
    };
  }

  /** Those that subscribe while others are woken wait for the next turn. */
  wakeAll(): void {
    if (this.#subscriptions.size === 0) return;
    const waking = this.#waking;
    for (const subscription of this.#subscriptions.entries) waking.push(subscription);
    for (const subscription of waking) if (subscription.bagIndex >= 0) subscription.wake();
    waking.length = 0;
  }
}

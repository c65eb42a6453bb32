import type { SimRandom } from '../platform/random.ts';
import type { SimWorld } from '../platform/world.ts';

const DELAY_MS_MIN = 0.1;
const DELAY_MS_MAX = 3;
const SLOW_DELAY_MS_MAX = 400;
const REQUEST_TIMEOUT_MS = 250;

export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** Requests between named parties as single messages: each may be late, lost, delivered twice, or overtaken. Cuts may be one-way. */
export class Links {
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #cut = new Set<string>();
  readonly #pausedUntil = new Map<string, number>();
  dropProbability = 0;
  slowProbability = 0;
  duplicateProbability = 0;

  constructor(world: SimWorld) {
    this.#world = world;
    this.#random = world.random.fork('links');
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  healAll(): void {
    this.#cut.clear();
    this.#pausedUntil.clear();
    this.dropProbability = 0;
    this.slowProbability = 0;
    this.duplicateProbability = 0;
  }

  /** What is addressed to it, answers included, waits: a stopped process, or a long garbage collection. */
  pause(name: string, durationMs: number): void {
    this.#pausedUntil.set(name, this.#world.nowMs + durationMs);
  }

  isPaused(name: string): boolean {
    return (this.#pausedUntil.get(name) ?? 0) > this.#world.nowMs;
  }

  /** One message; `deliver` may run never, or twice. */
  send(from: string, to: string, deliver: () => void, mayRepeat = false): void {
    this.#sendOnce(from, to, deliver);
    if (mayRepeat && this.#random.chance(this.duplicateProbability)) {
      this.#world.count('net.duplicate');
      this.#sendOnce(from, to, deliver);
    }
  }

  /**
   * A request and its answer. `handle` runs at the receiver. Rejects when no answer has come in time: the request may then
   * have been handled, or may still be.
   */
  request<T>(
    from: string,
    to: string,
    handle: (reply: (answer: T) => void) => void,
    options: {
      readonly mayRepeat: boolean;
      readonly timeoutMs?: number;
      /** Whether the sender still lives: a dead one hears nothing. */
      readonly hears?: () => boolean;
    },
  ): Promise<T> {
    const hears = options.hears ?? (() => true);
    return new Promise<T>((resolve, reject) => {
      const timeout = this.#world.after(options.timeoutMs ?? REQUEST_TIMEOUT_MS, () => {
        if (hears()) reject(new Unreachable(`${to} did not answer ${from}`));
      });
      const reply = (answer: T): void => {
        this.send(to, from, () => {
          timeout.cancel();
          if (hears()) resolve(answer);
        });
      };
      this.send(from, to, () => handle(reply), options.mayRepeat);
    });
  }

  #sendOnce(from: string, to: string, deliver: () => void): void {
    if (this.#cut.has(`${from}>${to}`)) {
      this.#world.count('net.cut');
      return;
    }
    if (this.#random.chance(this.dropProbability)) {
      this.#world.count('net.drop');
      return;
    }
    let delayMs = DELAY_MS_MIN + this.#random.fraction() * (DELAY_MS_MAX - DELAY_MS_MIN);
    if (this.#random.chance(this.slowProbability)) {
      this.#world.count('net.slow');
      delayMs = this.#random.fraction() * SLOW_DELAY_MS_MAX;
    }
    this.#world.after(delayMs, () => this.#arrive(to, deliver));
  }

  #arrive(to: string, deliver: () => void): void {
    const waitMs = (this.#pausedUntil.get(to) ?? 0) - this.#world.nowMs;
    if (waitMs > 0) {
      this.#world.count('net.held-by-pause');
      this.#world.after(waitMs + this.#random.fraction(), () => this.#arrive(to, deliver));
    } else deliver();
  }
}

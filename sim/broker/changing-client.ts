import { Violation } from '../invariants/history.ts';
import { Client, type BaseHost, type ClientHost } from './clients.ts';
import { ConnectionLost } from './connection.ts';

const PAUSE_MS_MAX = 40;
/** Longer than any segment of a connection that was given up may still travel: then its requests have arrived, or never will. */
const LATE_ARRIVAL_MS = 1200;

/** Outcome of one attempt: done, or not known and to be tried again. */
export type Attempt = 'done' | 'again';

/**
 * Changes what it alone may change. It does one thing at a time, and repeats it until its outcome is certain: so it always knows what must be, and
 * looks after each start of the broker whether it is.
 */
export abstract class ChangingClient<H extends BaseHost = ClientHost> extends Client<H> {
  #verifiedBoot = 0;
  /** The rest of a change whose answer did not come. */
  #unfinished: (() => Promise<Attempt>) | undefined;

  /** Begins one change. */
  protected abstract change(): Promise<void>;
  /** Throws Violation unless everything that was acknowledged is as it was. */
  protected abstract verify(): Promise<Attempt>;

  get idle(): boolean {
    return this.#unfinished === undefined && this.#verifiedBoot === this.host.boot();
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.#unfinished !== undefined) {
      await this.finish(this.#unfinished);
      return;
    }
    const boot = this.host.boot();
    if (this.#verifiedBoot !== boot || this.random.chance(0.1)) {
      if ((await this.verify()) === 'done') this.#verifiedBoot = boot;
      return;
    }
    if (!this.host.draining()) await this.change();
  }

  /** Makes the attempt, which the next steps repeat until it is done. */
  protected async finish(attempt: () => Promise<Attempt>): Promise<void> {
    this.#unfinished = attempt;
    try {
      if ((await attempt()) === 'done') this.#unfinished = undefined;
    } catch (error) {
      if (error instanceof ConnectionLost) {
        this.count('admin.repeat');
        await this.sleep(LATE_ARRIVAL_MS);
      }
      throw error;
    }
  }

  protected retriable(what: string, error: string): Attempt {
    if (error === 'KAFKA_STORAGE_ERROR' || error === 'REQUEST_TIMED_OUT') {
      this.count(`admin.repeat.${error}`);
      return 'again';
    }
    throw new Violation('unexpected-error', `${what}: ${error}`);
  }
}

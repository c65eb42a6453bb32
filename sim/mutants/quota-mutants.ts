import type { Mutant } from './mutant.ts';

/** Of quotas: what is in force, and how long a connection is kept waiting (KIP-219). */
export const QUOTA_MUTANTS: readonly Mutant[] = [
  {
    name: 'throttle-never-ends',
    why: 'a connection that was once over its quota is never read again',
    file: 'frontends/kafka/session-throttle.ts',
    search: 'this.#timer = this.#timers.after(ms, this.#over);',
    replace: '',
    scenario: 'broker',
  },
  {
    name: 'throttle-for-longer-than-told',
    why: 'a client that has waited as it was told finds that it is still not served',
    file: 'frontends/kafka/session-throttle.ts',
    search: 'this.#timer = this.#timers.after(ms, this.#over);',
    replace: 'this.#timer = this.#timers.after(2 * ms, this.#over);',
    scenario: 'broker',
  },
  {
    name: 'read-who-is-told-to-wait',
    why: 'clients that know nothing of quotas go on as before',
    file: 'frontends/kafka/session.ts',
    search: 'this.#throttled.wait(ms, this.#pipeline.clock.monotonicMs()); this.#block(waits.FOR_QUOTA);',
    replace: '',
    scenario: 'broker',
  },
  {
    name: 'quotas-forgotten-by-a-restart',
    why: 'they are described, and limit nobody until one of them changes',
    file: 'quotas/service.ts',
    search: 'load(); tracker.onChange(',
    replace: 'tracker.onChange(',
    scenario: 'broker',
  },
  {
    name: 'limits-outlive-their-removal',
    why: 'a connection keeps the allowance that it had when it came',
    file: 'quotas/client-quotas.ts',
    search: 'this.#generation++;',
    replace: '',
    scenario: 'broker',
  },
];

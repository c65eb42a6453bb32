import { ComputeError } from '../platform/compute.ts';

/** Passwords of one address that wait to be checked. */
export const TURNS_PER_ADDRESS_MAX = 1000;

interface Line {
  last: Promise<unknown>;
  waiting: number;
}

/** One after the other of each address, so that no address fills the line in which all passwords are checked. */
export class LoginTurns {
  readonly #lines = new Map<string, Line>();

  /** Runs the work when that before it, of the same address, is over. Rejects with ComputeError `BUSY` when too much waits already. */
  take<T>(address: string, work: () => Promise<T>): Promise<T> {
    let line = this.#lines.get(address);
    if (line === undefined) this.#lines.set(address, (line = { last: Promise.resolve(), waiting: 0 }));
    const own = line;
    if (own.waiting >= TURNS_PER_ADDRESS_MAX) {
      const message = `${own.waiting} passwords of its address wait to be checked already`;
      return Promise.reject(new ComputeError('BUSY', message));
    }
    own.waiting++;
    const result = own.last.then(work).finally(() => {
      if (--own.waiting === 0) this.#lines.delete(address);
    });
    own.last = result.catch(() => undefined);
    return result;
  }
}

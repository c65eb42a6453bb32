import { kafkaErrors } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { Timers } from '../../../platform/clock.ts';
import type { MutationAllowance } from '../../../quotas/client-quotas.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import type { Exchange } from '../handler.ts';

/** What the admin APIs have in common: many items in a request, each with an outcome of its own. */

export interface ItemError {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

export const NO_ERROR: ItemError = { errorCode: NONE, errorMessage: null };

/** An item's refusal with a code that the engine does not know, or does not use for it. */
export class ItemRefusal extends Error {
  override readonly name = 'ItemRefusal';
  readonly errorCode: number;

  constructor(error: keyof typeof kafkaErrors, message: string) {
    super(message);
    this.errorCode = kafkaErrors[error].code;
  }
}

/** The item's error; anything but a refusal is a bug and goes on. */
export function itemErrorOf(error: unknown): ItemError {
  if (error instanceof ItemRefusal) return { errorCode: error.errorCode, errorMessage: error.message };
  if (error instanceof BrokerError) {
    return { errorCode: errorCodeOf(error.code), errorMessage: error.message };
  }
  throw error;
}

/** Runs one item: its result, or what `failed` makes of its refusal. */
export async function runItem<T>(run: () => T | Promise<T>, failed: (error: ItemError) => T): Promise<T> {
  try {
    return await run();
  } catch (error) {
    return failed(itemErrorOf(error));
  }
}

/** Those that come more than once. */
export function duplicatesOf<T>(items: Iterable<T>): Set<T> {
  const seen = new Set<T>();
  const duplicates = new Set<T>();
  for (const item of items) {
    if (seen.has(item)) duplicates.add(item);
    seen.add(item);
  }
  return duplicates;
}

/**
 * Waits for a change as long as the client does: then it is REQUEST_TIMED_OUT, while the change itself goes on. A time of zero or less does not
 * wait at all, as in Kafka.
 */
export function withinTimeout<T>(timers: Timers, timeoutMs: number, change: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = timers.after(Math.max(0, timeoutMs), () => {
      reject(new BrokerError('REQUEST_TIMED_OUT', 'The change was not complete in time; it may still come'));
    });
    change.then(resolve, reject).finally(() => deadline.cancel());
  });
}

/** The connection waits for what the request has created and deleted beyond its quota (KIP-599). Before the response. */
export function throttleFor(
  exchange: Pick<Exchange<never>, 'throttle'>,
  mutations: MutationAllowance | undefined,
): void {
  if (mutations !== undefined && mutations.throttleMs > 0) exchange.throttle(mutations.throttleMs);
}

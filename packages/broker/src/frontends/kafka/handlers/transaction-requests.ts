import type { ErrorName } from '../../../errors.ts';
import { errorCodeOf, NONE } from '../errors.ts';

/** Whether clients of a version know PRODUCER_FENCED, and TRANSACTION_ABORTABLE: others are told what was said before (KIP-588, KIP-890). */
export interface KnownErrors {
  readonly producerFenced: boolean;
  readonly transactionAbortable: boolean;
}

export function transactionCodeOf(error: ErrorName | undefined, known: KnownErrors): number {
  if (error === undefined) return NONE;
  if (error === 'PRODUCER_FENCED' && !known.producerFenced) return errorCodeOf('INVALID_PRODUCER_EPOCH');
  if (error === 'TRANSACTION_ABORTABLE' && !known.transactionAbortable)
    return errorCodeOf('INVALID_TXN_STATE');
  return errorCodeOf(error);
}

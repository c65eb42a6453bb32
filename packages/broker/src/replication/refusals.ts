import { BrokerError, type ErrorName } from '../errors.ts';
import type { AppendResult } from './types.ts';

const MESSAGES: Partial<Record<ErrorName, string>> = {
  NOT_LEADER_OR_FOLLOWER: 'This broker does not lead the partition.',
  KAFKA_STORAGE_ERROR: 'The partition cannot be written at present: its disk failed or is full.',
  NOT_ENOUGH_REPLICAS: 'Fewer replicas are in sync than min.insync.replicas asks for.',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'The batch does not follow the last one of its producer.',
  INVALID_PRODUCER_EPOCH: 'A newer producer with the same id has taken over.',
  INVALID_RECORD: 'Clients may not write control batches, nor batches with a producer id but no sequence.',
  INVALID_TXN_STATE:
    'The transaction coordinator knows of no open transaction of this producer with this partition, or it has just ended.',
  TRANSACTION_COORDINATOR_FENCED: 'A newer coordinator has written the last marker of this producer.',
  OFFSET_OUT_OF_RANGE: 'The offset lies outside of what the partition holds.',
  OFFSET_NOT_AVAILABLE: 'The new leader does not know the high watermark yet.',
};

const REFUSALS = new Map<ErrorName, AppendResult>();

/** The result of an append that was refused; one object per error, shared by all partitions. */
export function refusalOf(error: ErrorName): AppendResult {
  let result = REFUSALS.get(error);
  if (result === undefined) {
    result = { error, message: messageOf(error) };
    REFUSALS.set(error, result);
  }
  return result;
}

/** The same as an error to throw. */
export function brokerError(error: ErrorName): BrokerError {
  return new BrokerError(error, messageOf(error));
}

function messageOf(error: ErrorName): string {
  return MESSAGES[error] ?? error;
}

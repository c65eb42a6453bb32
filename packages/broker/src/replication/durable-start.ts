import { BrokerError } from '../errors.ts';
import { DiskError } from '../platform/index.ts';
import type { Log } from '../storage/types.ts';

/** Resolves when the present start of the log is durable. Rejects with BrokerError. */
export async function durableStart(log: Log): Promise<void> {
  try {
    await log.persistStart();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    throw new BrokerError('KAFKA_STORAGE_ERROR', error.message, { cause: error });
  }
}

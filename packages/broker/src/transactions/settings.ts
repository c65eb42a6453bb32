import type { BrokerSettings } from '../config/broker-config.ts';
import type { TransactionSettings } from './types.ts';

export function transactionSettingsOf(settings: BrokerSettings): TransactionSettings {
  return {
    timeoutMaxMs: settings['transaction.max.timeout.ms'],
    idExpirationMs: settings['transactional.id.expiration.ms'],
    timeoutCheckMs: settings['transaction.abort.timed.out.transaction.cleanup.interval.ms'],
    expiryCheckMs: settings['transaction.remove.expired.transaction.cleanup.interval.ms'],
    idsMax: settings['transactional.ids.per.coordinator.max'],
    partitionsMax: settings['transaction.partitions.max'],
    stateBytesMax: settings['transactions.metadata.max.bytes'],
  };
}

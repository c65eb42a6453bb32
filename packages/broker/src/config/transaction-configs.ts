import { integer, oneOf } from './definition.ts';

const MIB = 1024 * 1024;

/** Settings of the transaction coordinator; Kafka's names where Kafka has them. */
export const TRANSACTION_CONFIGS = {
  'transaction.max.timeout.ms': integer('transaction.max.timeout.ms', {
    type: 'int',
    default: '900000',
    min: 1,
    documentation:
      'The longest time-out that a producer may ask for its transactions. While one is open, consumers that read committed records wait behind it.',
  }),
  'transactional.id.expiration.ms': integer('transactional.id.expiration.ms', {
    type: 'int',
    default: '604800000',
    min: 1,
    documentation: 'How long a transactional id is remembered after its last transaction.',
  }),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': integer(
    'transaction.abort.timed.out.transaction.cleanup.interval.ms',
    {
      type: 'int',
      default: '10000',
      min: 1,
      documentation: 'How often open transactions are looked through for those whose time has run out.',
    },
  ),
  'transaction.remove.expired.transaction.cleanup.interval.ms': integer(
    'transaction.remove.expired.transaction.cleanup.interval.ms',
    {
      type: 'int',
      default: '3600000',
      min: 1,
      documentation: 'How often transactional ids are looked through for those that have expired.',
    },
  ),
  'transaction.partitions.max': integer('transaction.partitions.max', {
    type: 'int',
    default: '10000',
    min: 1,
    documentation:
      'The most partitions that one transaction may write to: all of them are written down with each change.',
  }),
  'transactional.ids.per.coordinator.max': integer('transactional.ids.per.coordinator.max', {
    type: 'int',
    default: '20000',
    min: 1,
    documentation:
      'The most transactional ids that one partition of __transaction_state may hold: they are kept in memory.',
  }),
  'transactions.metadata.max.bytes': integer('transactions.metadata.max.bytes', {
    type: 'long',
    default: String(256 * MIB),
    min: MIB,
    documentation:
      'Memory that the transactional ids of this broker and the partitions of their transactions may take. Above it no id and no partition is added.',
  }),
  'transaction.state.log.num.partitions': integer('transaction.state.log.num.partitions', {
    type: 'int',
    default: '50',
    min: 1,
    documentation:
      'Partitions of __transaction_state, over which transactional ids are spread. It holds for the creation of the topic, with the first transactional producer.',
  }),
  'transaction.state.log.replication.factor': integer('transaction.state.log.replication.factor', {
    type: 'int',
    default: '3',
    min: 1,
    max: 32_767,
    documentation:
      'Replicas of __transaction_state, or as many as there are brokers if those are fewer when it is created.',
  }),
  'transaction.state.log.min.isr': integer('transaction.state.log.min.isr', {
    type: 'int',
    default: '2',
    min: 1,
    documentation:
      'min.insync.replicas of __transaction_state when it is created. Where it has fewer replicas than that, all of them have to have a change.',
  }),
  'transaction.state.log.segment.bytes': integer('transaction.state.log.segment.bytes', {
    type: 'int',
    default: String(100 * MIB),
    min: MIB,
    documentation:
      'The size of segments of __transaction_state: small, so that compaction keeps up and starts are quick.',
  }),
  'transaction.state.log.flush': oneOf('transaction.state.log.flush', {
    default: 'fsync',
    values: ['fsync', 'os'],
    documentation:
      'The flush of __transaction_state when it is created. With os, which is faster where no topic has flush=fsync, a loss of power may take back the end of a transaction that was acknowledged.',
  }),
} as const;

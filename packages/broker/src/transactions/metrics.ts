import type { TransactionState } from '@polylog/record';
import type { Metrics } from '../metrics/types.ts';
import type { TransactionService } from './service.ts';

const STATES: readonly TransactionState[] = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
];
const MS_PER_SECOND = 1000;

/** Registers the state of the transactions that this broker coordinates; all of it is worked out at scrapes. */
export function describeTransactions(
  metrics: Metrics,
  transactions: TransactionService,
  nowMs: () => number,
): void {
  metrics.gauges({
    name: 'transactional_ids',
    help: 'Transactional ids that this broker coordinates, by the state of their last transaction',
    labels: ['state'],
    read: (add) => {
      const counts = new Map<TransactionState, number>(STATES.map((state) => [state, 0]));
      for (const { state } of transactions.transactions()) counts.set(state, (counts.get(state) ?? 0) + 1);
      for (const [state, count] of counts) add(count, state);
    },
  });
  metrics.gauge({
    name: 'transaction_open_seconds_max',
    help: 'Time for which the oldest open transaction has been open; consumers that read committed records wait behind it',
    read: () => {
      let oldestMs = Infinity;
      for (const { state, startMs } of transactions.transactions()) {
        if (state === 'Ongoing') oldestMs = Math.min(oldestMs, startMs);
      }
      return Math.max(0, nowMs() - oldestMs) / MS_PER_SECOND || 0;
    },
  });
  describeCounts(metrics, transactions);
  describeShards(metrics, transactions);
}

function describeCounts(metrics: Metrics, { counters }: TransactionService): void {
  const counter = (name: string, help: string, read: () => number): void =>
    metrics.counter({ name, help, read });
  counter(
    'transaction_producers_initialised_total',
    'Times that a producer was given its id and epoch',
    () => counters.initialised,
  );
  metrics.counters({
    name: 'transactions_total',
    help: 'Transactions whose end was decided',
    labels: ['result'],
    read: (add) => {
      add(counters.committed, 'commit');
      add(counters.aborted, 'abort');
    },
  });
  counter(
    'transactions_timed_out_total',
    'Transactions that were aborted since their time had run out',
    () => counters.timedOut,
  );
  counter(
    'transactions_fenced_total',
    'Open transactions that were aborted since their producer began anew, or another one took its place',
    () => counters.fenced,
  );
  counter(
    'transactional_ids_expired_total',
    'Transactional ids removed after transactional.id.expiration.ms',
    () => counters.idsExpired,
  );
  counter(
    'transaction_markers_written_total',
    'Ends of transactions that partitions have taken',
    () => counters.markersWritten,
  );
  counter(
    'transaction_marker_retries_total',
    'Ends of transactions that a partition did not take, and that were sent again',
    () => counters.markerRetries,
  );
  metrics.gauge({
    name: 'transactions_metadata_bytes',
    help: 'Memory that transactional ids and the partitions of their transactions take, about',
    read: () => counters.stateBytes,
  });
}

function describeShards(metrics: Metrics, transactions: TransactionService): void {
  const { shardCounters } = transactions;
  metrics.gauge({
    name: 'transaction_coordinator_partitions_loading',
    help: 'Partitions of __transaction_state whose transactional ids are not known yet',
    read: () => transactions.loadingCount,
  });
  const counter = (name: string, help: string, read: () => number): void =>
    metrics.counter({ name, help, read });
  counter(
    'transaction_coordinator_loads_total',
    'Loads of partitions of __transaction_state that were complete',
    () => shardCounters.loads,
  );
  counter(
    'transaction_coordinator_load_failures_total',
    'Loads of partitions of __transaction_state that failed, and are tried again',
    () => shardCounters.loadFailures,
  );
  counter(
    'transaction_coordinator_resets_total',
    'Times that the transactions of a partition of __transaction_state were given up and loaded anew, since a write failed',
    () => shardCounters.resets,
  );
  counter(
    'transaction_coordinator_unreadable_records_total',
    'Records of transactions that could not be understood, and were passed over',
    () => shardCounters.unreadableRecords,
  );
  metrics.gauge({
    name: 'transaction_coordinator_last_load_seconds',
    help: 'Time that the last load of a partition of __transaction_state took',
    read: () => shardCounters.lastLoadMs / MS_PER_SECOND,
  });
}

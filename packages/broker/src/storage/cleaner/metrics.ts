import type { Metrics } from '../../metrics/types.ts';
import type { CleaningReport, LogStore } from '../types.ts';

const COUNTERS = {
  log_cleaner_passes_total: ['Cleanings of a compacted log that came to their end', 'passes'],
  log_cleaner_failures_total: ['Cleanings of a compacted log that failed', 'failures'],
  log_cleaner_read_bytes_total: ['Bytes read by the log cleaner', 'bytesRead'],
  log_cleaner_written_bytes_total: ['Bytes written by the log cleaner', 'bytesWritten'],
  log_cleaner_records_read_total: ['Records that the log cleaner decided about', 'recordsRead'],
  log_cleaner_records_retained_total: ['Records that the log cleaner kept', 'recordsRetained'],
  log_cleaner_undecodable_batches_total: [
    'Batches that the log cleaner kept because it could not decode them',
    'undecodableBatches',
  ],
} as const satisfies Record<string, readonly [string, keyof CleaningReport]>;

/** Shows what the log cleaner does. */
export function describeCleaning(metrics: Metrics, logs: Pick<LogStore, 'cleaning'>): void {
  for (const [name, [help, field]] of Object.entries(COUNTERS))
    metrics.counter({ name, help, read: () => logs.cleaning[field] });
  const gauge = (name: string, help: string, read: (report: CleaningReport) => number): void =>
    metrics.gauge({ name, help, read: () => read(logs.cleaning) });
  gauge('log_cleaner_running', '1 while a log is being cleaned', ({ isRunning }) => (isRunning ? 1 : 0));
  gauge(
    'log_cleaner_max_dirty_ratio',
    'The dirty share of the dirtiest compacted log, when it was looked at last',
    ({ dirtyRatioMax }) => dirtyRatioMax,
  );
  gauge(
    'log_cleaner_max_compaction_delay_seconds',
    'How far the oldest dirty record of a compacted log is beyond max.compaction.lag.ms',
    ({ lateMsMax }) => lateMsMax / 1000,
  );
  gauge(
    'log_cleaner_time_since_last_run_seconds',
    'Seconds since a cleaning of a log ended last; -1 before the first',
    ({ sinceLastMs }) => (sinceLastMs === undefined ? -1 : sinceLastMs / 1000),
  );
  gauge(
    'log_cleaner_uncleanable_partitions',
    'Compacted logs that are left alone because cleaning them failed',
    ({ uncleanableLogs }) => uncleanableLogs,
  );
}

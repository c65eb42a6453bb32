import { OTHER_TOPICS, TOPIC_LABELS_MAX, type Metrics } from '../metrics/types.ts';
import type { LogStore, StorageStatistics } from './types.ts';

type Statistics = () => StorageStatistics;

/** Registers what an operator wants to know of the data folder; all of it is read at scrapes. */
export function describeStorage(metrics: Metrics, store: LogStore): void {
  const statistics = oncePerTurn(store);
  describeSpace(metrics, store, statistics);
  describeLogs(metrics, store, statistics);
  describeJournal(metrics, statistics);
  describeCheckpoints(metrics, statistics);
  describeRecovery(metrics, store);
}

/** A scrape asks for each number by itself, one right after the other: the logs are visited for the first of them. */
function oncePerTurn(store: LogStore): Statistics {
  let current: StorageStatistics | undefined;
  return () => {
    if (current === undefined) {
      current = store.statistics();
      void Promise.resolve().then(() => (current = undefined));
    }
    return current;
  };
}

function describeSpace(metrics: Metrics, store: LogStore, statistics: Statistics): void {
  metrics.gauge({
    name: 'disk_full',
    help: '1 while writes are refused for want of space',
    read: () => (store.diskFull ? 1 : 0),
  });
  metrics.gauge({
    name: 'disk_free_bytes',
    help: 'Free space of the file system with the data folder',
    read: () => statistics().space.freeBytes,
  });
  metrics.gauge({
    name: 'disk_total_bytes',
    help: 'Size of the file system with the data folder',
    read: () => statistics().space.totalBytes,
  });
  metrics.gauge({
    name: 'disk_reserve_bytes',
    help: 'Free space below which writes are refused, until twice as much is free again (disk.reserve.bytes)',
    read: () => statistics().space.reserveBytes,
  });
}

function describeLogs(metrics: Metrics, store: LogStore, statistics: Statistics): void {
  const gauge = (name: string, help: string, read: (logs: StorageStatistics['logs']) => number): void =>
    metrics.gauge({ name, help, read: () => read(statistics().logs) });
  gauge('logs_bytes', 'Bytes of all segments, without their indexes', ({ bytes }) => bytes);
  gauge('log_segments', 'Segments of all logs', ({ segments }) => segments);
  gauge(
    'log_segments_leaving',
    'Removed segments whose files wait for file.delete.delay.ms or a reader',
    ({ segmentsLeaving }) => segmentsLeaving,
  );
  gauge(
    'logs_offline',
    'Logs that take no more writes, after one could not be undone',
    (logs) => logs.offline,
  );
  gauge(
    'log_damaged_ranges',
    'Ranges of damaged batches that are known: kept, and reads of them are refused',
    ({ damagedRanges }) => damagedRanges,
  );
  metrics.counter({
    name: 'log_segments_removed_total',
    help: 'Segments that retention, compaction or DeleteRecords removed',
    read: () => statistics().logs.segmentsRemoved,
  });
  metrics.counter({
    name: 'log_appended_bytes_total',
    help: 'Bytes appended to all logs, internal ones included',
    read: () => statistics().logs.appendedBytes,
  });
  metrics.gauges({
    name: 'topic_log_bytes',
    help: 'Bytes of the segments of a topic on this broker',
    labels: ['topic'],
    // And the one that stands for all others.
    seriesMax: TOPIC_LABELS_MAX + 1,
    read: (add) => {
      for (const [topic, bytes] of bytesByTopic(store)) add(bytes, topic);
    },
  });
  metrics.gauge({
    name: 'log_files_open',
    help: 'Files of segments and indexes that are open',
    read: () => statistics().files.open,
  });
  metrics.gauge({
    name: 'log_files_open_max',
    help: 'The most of them that are kept open (files.open.max)',
    read: () => statistics().files.openMax,
  });
}

function bytesByTopic(store: LogStore): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { id, sizeBytes } of store.logs()) {
    const hasLabel = bytes.has(id.topic) || bytes.size < TOPIC_LABELS_MAX;
    const topic = hasLabel ? id.topic : OTHER_TOPICS;
    bytes.set(topic, (bytes.get(topic) ?? 0) + sizeBytes);
  }
  return bytes;
}

function describeJournal(metrics: Metrics, statistics: Statistics): void {
  const gauge = (name: string, help: string, read: (journal: StorageStatistics['journal']) => number): void =>
    metrics.gauge({ name, help, read: () => read(statistics().journal) });
  const counter = (
    name: string,
    help: string,
    read: (journal: StorageStatistics['journal']) => number,
  ): void => metrics.counter({ name, help, read: () => read(statistics().journal) });
  gauge(
    'journal_bytes',
    'Bytes that the files of the journal take',
    ({ files, fileBytes }) => files * fileBytes,
  );
  gauge('journal_files', 'Files of the journal', ({ files }) => files);
  gauge(
    'journal_files_max',
    'Most files that the journal may have (journal.files.max)',
    ({ filesMax }) => filesMax,
  );
  gauge(
    'journal_files_in_use',
    'Files of the journal that wait for a checkpoint; half of journal_files_max starts one',
    ({ filesInUse }) => filesInUse,
  );
  counter('journal_written_bytes_total', 'Bytes written to the journal', ({ writtenBytes }) => writtenBytes);
  counter('journal_rounds_total', 'Rounds written to the journal, each one sync', ({ rounds }) => rounds);
  counter(
    'journal_rounds_without_file_total',
    'Rounds that synced segments, because the journal was full or could not be written',
    ({ roundsWithoutFile }) => roundsWithoutFile,
  );
  metrics.histogram({
    name: 'commit_duration_seconds',
    help: 'Time in which a round of the group commit made what it had gathered durable',
    histogram: statistics().commits,
  });
}

function describeCheckpoints(metrics: Metrics, statistics: Statistics): void {
  const counter = (
    name: string,
    help: string,
    read: (checkpoints: StorageStatistics['checkpoints']) => number,
  ): void => metrics.counter({ name, help, read: () => read(statistics().checkpoints) });
  counter('checkpoints_total', 'Checkpoints that were completed', ({ completed }) => completed);
  counter(
    'checkpoint_failures_total',
    'Checkpoints that failed, and are tried again',
    ({ failed }) => failed,
  );
  counter('checkpoint_seconds_total', 'Time spent in checkpoints', ({ totalMs }) => totalMs / 1000);
  metrics.gauge({
    name: 'checkpoint_last_timestamp_seconds',
    help: 'Time of the last complete checkpoint; 0 before the first',
    read: () => statistics().checkpoints.lastMs / 1000,
  });
}

function describeRecovery(metrics: Metrics, store: LogStore): void {
  const { kind, scannedBytes, cutBytes, journalBatches, corruptRanges } = store.recovery;
  const gauge = (name: string, help: string, value: number): void =>
    metrics.gauge({ name: `recovery_${name}`, help, read: () => value });
  metrics.gauges({
    name: 'recovery_info',
    help: 'What this start followed: fresh, clean, process-crash or power-loss',
    labels: ['kind'],
    read: (add) => add(1, kind),
  });
  gauge('scanned_bytes', 'Bytes that the recovery of this start read and checked', scannedBytes);
  gauge('cut_bytes', 'Torn bytes that the recovery of this start cut off the ends of logs', cutBytes);
  gauge(
    'journal_batches',
    'Batches that the journal gave back in the recovery of this start',
    journalBatches,
  );
  gauge(
    'corrupt_ranges',
    'Damaged ranges that the recovery of this start found below recovery points, and kept',
    corruptRanges,
  );
}

import type { CleanerLimits, LogStoreOptions } from '../storage/types.ts';
import type { BrokerSettings } from './broker-config.ts';
import { openFilesMaxOf } from './open-files.ts';

/** What the settings say of the log store. */
export function storageConfigOf(
  settings: BrokerSettings,
  descriptorsMax: number | undefined,
): NonNullable<LogStoreOptions['config']> {
  return {
    openFilesMax: openFilesMaxOf(settings, descriptorsMax),
    hotBytes: settings['hot.bytes'],
    journalFileBytes: settings['journal.file.bytes'],
    journalFilesMax: settings['journal.files.max'],
    journalBatchBytesMax: settings['journal.batch.max.bytes'],
    checkpointMs: settings['log.flush.offset.checkpoint.interval.ms'],
    retentionCheckMs: settings['log.retention.check.interval.ms'],
    freeSpaceReserveBytes: settings['disk.reserve.bytes'],
    cleanerEnabled: settings['log.cleaner.enable'],
    ...cleanerLimitsOf(settings),
  };
}

/** Those that change while the store is open. */
export function cleanerLimitsOf(settings: BrokerSettings): CleanerLimits {
  return {
    cleanerBackoffMs: settings['log.cleaner.backoff.ms'],
    cleanerDedupeBytes: settings['log.cleaner.dedupe.buffer.size'],
    cleanerBytesPerSecondMax: settings['log.cleaner.io.max.bytes.per.second'],
  };
}

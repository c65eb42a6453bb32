import { DiskError } from '../platform/disk.ts';
import type { PartitionLog } from './log.ts';

/**
 * Syncs all that a log has written, and moves its recovery point to where its end was when this started. With `isLast`, at a clean
 * stop, the active segment's indexes are made durable too. Rejects with DiskError: fatal if a sync failed.
 */
export async function checkpointLog(
  log: PartitionLog,
  options?: { readonly isLast: boolean },
): Promise<void> {
  // At a stop the logs are closed already; one that is closed meanwhile was deleted, and its folder is gone.
  const { endOffset, cuts, closed } = log;
  const segments = [...log.segments];
  if (segments.length === 0 || log.cutFailed || (closed && options?.isLast !== true)) return;
  // A cut that fails half-way does not count as one, but leaves nothing to vouch for either.
  const isVoid = (): boolean => log.cuts !== cuts || log.cutFailed || log.closed !== closed;
  for (const segment of segments) segment.retain();
  try {
    log.flushEpochs();
    for (const segment of segments) {
      await segment.syncData();
      if (isVoid()) return;
      if (segment === log.active && options?.isLast !== true) flushActive(log);
      else await segment.syncIndexes();
      if (isVoid()) return;
    }
    if (!log.folderDurable || segments.some((segment) => !segment.entryDurable)) log.syncFolder();
    log.recoveryPoint = Math.max(log.recoveryPoint, endOffset);
  } finally {
    for (const segment of segments) segment.release();
  }
}

/** Spares a start after a kill the scan of what is indexed; can wait if there is no room. */
function flushActive(log: PartitionLog): void {
  try {
    log.active!.flushIndexes();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    log.context.logger.warn({ folder: log.folder, error }, 'Index entries could not be written');
  }
}

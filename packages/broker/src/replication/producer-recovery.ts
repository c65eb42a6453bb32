import { type BatchHeader, type EndTransactionMarker, isControl } from '@polylog/record';
import type { Clock, Logger } from '../platform/index.ts';
import type { Log } from '../storage/types.ts';
import type { ProducerStates } from './producer-state.core.ts';

/** Of transactions that one start names; there are hardly ever more. */
const NAMED_MAX = 20;

/**
 * Makes the producers' state again from the newest snapshot and the headers behind it. Returns where those begin. Says of which transactions the end may lie in a
 * damaged part of the log: nobody but an operator can end them.
 */
export function recoverProducers(
  log: Log,
  producers: ProducerStates,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): number {
  const { entries, replayFrom } = log.loadProducerSnapshot();
  producers.restore(entries);
  const nowMs = clock.nowMs();
  const damage = new Damage(replayFrom);
  // When a batch was appended is not in its header: taking the present keeps its producer a little longer than needed.
  log.scanHeaders(replayFrom, (header, marker) => {
    damage.visit(header, marker);
    producers.replay(header, marker, nowMs);
  });
  damage.endsAt(log.endOffset);
  if (damage.lastOffset >= 0) sayWhatMayHang(log, producers, damage.lastOffset, logger);
  return replayFrom;
}

/** Where the batches of a log, which are dense, leave something out, or say that they end a transaction and not how. */
class Damage {
  /** -1: there is none. */
  lastOffset = -1;
  #expected: number;

  constructor(fromOffset: number) {
    this.#expected = fromOffset;
  }

  visit(header: BatchHeader, marker: EndTransactionMarker | undefined): void {
    const { baseOffset, producerId, recordCount } = header;
    this.endsAt(baseOffset);
    // One without records is what cleaning has left of a marker.
    const isUnreadable =
      isControl(header.attributes) && marker === undefined && producerId >= 0 && recordCount > 0;
    if (isUnreadable) this.lastOffset = baseOffset;
    this.#expected = baseOffset + header.lastOffsetDelta + 1;
  }

  endsAt(offset: number): void {
    if (offset > this.#expected) this.lastOffset = offset - 1;
  }
}

function sayWhatMayHang(log: Log, producers: ProducerStates, damagedTo: number, logger: Logger): void {
  const { topic, partition } = log.id;
  const open = producers
    .describe()
    .filter(({ transactionStartOffset: start }) => start >= 0 && start < damagedTo);
  for (const { producerId, transactionStartOffset: startOffset } of open.slice(0, NAMED_MAX)) {
    logger.error(
      { topic, partition, producerId, startOffset },
      'The end of this transaction may lie in a damaged part of the log: unless its producer goes on, consumers of committed records ' +
        `wait behind it until it is ended by kafka-transactions.sh abort --topic ${topic} --partition ${partition} --start-offset ${startOffset}`,
    );
  }
}

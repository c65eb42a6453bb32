import {
  decodeBatch,
  isControl,
  isTransactional,
  lastOffset,
  readBatchHeader,
  readControlRecord,
  sizeInBytes,
  verifyCrc,
} from '@polylog/record';
import type { FetchRequestInit, FetchResponse } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { TOPIC } from './transactor.ts';

const VALUE_BYTES_MAX = 1024 * 1024;
const READ_COMMITTED = 1;
const FETCH_BYTES = 3000;

/** One partition as a consumer of committed records reads it: it is told which transactions were aborted, and leaves their records out. */
export class CommittedView {
  readonly partition: number;
  position = 0;
  /** As the last answer had them. */
  lastStableOffset = 0;
  highWatermark = 0;
  readonly #read: (offset: number, value: number) => void;

  constructor(partition: number, read: (offset: number, value: number) => void) {
    this.partition = partition;
    this.#read = read;
  }

  /** The body of the next Fetch, in a version with topics by name. */
  request(): FetchRequestInit {
    return {
      maxWaitMs: 0,
      minBytes: 0,
      isolationLevel: READ_COMMITTED,
      topics: [
        {
          topic: TOPIC,
          partitions: [
            { partition: this.partition, fetchOffset: this.position, partitionMaxBytes: FETCH_BYTES },
          ],
        },
      ],
      forgottenTopicsData: [],
    };
  }

  /** Returns the error's code, or 0. */
  answered({ responses }: FetchResponse): number {
    const answer = responses[0]?.partitions[0];
    if (answer === undefined) throw new Violation('protocol', 'a fetch without a partition was answered');
    if (answer.errorCode !== 0) return answer.errorCode;
    this.lastStableOffset = answer.lastStableOffset;
    this.highWatermark = answer.highWatermark;
    const aborted = [...(answer.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset);
    const abortedProducers = new Set<number>();
    const bytes = answer.records ?? new Uint8Array(0);
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      const end = at + sizeInBytes(header);
      if (end > bytes.length || !verifyCrc(bytes, at)) {
        throw new Violation('damaged', `a batch at ${header.baseOffset} was served cut or with a bad CRC`);
      }
      const batch = bytes.subarray(at, end);
      at = end;
      const last = lastOffset(header);
      if (last >= answer.lastStableOffset) {
        throw new Violation(
          'beyond-lso',
          `${last} was served, and only what lies below ${answer.lastStableOffset} is stable`,
        );
      }
      while (aborted[0] !== undefined && aborted[0].firstOffset <= last) {
        abortedProducers.add(aborted.shift()!.producerId);
      }
      const { producerId, attributes } = header;
      if (isControl(attributes)) {
        if (isAbort(batch)) abortedProducers.delete(producerId);
      } else if (!isTransactional(attributes) || !abortedProducers.has(producerId)) {
        this.#readRecords(batch);
      }
      this.position = Math.max(this.position, last + 1);
    }
    return 0;
  }

  #readRecords(batch: Uint8Array): void {
    for (const { offset, value } of decodeBatch(batch, { maxBytes: VALUE_BYTES_MAX })) {
      if (offset < this.position) continue;
      const bytes = value!;
      this.#read(offset, new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0));
    }
  }
}

function isAbort(batch: Uint8Array): boolean {
  const [record] = decodeBatch(batch, { maxBytes: VALUE_BYTES_MAX });
  return readControlRecord(record!).type === 'abort';
}

import { codecOfId, DecompressionLimitError, MalformedError } from '@polylog/bytes';
import {
  checkProduceBatch,
  codecIdOf,
  emptyBatchHeader,
  isTransactional,
  patchLogAppendTime,
  sizeInBytes,
  type BatchHeader,
  type ProduceBatchFault,
} from '@polylog/record';

import type { TopicSettings } from '../config/topic-config.ts';
import type { ErrorName } from '../errors.ts';
import type { TopicCounters } from '../metrics/types.ts';
import { ComputeError, type Compute, type RecordsVerdict } from '../platform/compute.ts';
import type { AppendResult, Partition } from '../replication/types.ts';

/** The largest size to which one batch may decompress on the slow path. */
export const DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024;

/** One partition's share of a produce request. */
export interface ProduceBatch {
  readonly partition: Partition;
  readonly settings: TopicSettings;
  readonly counters: TopicCounters;
  /**
   * Exactly one batch of format v2, to be stamped in place: the caller leaves it alone until the end of the turn in which `done`'s append
   * was made; see {@link produceBatch}.
   */
  readonly records: Uint8Array;
  readonly requiredAcks: -1 | 0 | 1;
  /** Wall clock: what log-append time stamps, and what timestamps are compared with. */
  readonly nowMs: number;
  /** Whether the client's version of the API knows zstd. */
  readonly zstdAllowed: boolean;
  /** For a batch of a transaction: what transactional-writes.ts has found about it. -1: the request has no transactional id. */
  readonly verification: number | ErrorName;
}

/** {@link ProduceBatch.verification} of requests without a transactional id. */
export const NOT_TRANSACTIONAL = -1;

export type ProduceResult =
  | {
      readonly error: undefined;
      readonly baseOffset: number;
      readonly logStartOffset: number;
      /** -1 with create time. */
      readonly logAppendTimeMs: number;
    }
  | {
      readonly error: ErrorName;
      readonly message: string;
      /** Positions of the records that were at fault, where that is known (KIP-467). */
      readonly failedRecords?: readonly number[];
    };

const header: BatchHeader = emptyBatchHeader();

/**
 * Checks one batch and appends it in the present turn; `done` is called once, synchronously only with a refusal. Where records have to be read
 * or rewritten (compacted topics need keys, `compression.type`), it leaves the turn: then it returns a promise, which resolves (and rejects only for a bug) once the batch has been
 * appended or refused. Until then `records` must stay, and later batches for the partition must wait, or they would overtake.
 */
export function produceBatch(
  batch: ProduceBatch,
  compute: Compute,
  done: (result: ProduceResult) => void,
): Promise<void> | undefined {
  const { records, settings, counters } = batch;
  const refusal = refusalOf(batch, header);
  if (refusal !== undefined) {
    counters.failedProduceRequests++;
    done(refusal);
    return undefined;
  }
  const recordCount = header.recordCount;
  const codec = codecOfId(codecIdOf(header.attributes));
  const { type } = settings.compression;
  const recompress = type !== 'producer' && type !== codec;
  if (!recompress && !settings.compact) {
    let logAppendTimeMs = -1;
    if (settings.timestampType === 'LogAppendTime') {
      logAppendTimeMs = batch.nowMs;
      patchLogAppendTime(records, 0, logAppendTimeMs);
    }
    append(batch, records, recordCount, logAppendTimeMs, done);
    return undefined;
  }
  return produceSlowly(batch, compute, { recompress, recordCount }, done);
}

/** What the header, the sizes and the CRC tell; fills `into`. */
function refusalOf(batch: ProduceBatch, into: BatchHeader): ProduceResult | undefined {
  const { records, settings } = batch;
  if (records.length > settings.maxMessageBytes) {
    // Before the CRC: a batch that is refused for its size should cost nothing.
    return refused(
      'MESSAGE_TOO_LARGE',
      `the batch has ${records.length} bytes, max.message.bytes is ${settings.maxMessageBytes}`,
    );
  }
  if (records.length > settings.log.segmentBytes) {
    return refused(
      'RECORD_LIST_TOO_LARGE',
      `the batch has ${records.length} bytes, segment.bytes is ${settings.log.segmentBytes}`,
    );
  }
  const verdict = checkProduceBatch(records, 0, records.length, into);
  if (verdict !== 'ok') return refused(FAULT_ERRORS[verdict], FAULT_MESSAGES[verdict]);
  if (sizeInBytes(into) !== records.length) {
    return refused('INVALID_RECORD', 'a partition may carry exactly one record batch');
  }
  if (isTransactional(into.attributes)) {
    const refusal = transactionRefusal(batch.verification);
    if (refusal !== undefined) return refusal;
  }
  if (!batch.zstdAllowed && codecOfId(codecIdOf(into.attributes)) === 'zstd') {
    return refused('UNSUPPORTED_COMPRESSION_TYPE', 'zstd needs Produce version 7 or higher');
  }
  return settings.timestampType === 'CreateTime' ? timestampRefusal(batch, into) : undefined;
}

function transactionRefusal(verification: number | ErrorName): ProduceResult | undefined {
  if (verification === NOT_TRANSACTIONAL) {
    return refused(
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
      'a batch of a transaction needs a request with a transactional id',
    );
  }
  if (typeof verification === 'number') return undefined;
  return refused(
    verification,
    'the transaction coordinator was asked, and has no open transaction of this producer with this partition',
  );
}

/**
 * KIP-937, by the header alone: its maxTimestamp is the latest record's, if the client is right about it, and its baseTimestamp the
 * first one's. On the hot path the records stay unread, so that one between the bounds of the header, or a header that lies, passes, where
 * Kafka would refuse it. Where records are read anyway, {@link timestampBounds} holds for each of them.
 */
function timestampRefusal(batch: ProduceBatch, into: BatchHeader): ProduceResult | undefined {
  const { timestampBeforeMaxMs, timestampAfterMaxMs } = batch.settings;
  if (into.maxTimestamp >= 0 && into.maxTimestamp - batch.nowMs > timestampAfterMaxMs) {
    return refused(
      'INVALID_TIMESTAMP',
      `timestamp ${into.maxTimestamp} is more than ${timestampAfterMaxMs} ms after the broker's time`,
    );
  }
  if (into.baseTimestamp >= 0 && batch.nowMs - into.baseTimestamp > timestampBeforeMaxMs) {
    return refused(
      'INVALID_TIMESTAMP',
      `timestamp ${into.baseTimestamp} is more than ${timestampBeforeMaxMs} ms before the broker's time`,
    );
  }
  return undefined;
}

/** What each record's create time must keep to. */
function timestampBounds({ settings, nowMs }: ProduceBatch): {
  timestampMin?: number;
  timestampMax?: number;
} {
  if (settings.timestampType === 'LogAppendTime') return {};
  return {
    timestampMin: nowMs - settings.timestampBeforeMaxMs,
    timestampMax: nowMs + settings.timestampAfterMaxMs,
  };
}

function append(
  batch: ProduceBatch,
  records: Uint8Array,
  recordCount: number,
  logAppendTimeMs: number,
  done: (result: ProduceResult) => void,
): void {
  const { partition, counters, requiredAcks, nowMs } = batch;
  const bytes = records.length;
  const verification = typeof batch.verification === 'number' ? batch.verification : 0;
  partition.append(
    records,
    { requiredAcks, nowMs, origin: 'client', verification },
    (result: AppendResult) => {
      counters.produceRequests++;
      if (result.error !== undefined) {
        counters.failedProduceRequests++;
        done(result);
        return;
      }
      counters.bytesIn += bytes;
      counters.messagesIn += recordCount;
      done({
        error: undefined,
        baseOffset: result.baseOffset,
        logStartOffset: result.logStartOffset,
        logAppendTimeMs,
      });
    },
  );
}

async function produceSlowly(
  batch: ProduceBatch,
  compute: Compute,
  facts: { recompress: boolean; recordCount: number },
  done: (result: ProduceResult) => void,
): Promise<void> {
  const { settings, counters } = batch;
  const prepared = await prepare(batch, compute, facts.recompress);
  if (!(prepared instanceof Uint8Array)) {
    counters.produceRequests++;
    counters.failedProduceRequests++;
    done(prepared);
    return;
  }
  const appendTime = settings.timestampType === 'LogAppendTime';
  append(batch, prepared, facts.recordCount, appendTime ? batch.nowMs : -1, done);
}

/** The bytes to append, or the refusal. */
async function prepare(
  batch: ProduceBatch,
  compute: Compute,
  recompress: boolean,
): Promise<Uint8Array | ProduceResult> {
  const { records, settings } = batch;
  try {
    const verdict = await compute.checkRecords(records, {
      requireKeys: settings.compact,
      ...timestampBounds(batch),
      bytesMax: DECOMPRESSED_BYTES_MAX,
    });
    if (!verdict.ok) return verdictRefusal(verdict);
    const { type, level } = settings.compression;
    const appendTime = settings.timestampType === 'LogAppendTime';
    if (!recompress || type === 'producer') {
      if (appendTime) patchLogAppendTime(records, 0, batch.nowMs);
      return records;
    }
    const rewritten = await compute.rewriteBatch(records, {
      codec: type,
      ...(level === undefined ? {} : { level }),
      ...(appendTime ? { logAppendTimeMs: batch.nowMs } : {}),
      bytesMax: DECOMPRESSED_BYTES_MAX,
    });
    if (rewritten.length > settings.maxMessageBytes) {
      return refused(
        'MESSAGE_TOO_LARGE',
        `the batch has ${rewritten.length} bytes with compression.type=${type}, max.message.bytes is ${settings.maxMessageBytes}`,
      );
    }
    if (rewritten.length > settings.log.segmentBytes) {
      return refused(
        'RECORD_LIST_TOO_LARGE',
        `the batch has ${rewritten.length} bytes with compression.type=${type}, segment.bytes is ${settings.log.segmentBytes}`,
      );
    }
    return rewritten;
  } catch (error) {
    return computeRefusal(error);
  }
}

function computeRefusal(error: unknown): ProduceResult {
  if (error instanceof DecompressionLimitError) return refused('MESSAGE_TOO_LARGE', error.message);
  if (error instanceof MalformedError) return refused('INVALID_RECORD', error.message);
  // A worker that is busy or died: the producer may try again.
  if (error instanceof ComputeError) return refused('REQUEST_TIMED_OUT', error.message);
  throw error;
}

function verdictRefusal(verdict: Extract<RecordsVerdict, { ok: false }>): ProduceResult {
  return {
    error: VERDICT_ERRORS[verdict.reason],
    message: verdict.message,
    failedRecords: verdict.failedIndexes,
  };
}

const VERDICT_ERRORS: Readonly<Record<Extract<RecordsVerdict, { ok: false }>['reason'], ErrorName>> = {
  malformed: 'INVALID_RECORD',
  'too-large': 'MESSAGE_TOO_LARGE',
  'missing-key': 'INVALID_RECORD',
  timestamp: 'INVALID_TIMESTAMP',
};

function refused(error: ErrorName, message: string): ProduceResult {
  return { error, message };
}

/** As Kafka's log validator answers; what it calls corrupt is worth a retry, what it calls invalid is not. */
const FAULT_ERRORS: Readonly<Record<ProduceBatchFault, ErrorName>> = {
  truncated: 'INVALID_RECORD',
  bad_length: 'CORRUPT_MESSAGE',
  bad_magic: 'INVALID_RECORD',
  bad_crc: 'CORRUPT_MESSAGE',
  int64_out_of_range: 'INVALID_RECORD',
  bad_count: 'INVALID_RECORD',
  unknown_codec: 'UNSUPPORTED_COMPRESSION_TYPE',
  bad_base_offset: 'INVALID_RECORD',
  control_batch: 'INVALID_RECORD',
  append_time: 'INVALID_RECORD',
  bad_producer: 'INVALID_RECORD',
};

const FAULT_MESSAGES: Readonly<Record<ProduceBatchFault, string>> = {
  truncated: 'a partition must carry one complete record batch',
  bad_length: 'the batch length is below that of a header',
  bad_magic: 'only record batches of format v2 are taken',
  bad_crc: 'the CRC does not match the batch',
  int64_out_of_range: 'a timestamp or producer id is out of range',
  bad_count: 'the record count does not match the offsets',
  unknown_codec: 'unknown compression codec',
  bad_base_offset: 'the base offset must be 0',
  control_batch: 'clients may not write control batches',
  append_time: 'clients may not set log-append time',
  bad_producer: 'a producer id needs an epoch and a sequence',
};

import { MalformedError, Reader, Writer } from '@polylog/bytes';
import { type BatchHeader, isControl, NO_SEQUENCE } from './batch-header.ts';
import { buildBatch } from './batch-builder.ts';
import { batchBody, type LogRecord, RecordCursor } from './record.ts';

/*
 * Control records are written by brokers, one to a batch, and occupy an offset; consumers skip them.
 *
 *   key     version int16 = 0 │ type int16: 0 abort, 1 commit, 2 leader change, 3 to 6 of KRaft's own log
 *   value   abort, commit: version int16 = 0 │ coordinatorEpoch int32                                  (KIP-98)
 *           leader change: version int16 = 0 │ leaderId int32 │ voters │ grantingVoters │ tags        (KIP-595)
 *             both lists: uvarint count + 1, then each voterId int32 │ tags; tags: uvarint 0, for none
 */
const KEY_VERSION = 0;
const VALUE_VERSION = 0;
const TYPE_ABORT = 0;
const TYPE_COMMIT = 1;
const TYPE_LEADER_CHANGE = 2;
const VOTER_BYTES_MIN = 5;

/** No control batch is larger: who looks for markers may leave larger ones unread. */
export const CONTROL_BATCH_BYTES_MAX = 1024;

/** The end of a transaction of one producer in one partition. */
export interface EndTransactionMarker {
  readonly type: 'commit' | 'abort';
  readonly coordinatorEpoch: number;
}

export interface LeaderChange {
  readonly type: 'leader_change';
  readonly leaderId: number;
  readonly voters: readonly number[];
  readonly grantingVoters: readonly number[];
}

/** A type that this version does not know: to be skipped. */
export interface UnknownControlRecord {
  readonly type: 'unknown';
  readonly typeId: number;
}

export type ControlRecord = EndTransactionMarker | LeaderChange | UnknownControlRecord;

/** Where and when a control batch is written. */
export interface ControlBatchOptions {
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  /** ms since the epoch. */
  readonly timestamp: number;
}

/** The batch that ends a producer's transaction in a partition: transactional, control, without a sequence. */
export function buildEndTransactionBatch(
  marker: EndTransactionMarker,
  options: ControlBatchOptions & { readonly producerId: number; readonly producerEpoch: number },
): Uint8Array {
  const value = new Writer();
  value.int16(VALUE_VERSION);
  value.int32(marker.coordinatorEpoch);
  return buildBatch({
    ...options,
    baseSequence: NO_SEQUENCE,
    transactional: true,
    control: true,
    records: [
      {
        key: controlKey(marker.type === 'commit' ? TYPE_COMMIT : TYPE_ABORT),
        value: value.finish(),
        timestamp: options.timestamp,
      },
    ],
  });
}

/** The batch with which a new leader opens its epoch. */
export function buildLeaderChangeBatch(
  change: Omit<LeaderChange, 'type'>,
  options: ControlBatchOptions,
): Uint8Array {
  const value = new Writer();
  value.int16(VALUE_VERSION);
  value.int32(change.leaderId);
  for (const voters of [change.voters, change.grantingVoters]) {
    value.uvarint(voters.length + 1);
    for (const voter of voters) {
      value.int32(voter);
      value.uvarint(0);
    }
  }
  value.uvarint(0);
  return buildBatch({
    ...options,
    control: true,
    records: [{ key: controlKey(TYPE_LEADER_CHANGE), value: value.finish(), timestamp: options.timestamp }],
  });
}

/**
 * Reads a record of a control batch. Newer versions are read as the version known here, as Kafka does: fields are only ever
 * added behind.
 *
 * @throws MalformedError when key or value are not those of a control record
 */
export function readControlRecord(record: Pick<LogRecord, 'key' | 'value'>): ControlRecord {
  if (record.key === null) throw new MalformedError('control record without a key');
  const key = new Reader(record.key);
  if (key.int16() < 0) throw new MalformedError('negative version of a control record');
  const typeId = key.int16();
  if (typeId !== TYPE_ABORT && typeId !== TYPE_COMMIT && typeId !== TYPE_LEADER_CHANGE) {
    return { type: 'unknown', typeId };
  }
  if (record.value === null) throw new MalformedError('control record without a value');
  const value = new Reader(record.value);
  const version = value.int16();
  if (version < 0) throw new MalformedError('negative version of a control record');
  if (typeId !== TYPE_LEADER_CHANGE) {
    return { type: typeId === TYPE_COMMIT ? 'commit' : 'abort', coordinatorEpoch: value.int32() };
  }
  // From version 1 on (KIP-853) each voter carries a directory id.
  const directoryBytes = version >= 1 ? 16 : 0;
  const leaderId = value.int32();
  const voters = readVoters(value, directoryBytes);
  return { type: 'leader_change', leaderId, voters, grantingVoters: readVoters(value, directoryBytes) };
}

/**
 * What the batch at the start of `bytes` says about the transaction of its producer: undefined if it is no end of one, or was emptied by cleaning, or
 * cannot be read.
 */
export function endTransactionOf(bytes: Uint8Array, header: BatchHeader): EndTransactionMarker | undefined {
  if (!isControl(header.attributes) || header.producerId < 0 || header.recordCount !== 1) return undefined;
  try {
    const body = batchBody(bytes, header, { maxBytes: CONTROL_BATCH_BYTES_MAX });
    const cursor = new RecordCursor(body, header.recordCount);
    if (!cursor.next()) return undefined;
    const control = readControlRecord(cursor);
    return control.type === 'commit' || control.type === 'abort' ? control : undefined;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function readVoters(reader: Reader, directoryBytes: number): number[] {
  const count = reader.uvarint() - 1;
  if (count < 0 || count > reader.remaining / VOTER_BYTES_MIN) throw new MalformedError(`${count} voters`);
  const voters: number[] = [];
  for (let index = 0; index < count; index++) {
    voters.push(reader.int32());
    reader.skip(directoryBytes);
    skipTags(reader);
  }
  return voters;
}

function skipTags(reader: Reader): void {
  const count = reader.uvarint();
  if (count > reader.remaining / 2) throw new MalformedError(`${count} tagged fields`);
  for (let index = 0; index < count; index++) {
    reader.uvarint();
    reader.skip(reader.uvarint());
  }
}

function controlKey(typeId: number): Uint8Array {
  const key = new Writer(4);
  key.int16(KEY_VERSION);
  key.int16(typeId);
  return key.finish();
}

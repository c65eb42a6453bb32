import { MalformedError, Reader, utf8Length, Writer } from '@polylog/bytes';

/*
 * The records of `__transaction_state`, in Kafka's own format (its message definitions TransactionLogKey and TransactionLogValue), so that Kafka's
 * tools read the topic. Key and value each begin with an int16, their version:
 *
 *   key 0        │ version │ transactionalId string │
 *   value 0, 1   │ version │ producerId int64 │ producerEpoch int16 │ timeoutMs int32 │ status int8 │ partitions │ lastUpdateMs int64 │ startMs int64 │ tags
 *                  partitions: null, or for each topic: name string │ partition ids int32[]                                              since 1: ┘
 *   tags of 1    0 previousProducerId int64 │ 1 nextProducerId int64 │ 2 clientTransactionVersion int16     (KIP-890), each left out where it is -1, -1, 0
 *
 * A null value deletes what the key names. Version 1 of the value is flexible (KIP-482).
 */
const KEY_VERSION = 0;
const VALUE_VERSION_MAX = 1;
const VALUE_FLEXIBLE_SINCE = 1;
const TAG_PREVIOUS_PRODUCER_ID = 0;
const TAG_NEXT_PRODUCER_ID = 1;
const TAG_CLIENT_TRANSACTION_VERSION = 2;
const NO_PRODUCER_ID = -1;
const INT64_BYTES = 8;
const INT16_BYTES = 2;
const INT32_BYTES = 4;
/** A topic's encoding has at least that many bytes: bounds what a damaged count makes us allocate. */
const TOPIC_BYTES_MIN = 2;

/** Their place in this list is how they are stored. */
export const TRANSACTION_STATES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const;

export type TransactionState = (typeof TRANSACTION_STATES)[number];

/** By topic, the partitions of a transaction. */
export type TransactionPartitions = ReadonlyMap<string, ReadonlySet<number>>;

/** All that is stored of a transactional id. */
export interface StoredTransaction {
  readonly producerId: number;
  /** Before an overflow of its epoch the producer had this id; else that of its last transaction. -1: not known. */
  readonly previousProducerId: number;
  /** The id that the producer goes on with once the transaction is complete, since its epochs are used up; else -1. */
  readonly nextProducerId: number;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly partitions: TransactionPartitions;
  /** ms since the epoch. */
  readonly lastUpdateMs: number;
  /** ms since the epoch; -1: none was begun. */
  readonly startMs: number;
  /** `transaction.version` of the client that made the last change. */
  readonly clientTransactionVersion: number;
}

export function encodeTransactionKey(transactionalId: string): Uint8Array {
  const writer = new Writer();
  writer.int16(KEY_VERSION);
  const length = utf8Length(transactionalId);
  writer.int16(length);
  writer.string(transactionalId, length);
  return writer.finish();
}

/** The transactional id; undefined for a key of a newer Kafka. Throws MalformedError. */
export function decodeTransactionKey(bytes: Uint8Array): string | undefined {
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version < 0) throw new MalformedError(`key version ${version} is negative`);
  return version > KEY_VERSION ? undefined : readString(reader, false);
}

/** @param version 0, or 1, which alone keeps what KIP-890 needs */
export function encodeTransactionValue(transaction: StoredTransaction, version: number): Uint8Array {
  const flexible = version >= VALUE_FLEXIBLE_SINCE;
  const writer = new Writer();
  writer.int16(version);
  writer.int64(transaction.producerId);
  writer.int16(transaction.producerEpoch);
  writer.int32(transaction.timeoutMs);
  writer.int8(TRANSACTION_STATES.indexOf(transaction.state));
  // As Kafka: an empty list is told apart from none.
  if (transaction.state === 'Empty') writeCount(writer, -1, flexible);
  else writePartitions(writer, transaction.partitions, flexible);
  writer.int64(transaction.lastUpdateMs);
  writer.int64(transaction.startMs);
  if (flexible) writeTags(writer, transaction);
  return writer.finish();
}

function writePartitions(writer: Writer, partitions: TransactionPartitions, flexible: boolean): void {
  writeCount(writer, partitions.size, flexible);
  for (const [topic, indexes] of partitions) {
    const length = utf8Length(topic);
    if (flexible) writer.uvarint(length + 1);
    else writer.int16(length);
    writer.string(topic, length);
    writeCount(writer, indexes.size, flexible);
    for (const index of indexes) writer.int32(index);
    if (flexible) writer.uvarint(0);
  }
}

function writeCount(writer: Writer, count: number, flexible: boolean): void {
  if (flexible) writer.uvarint(count + 1);
  else writer.int32(count);
}

function writeTags(writer: Writer, transaction: StoredTransaction): void {
  const { previousProducerId, nextProducerId, clientTransactionVersion } = transaction;
  const count =
    Number(previousProducerId !== NO_PRODUCER_ID) +
    Number(nextProducerId !== NO_PRODUCER_ID) +
    Number(clientTransactionVersion !== 0);
  writer.uvarint(count);
  for (const [tag, id] of [
    [TAG_PREVIOUS_PRODUCER_ID, previousProducerId],
    [TAG_NEXT_PRODUCER_ID, nextProducerId],
  ] as const) {
    if (id === NO_PRODUCER_ID) continue;
    writer.uvarint(tag);
    writer.uvarint(INT64_BYTES);
    writer.int64(id);
  }
  if (clientTransactionVersion === 0) return;
  writer.uvarint(TAG_CLIENT_TRANSACTION_VERSION);
  writer.uvarint(INT16_BYTES);
  writer.int16(clientTransactionVersion);
}

/** Throws MalformedError. */
export function decodeTransactionValue(bytes: Uint8Array): StoredTransaction {
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version < 0 || version > VALUE_VERSION_MAX) {
    throw new MalformedError(`transaction value version ${version} is not known`);
  }
  const flexible = version >= VALUE_FLEXIBLE_SINCE;
  const producerId = reader.int64();
  const producerEpoch = reader.int16();
  const timeoutMs = reader.int32();
  const status = reader.int8();
  const state = TRANSACTION_STATES[status];
  if (state === undefined) throw new MalformedError(`transaction status ${status} is not known`);
  const partitions = readPartitions(reader, flexible);
  const lastUpdateMs = reader.int64();
  const startMs = reader.int64();
  const tags = flexible ? readTags(reader) : NO_TAGS;
  return { producerId, producerEpoch, timeoutMs, state, partitions, lastUpdateMs, startMs, ...tags };
}

function readPartitions(reader: Reader, flexible: boolean): TransactionPartitions {
  const partitions = new Map<string, Set<number>>();
  const topics = readCount(reader, flexible, TOPIC_BYTES_MIN);
  for (let topic = 0; topic < topics; topic++) {
    const name = readString(reader, flexible);
    const indexes = partitions.get(name) ?? new Set<number>();
    const count = readCount(reader, flexible, INT32_BYTES);
    for (let index = 0; index < count; index++) indexes.add(reader.int32());
    if (flexible) skipTags(reader);
    partitions.set(name, indexes);
  }
  return partitions;
}

/** 0 for null. */
function readCount(reader: Reader, flexible: boolean, elementBytesMin: number): number {
  const count = flexible ? reader.uvarint() - 1 : reader.int32();
  if (count < -1 || count > reader.remaining / elementBytesMin) {
    throw new MalformedError(`${count} elements in ${reader.remaining} bytes`);
  }
  return Math.max(0, count);
}

function readString(reader: Reader, flexible: boolean): string {
  const length = flexible ? reader.uvarint() - 1 : reader.int16();
  if (length < 0) throw new MalformedError('a string is null that must not be');
  return reader.string(length);
}

type Tags = Pick<StoredTransaction, 'previousProducerId' | 'nextProducerId' | 'clientTransactionVersion'>;

const NO_TAGS: Tags = {
  previousProducerId: NO_PRODUCER_ID,
  nextProducerId: NO_PRODUCER_ID,
  clientTransactionVersion: 0,
};

function readTags(reader: Reader): Tags {
  let { previousProducerId, nextProducerId, clientTransactionVersion } = NO_TAGS;
  for (let tags = reader.uvarint(); tags > 0; tags--) {
    const tag = reader.uvarint();
    const content = new Reader(reader.bytes(reader.uvarint()));
    if (tag === TAG_PREVIOUS_PRODUCER_ID) previousProducerId = content.int64();
    else if (tag === TAG_NEXT_PRODUCER_ID) nextProducerId = content.int64();
    else if (tag === TAG_CLIENT_TRANSACTION_VERSION) clientTransactionVersion = content.int16();
  }
  return { previousProducerId, nextProducerId, clientTransactionVersion };
}

function skipTags(reader: Reader): void {
  for (let tags = reader.uvarint(); tags > 0; tags--) {
    reader.uvarint();
    reader.skip(reader.uvarint());
  }
}

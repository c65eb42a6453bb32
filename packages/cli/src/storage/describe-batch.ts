import { codecOfId } from '@polylog/bytes';
import {
  batchBody,
  codecIdOf,
  decodeConsumerOffsetsKey,
  decodeGroupValue,
  decodeOffsetValue,
  decodeRecords,
  decodeTransactionKey,
  decodeTransactionValue,
  isControl,
  isTransactional,
  NO_PRODUCER_ID,
  readControlRecord,
  timestampTypeOf,
  type BatchHeader,
  type LogRecord,
} from '@polylog/record';
import { recordToJson } from '../output/record-json.ts';
import { counted, formatBytes, formatTime } from '../output/units.ts';
import { consumerGroupMeaning } from './consumer-group-meaning.ts';

const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;
/** Longer keys and values are cut for people. */
const SHOWN_CHARACTERS_MAX = 200;

const OFFSETS_TOPIC = '__consumer_offsets';
const TRANSACTIONS_TOPIC = '__transaction_state';

interface Place {
  readonly topic: string;
  readonly partition: number;
}

export function batchJson(header: BatchHeader, position: number, sizeBytes: number): object {
  return {
    type: 'batch',
    baseOffset: header.baseOffset,
    lastOffset: header.baseOffset + header.lastOffsetDelta,
    position,
    bytes: sizeBytes,
    records: header.recordCount,
    codec: codecText(header),
    leaderEpoch: header.partitionLeaderEpoch,
    timestampType: timestampTypeOf(header.attributes),
    baseTimestamp: header.baseTimestamp,
    maxTimestamp: header.maxTimestamp,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    transactional: isTransactional(header.attributes),
    control: isControl(header.attributes),
    crc: header.crc,
  };
}

export function batchText(header: BatchHeader, position: number, sizeBytes: number): string {
  const lastOffset = header.baseOffset + header.lastOffsetDelta;
  const facts = [
    `at byte ${position}`,
    counted(header.recordCount, 'record'),
    formatBytes(sizeBytes),
    codecText(header),
    `epoch ${header.partitionLeaderEpoch}`,
    formatTime(header.maxTimestamp),
  ];
  if (header.producerId !== NO_PRODUCER_ID) {
    facts.push(`producer ${header.producerId}/${header.producerEpoch} sequence ${header.baseSequence}`);
  }
  if (isTransactional(header.attributes)) facts.push('transactional');
  if (isControl(header.attributes)) facts.push('control');
  return `    ${header.baseOffset}-${lastOffset}  ${facts.join(', ')}\n`;
}

function codecText(header: BatchHeader): string {
  return codecOfId(codecIdOf(header.attributes)) ?? `codec ${codecIdOf(header.attributes)}`;
}

/** One line of JSON for each record: as `consume --format json` prints it, with a type. Throws MalformedError. */
export function recordsJson(bytes: Uint8Array, header: BatchHeader, place: Place): string {
  const { topic, partition } = place;
  return decode(bytes, header)
    .map((record) => {
      const plain = recordToJson({ ...record, topic, partition });
      const meaning = meaningOf(record, header, topic);
      const extra = meaning === undefined ? '' : `,"meaning":${JSON.stringify(meaning)}`;
      return `{"type":"record",${plain.slice(1, -1)}${extra}}\n`;
    })
    .join('');
}

/** One line for each record. Throws MalformedError. */
export function recordsText(bytes: Uint8Array, header: BatchHeader, { topic }: Place): string {
  return decode(bytes, header)
    .map((record) => {
      const meaning = meaningOf(record, header, topic);
      const what =
        meaning ?? `key ${shown(record.key)} value ${shown(record.value)}${headersText(record.headers)}`;
      return `      ${record.offset}  ${formatTime(record.timestamp)}  ${what}\n`;
    })
    .join('');
}

function decode(bytes: Uint8Array, header: BatchHeader): LogRecord[] {
  return decodeRecords(batchBody(bytes, header, { maxBytes: DECOMPRESSED_BYTES_MAX }), header);
}

/** What the bytes of a record say, where they are the broker's own. */
function meaningOf(record: LogRecord, header: BatchHeader, topic: string): string | undefined {
  if (!isControl(header.attributes)) return stateMeaning(record, topic);
  const control = readControlRecord(record);
  switch (control.type) {
    case 'commit':
    case 'abort':
      return `${control.type} of producer ${header.producerId}, by coordinator epoch ${control.coordinatorEpoch}`;
    case 'leader_change':
      return `leader change to broker ${control.leaderId}`;
    case 'unknown':
      return `control record of the unknown type ${control.typeId}`;
  }
}

function stateMeaning(record: LogRecord, topic: string): string | undefined {
  if (topic === OFFSETS_TOPIC) return offsetsMeaning(record);
  return topic === TRANSACTIONS_TOPIC ? transactionMeaning(record) : undefined;
}

/** A record of `__transaction_state`. Throws MalformedError. */
function transactionMeaning({ key, value }: LogRecord): string | undefined {
  const transactionalId = key === null ? undefined : decodeTransactionKey(key);
  if (transactionalId === undefined) return undefined;
  if (value === null) return `transactional id ${transactionalId}: forgotten`;
  const { state, producerId, producerEpoch, partitions, lastUpdateMs } = decodeTransactionValue(value);
  const names = [...partitions].flatMap(([topic, indexes]) =>
    [...indexes].map((index) => `${topic}-${index}`),
  );
  const where = names.length === 0 ? '' : `, ${names.join(', ')}`;
  return `transactional id ${transactionalId}: ${state} at ${formatTime(lastUpdateMs)}, producer ${producerId}/${producerEpoch}${where}`;
}

/** A record of `__consumer_offsets`. Throws MalformedError. */
function offsetsMeaning({ key, value }: LogRecord): string | undefined {
  if (key === null) return undefined;
  const named = decodeConsumerOffsetsKey(key);
  switch (named.kind) {
    case 'unknown':
      return undefined;
    case 'offset': {
      const where = `group ${named.group}, ${named.topic}-${named.partition}`;
      if (value === null) return `${where}: offset forgotten`;
      const { offset, metadata, commitTimestamp } = decodeOffsetValue(value);
      const remark = metadata === '' ? '' : `, ${JSON.stringify(metadata)}`;
      return `${where}: committed ${offset} at ${formatTime(commitTimestamp)}${remark}`;
    }
    case 'group': {
      if (value === null) return `group ${named.group}: deleted`;
      const { generation, protocol, members } = decodeGroupValue(value);
      const names = members.map(({ memberId }) => memberId).join(', ');
      const how = protocol === null ? '' : `, ${protocol}`;
      return `group ${named.group}: generation ${generation}${how}, ${counted(members.length, 'member')} ${names}`.trimEnd();
    }
    default:
      return consumerGroupMeaning(named, value);
  }
}

function shown(bytes: Uint8Array | null): string {
  if (bytes === null) return 'null';
  const text = JSON.stringify(Buffer.from(bytes).toString('utf8'));
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX)}…`;
}

function headersText(headers: LogRecord['headers']): string {
  return headers.map(({ key, value }) => ` ${key}=${shown(value)}`).join('');
}

import {
  encodeRequest,
  encodeResponse,
  fetch,
  FRAME_LENGTH_BYTES,
  produce,
  type FetchResponseInit,
} from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';

/** What a producer waits for: all in-sync replicas, or the leader. */
export type Acks = -1 | 1;

/** The last versions that name topics by name: every broker since Kafka 2.8 serves them. */
const PRODUCE_VERSION = 12;
const FETCH_VERSION = 12;

const CLIENT_ID = 'bench';
const REQUEST_TIMEOUT_MS = 30_000;
/** Behind the length prefix, api key and version. */
export const CORRELATION_ID_AT = FRAME_LENGTH_BYTES + 4;

/** A batch that stands for all others: opaque to a broker but for its header and its CRC. */
export interface BatchShape {
  /** Target size of the batch before compression; it is the largest one that does not exceed it, or one record. */
  readonly batchBytes: number;
  /** Size of each record's value. */
  readonly recordBytes: number;
  readonly codec?: 'none' | 'lz4';
}

export interface PreparedBatch {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
}

/** Record overhead in a batch: lengths, deltas, attributes; at most this much. */
const RECORD_OVERHEAD_BYTES_MAX = 12;
const BATCH_HEADER_BYTES = 61;

export function prepareBatch(
  { batchBytes, recordBytes, codec = 'none' }: BatchShape,
  timestampMs: number,
): PreparedBatch {
  const recordCount = Math.max(
    1,
    Math.floor((batchBytes - BATCH_HEADER_BYTES) / (recordBytes + RECORD_OVERHEAD_BYTES_MAX)),
  );
  const values = incompressible(recordBytes * recordCount);
  if (codec !== 'none') halfRepeated(values);
  const records = Array.from({ length: recordCount }, (_, index) => ({
    key: null,
    value: values.subarray(index * recordBytes, (index + 1) * recordBytes),
    timestamp: timestampMs,
  }));
  return { bytes: buildBatch({ records, codec }), recordCount };
}

/** The same bytes in each run, without structure that a codec or a file system could use. */
function incompressible(bytes: number): Buffer {
  const filled = Buffer.alloc(bytes);
  let state = 0x9e3779b9;
  for (let at = 0; at < bytes; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    filled[at] = state;
  }
  return filled;
}

/** Every other run of 32 bytes says again what stood before it: compresses to somewhat over a half, like structured text. */
function halfRepeated(bytes: Buffer): void {
  for (let at = REPEAT_BYTES; at < bytes.length; at += 2 * REPEAT_BYTES)
    bytes.copyWithin(at, at - REPEAT_BYTES, at);
}

const REPEAT_BYTES = 32;

/** A finished frame; its correlation id is at {@link CORRELATION_ID_AT}. */
export function produceFrame(topic: string, partition: number, records: Uint8Array, acks: Acks = -1): Buffer {
  const request = {
    acks,
    timeoutMs: REQUEST_TIMEOUT_MS,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  };
  return Buffer.concat(encodeRequest(produce, PRODUCE_VERSION, 0, CLIENT_ID, request));
}

/** Where things stand in a response, counted from behind the length prefix. */
export interface ProducePositions {
  readonly errorCodeAt: number;
}

export function producePositions(topic: string): ProducePositions {
  const encode = (errorCode: number): Buffer =>
    body(
      encodeResponse(produce, PRODUCE_VERSION, 0, {
        responses: [{ name: topic, partitionResponses: [{ index: 0, errorCode, baseOffset: 0 }] }],
      }),
    );
  return { errorCodeAt: firstDifference(encode(0), encode(-1)) };
}

export interface FetchShape {
  readonly topic: string;
  readonly partition: number;
  readonly bytesMax: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
}

export interface FetchFrame {
  readonly frame: Buffer;
  /** Of the int64 in the frame. */
  readonly fetchOffsetAt: number;
}

export function fetchFrame(shape: FetchShape): FetchFrame {
  const encode = (fetchOffset: number): Buffer =>
    Buffer.concat(
      encodeRequest(fetch, FETCH_VERSION, 0, CLIENT_ID, {
        maxWaitMs: shape.maxWaitMs,
        minBytes: shape.minBytes,
        maxBytes: shape.bytesMax,
        topics: [
          {
            topic: shape.topic,
            partitions: [{ partition: shape.partition, fetchOffset, partitionMaxBytes: shape.bytesMax }],
          },
        ],
        forgottenTopicsData: [],
      }),
    );
  const frame = encode(0);
  return { frame, fetchOffsetAt: firstDifference(frame, encode(-1)) };
}

/** Where things stand in a response to a fetch of one partition, counted from behind the length prefix. */
export interface FetchPositions {
  readonly errorCodeAt: number;
  readonly partitionErrorCodeAt: number;
  /** An unsigned varint: the length plus one. The records follow it. */
  readonly recordsLengthAt: number;
}

export function fetchPositions(topic: string): FetchPositions {
  const encode = (errorCode: number, partitionErrorCode: number, records: Uint8Array): Buffer => {
    const response: FetchResponseInit = {
      errorCode,
      sessionId: 0,
      responses: [
        {
          topic,
          partitions: [{ partitionIndex: 0, errorCode: partitionErrorCode, highWatermark: 0, records }],
        },
      ],
    };
    return body(encodeResponse(fetch, FETCH_VERSION, 0, response));
  };
  const plain = encode(0, 0, new Uint8Array(0));
  return {
    errorCodeAt: firstDifference(plain, encode(-1, 0, new Uint8Array(0))),
    partitionErrorCodeAt: firstDifference(plain, encode(0, -1, new Uint8Array(0))),
    recordsLengthAt: firstDifference(plain, encode(0, 0, new Uint8Array(1))),
  };
}

function body(chunks: readonly Uint8Array[]): Buffer {
  return Buffer.concat(chunks).subarray(FRAME_LENGTH_BYTES);
}

/** The first byte in which two encodings differ: where the field that differs begins. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return at;
  throw new Error('the encodings do not differ');
}

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MalformedError, Reader, TruncatedError } from '@polylog/bytes';
import {
  FRAME_LENGTH_BYTES,
  apiByKey,
  apiVersions,
  apis,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  fetch,
  kafkaErrorName,
  kafkaErrors,
  metadata,
  offsetDelete,
  produce,
  requestHeaderVersion,
  responseHeaderVersion,
  type Api,
  type KafkaErrorName,
} from '@polylog/kafka-protocol';

function header(hex: string): Reader {
  return new Reader(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

test('the registry finds every API by its key, and keys and names are unique', () => {
  const all = Object.values(apis) as Api[];
  for (const api of all) assert.equal(apiByKey(api.key), api);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.equal(apiByKey(-1), undefined);
  assert.equal(apiByKey(9999), undefined);
});

test('flexible versions have request header 2 and response header 1', () => {
  assert.equal(requestHeaderVersion(metadata, 8), 1);
  assert.equal(requestHeaderVersion(metadata, 9), 2);
  assert.equal(responseHeaderVersion(metadata, 8), 0);
  assert.equal(responseHeaderVersion(metadata, 9), 1);
});

test('ApiVersions answers with header 0 in every version, so that any client can read it', () => {
  for (let version = 0; version <= 4; version++) assert.equal(responseHeaderVersion(apiVersions, version), 0);
  assert.equal(requestHeaderVersion(apiVersions, 3), 2);
});

test('OffsetDelete is never flexible', () => {
  assert.equal(requestHeaderVersion(offsetDelete, 0), 1);
  assert.equal(responseHeaderVersion(offsetDelete, 0), 0);
});

test('a request header keeps its int16 client id in flexible versions, and skips unknown tags', () => {
  const reader = header('0003 0009 00000007 0003 636c69 01 0a 02 abcd');
  assert.deepEqual(decodeRequestHeader(reader), {
    apiKey: 3,
    apiVersion: 9,
    correlationId: 7,
    clientId: 'cli',
    api: metadata,
  });
  assert.equal(reader.remaining, 0);
});

test('a client id may be null', () => {
  assert.equal(decodeRequestHeader(header('0003 0001 00000007 ffff')).clientId, null);
});

test('the header of an unknown API, or of an unknown version, is still readable', () => {
  assert.equal(decodeRequestHeader(header('7000 0001 00000007 0000')).api, undefined);
  const unheardOf = decodeRequestHeader(header('0012 0063 00000007 0000 00'));
  assert.equal(unheardOf.api, apiVersions);
  assert.equal(unheardOf.apiVersion, 0x63);
  assert.equal(decodeRequestHeader(header('0003 ffff 00000007 0000')).apiVersion, -1);
});

test('a short or malformed header is the fault of the peer', () => {
  const bytes = Buffer.from('0003000900000007000363 6c6900'.replaceAll(' ', ''), 'hex');
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeRequestHeader(new Reader(bytes, 0, length)), TruncatedError);
  }
  assert.throws(() => decodeRequestHeader(header('0003 0001 00000007 fffe')), MalformedError);
});

test('frames tell their length over all chunks, and large records stay where they are', () => {
  const batch = Buffer.alloc(1 << 20, 3);
  const chunks = encodeResponse(fetch, 12, 9, {
    responses: [
      { topic: 't', partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 5, records: batch }] },
      { topic: 'u', partitions: [{ partitionIndex: 1, errorCode: 0, highWatermark: 6, records: batch }] },
    ],
  });
  assert.equal(chunks.filter((chunk) => chunk.buffer === batch.buffer).length, 2);
  const frame = Buffer.concat(chunks);
  assert.equal(frame.readInt32BE(), frame.length - FRAME_LENGTH_BYTES);
  const { correlationId, body } = decodeResponse(fetch, 12, new Reader(frame, FRAME_LENGTH_BYTES));
  assert.equal(correlationId, 9);
  assert.deepEqual(
    body.responses.map(({ topic, partitions }) => [
      topic,
      partitions[0]?.highWatermark,
      partitions[0]?.records?.length,
    ]),
    [
      ['t', 5, batch.length],
      ['u', 6, batch.length],
    ],
  );
});

test('a request that grows beyond the first buffer of its writer keeps its length prefix', () => {
  const name = 'n'.repeat(30_000);
  const frame = Buffer.concat(
    encodeRequest(produce, 7, 1, null, { acks: 1, timeoutMs: 0, topicData: [{ name, partitionData: [] }] }),
  );
  assert.equal(frame.readInt32BE(), frame.length - FRAME_LENGTH_BYTES);
});

test('the durable offset of a follower travels in Fetch under a private tag, which others skip', () => {
  const partition = { partition: 0, fetchOffset: 10, partitionMaxBytes: 1, durableOffset: 8 };
  const body = { maxWaitMs: 0, minBytes: 0, topics: [{ partitions: [partition] }] };
  const frame = Buffer.concat(encodeRequest(fetch, 13, 1, null, body));
  const reader = new Reader(frame, FRAME_LENGTH_BYTES);
  decodeRequestHeader(reader);
  assert.equal(fetch.request.decode(reader, 13).topics[0]?.partitions[0]?.durableOffset, 8);
  assert.ok(
    frame.includes(Buffer.from('01904e080000000000000008', 'hex')),
    'one tag, 10000 as varint, eight bytes',
  );
});

test('error codes are Kafka’s: from -1 to 133 without a gap, each with one name', () => {
  const entries = Object.entries(kafkaErrors) as [KafkaErrorName, { code: number }][];
  assert.deepEqual(
    entries.map(([, { code }]) => code),
    Array.from({ length: 135 }, (_, index) => index - 1),
  );
  for (const [name, { code }] of entries) assert.equal(kafkaErrorName(code), name);
  assert.equal(kafkaErrorName(134), undefined);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Reader } from '@polylog/bytes';
import { FRAME_LENGTH_BYTES, decodeRequestHeader, encodeRequest, produce } from '@polylog/kafka-protocol';

/** A frame, length prefix included, as a stock client sent it to a server that speaks every version of this package. */
interface Captured {
  readonly client: string;
  readonly api: string;
  readonly version: number;
  readonly hex: string;
}

const captured = readFileSync(new URL('captured/requests.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Captured);

for (const { client, api: name, version, hex } of captured) {
  test(`${name} v${version} of ${client} decodes to its last byte, and encodes to the same`, () => {
    const frame = Buffer.from(hex, 'hex');
    const reader = new Reader(frame, FRAME_LENGTH_BYTES);
    const { api, apiVersion, correlationId, clientId } = decodeRequestHeader(reader);
    assert.ok(api !== undefined);
    assert.deepEqual([api.name, apiVersion], [name, version]);
    const body = api.request.decode(reader, version);
    assert.equal(reader.remaining, 0);
    const again = Buffer.concat(encodeRequest(api, version, correlationId, clientId, body as never));
    assert.equal(again.toString('hex'), hex);
  });
}

for (const { client, version, hex } of captured.filter(({ api }) => api === 'Produce')) {
  test(`${client} produces one batch of format v2 to partition 0`, () => {
    const reader = new Reader(Buffer.from(hex, 'hex'), FRAME_LENGTH_BYTES);
    decodeRequestHeader(reader);
    const { acks, topicData } = produce.request.decode(reader, version);
    assert.equal(acks, -1);
    assert.deepEqual(
      topicData.map(({ partitionData }) => partitionData.map(({ index, records }) => [index, records?.[16]])),
      [[[0, 2]]],
    );
  });
}

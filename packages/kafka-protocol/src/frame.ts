import { Reader, Writer } from '@polylog/bytes';

import { apiByKey } from './apis.ts';
import { apiVersions } from './messages/api-versions.ts';
import { isFlexible, nullable, string, struct } from './schema/index.ts';
import type { Api } from './schema/index.ts';
import { compile } from './schema/type.ts';

/**
 * ```
 * frame            int32 length of what follows, header, body
 * request header   int16 api key, int16 version, int32 correlation id, nullable string client id    v1
 *                  + tag buffer; the client id keeps its int16 length                               v2
 * response header  int32 correlation id                                                             v0
 *                  + tag buffer                                                                     v1
 * ```
 */
export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /**
   * The API of that key; undefined for an unknown one, whose header was read as v1 since nobody can tell. The version
   * may still be out of the API's range.
   */
  readonly api: Api | undefined;
}

/** Length prefix of a frame. */
export const FRAME_LENGTH_BYTES = 4;

/** 2 where the version is flexible, else 1 (v0 belonged to an API between Kafka's own brokers). */
export function requestHeaderVersion(api: Pick<Api, 'flexibleSince'>, version: number): 1 | 2 {
  return isFlexible(api, version) ? 2 : 1;
}

/** ApiVersions keeps v0, so that a client can read the refusal of a version that it made up (KIP-511). */
export function responseHeaderVersion(api: Pick<Api, 'flexibleSince' | 'key'>, version: number): 0 | 1 {
  return isFlexible(api, version) && api.key !== apiVersions.key ? 1 : 0;
}

// KIP-482 left the client id as it was, so that a broker can read it before it knows the version.
const clientIdCodec = compile(nullable(string), {
  version: 0,
  flexible: false,
  nullable: false,
  spans: null,
});
const emptyTagsCodec = compile(struct({}), { version: 0, flexible: true, nullable: false, spans: null });

/** Reads what stands behind the length prefix; the reader is then at the body. Throws MalformedError. */
export function decodeRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const clientId = clientIdCodec.decode(reader);
  const api = apiByKey(apiKey);
  if (api !== undefined && requestHeaderVersion(api, apiVersion) === 2) emptyTagsCodec.decode(reader);
  return { apiKey, apiVersion, correlationId, clientId, api };
}

/**
 * A frame as chunks for one gathered write, length prefix included. Large byte fields are referenced, not copied: they
 * must stay unchanged until they are written out.
 */
export function encodeRequest<QI>(
  api: Api<unknown, QI>,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: QI,
): Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  clientIdCodec.encode(writer, clientId);
  if (requestHeaderVersion(api, version) === 2) writer.uvarint(0);
  api.request.encode(writer, version, body);
  return framed(writer);
}

/** As {@link encodeRequest}, for the answer. */
export function encodeResponse<SI>(
  api: Api<unknown, never, unknown, SI>,
  version: number,
  correlationId: number,
  body: SI,
): Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  writer.int32(correlationId);
  if (responseHeaderVersion(api, version) === 1) writer.uvarint(0);
  api.response.encode(writer, version, body);
  return framed(writer);
}

/** The prefix was written first, so it opens the first chunk. */
function framed(writer: Writer): Uint8Array[] {
  const length = writer.length - FRAME_LENGTH_BYTES;
  const chunks = writer.chunks();
  const first = chunks[0]!;
  first[0] = length >>> 24;
  first[1] = length >>> 16;
  first[2] = length >>> 8;
  first[3] = length;
  return chunks;
}

/** Reads what stands behind the length prefix. Throws MalformedError. */
export function decodeResponse<S>(
  api: Api<unknown, never, S>,
  version: number,
  reader: Reader,
): { correlationId: number; body: S } {
  const correlationId = reader.int32();
  if (responseHeaderVersion(api, version) === 1) emptyTagsCodec.decode(reader);
  return { correlationId, body: api.response.decode(reader, version) };
}

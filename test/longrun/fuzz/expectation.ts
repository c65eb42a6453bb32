import { MalformedError, Reader } from '@polylog/bytes';
import {
  apis,
  decodeRequestHeader,
  FRAME_LENGTH_BYTES,
  requestHeaderVersion,
  type Api,
  type CreatePartitionsRequest,
  type CreateTopicsRequest,
  type MetadataRequest,
  type ProduceRequest,
} from '@polylog/kafka-protocol';

/** As the broker's defaults have it. */
const REQUEST_BYTES_MAX = 100 * 1024 * 1024;
const CLIENT_ID_LENGTH_MAX = 1024;

/** What the broker must do with a frame. */
export type Expectation =
  | { readonly kind: 'answer'; readonly api: Api; readonly version: number; readonly correlationId: number }
  /** Produce with acks=0: no answer, and an error closes the connection. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'close' }
  /** The frame is not complete: the broker waits for the rest. */
  | { readonly kind: 'wait' };

export interface Prediction {
  readonly expectation: Expectation;
  /** Whether size and header are valid and the version is served, so that the body is decoded. */
  readonly reachesBody: boolean;
  readonly api: Api | undefined;
  readonly version: number;
  /** Undefined if it was refused before. */
  readonly body: unknown;
  /** Where the body starts. */
  readonly bodyAt: number;
}

/** The versions that a broker serves, by API key. */
export type Served = ReadonlyMap<number, { readonly min: number; readonly max: number }>;

const NOTHING = { reachesBody: false, api: undefined, version: -1, body: undefined, bodyAt: 0 };

/** Says what a frame must lead to, by decoding it with the same schemas: a broker that does anything else has a bug. */
export function predict(frame: Uint8Array, served: Served): Prediction {
  if (frame.length < FRAME_LENGTH_BYTES) return { ...NOTHING, expectation: { kind: 'wait' } };
  const reader = new Reader(frame);
  const length = reader.int32();
  if (length < 0 || length > REQUEST_BYTES_MAX) return { ...NOTHING, expectation: { kind: 'close' } };
  if (length > frame.length - FRAME_LENGTH_BYTES) return { ...NOTHING, expectation: { kind: 'wait' } };
  const inner = new Reader(frame, FRAME_LENGTH_BYTES, FRAME_LENGTH_BYTES + length);
  try {
    return predictWhole(inner, served);
  } catch (error) {
    if (error instanceof MalformedError) return { ...NOTHING, expectation: { kind: 'close' } };
    throw error;
  }
}

function predictWhole(reader: Reader, served: Served): Prediction {
  const { api, apiVersion: version, correlationId, clientId } = decodeRequestHeader(reader);
  const versions = api === undefined ? undefined : served.get(api.key);
  if (api === undefined || versions === undefined || (clientId ?? '').length > CLIENT_ID_LENGTH_MAX) {
    return { ...NOTHING, expectation: { kind: 'close' } };
  }
  if (version < versions.min || version > versions.max) {
    const isNegotiable = api.key === apis.apiVersions.key;
    return {
      ...NOTHING,
      // KIP-511: answered in v0.
      expectation: isNegotiable ? { kind: 'answer', api, version: 0, correlationId } : { kind: 'close' },
    };
  }
  const known = { reachesBody: true, api, version, bodyAt: reader.position };
  let body: unknown;
  try {
    body = api.request.decode(reader, version);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { ...known, body: undefined, expectation: { kind: 'close' } };
  }
  const isSilent = api.key === apis.produce.key && (body as ProduceRequest).acks === 0;
  return {
    ...known,
    body,
    expectation: isSilent ? { kind: 'silence' } : { kind: 'answer', api, version, correlationId },
  };
}

/** The limits within which a run stays, so that it tests decoding and handling and not the size of the disk. */
export class Allowances {
  readonly #names: ReadonlySet<string>;
  #strayTopics = 0;

  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
  }

  /** Topics that came to be by names which mutations made. */
  get strayTopics(): number {
    return this.#strayTopics;
  }

  /** Whether the broker would do something large for the request, rightly, which would only slow down the run. */
  permits({ api, version, body }: Prediction): boolean {
    if (api === undefined || body === undefined) return true;
    switch (api.key) {
      case apis.metadata.key: {
        const { topics, allowAutoTopicCreation } = body as MetadataRequest;
        if (version >= 4 && !allowAutoTopicCreation) return true;
        return this.#spend((topics ?? []).map(({ name }) => name ?? ''));
      }
      case apis.createTopics.key: {
        const { topics, validateOnly } = body as CreateTopicsRequest;
        if (validateOnly) return true;
        if (topics.some((topic) => isMany(topic.numPartitions) || isMany(topic.assignments.length))) {
          return false;
        }
        return this.#spend(topics.map(({ name }) => name));
      }
      case apis.createPartitions.key: {
        const { topics, validateOnly } = body as CreatePartitionsRequest;
        return validateOnly || !topics.some(({ count }) => isMany(count));
      }
      default:
        return true;
    }
  }

  #spend(names: readonly string[]): boolean {
    const strays = names.filter((name) => LEGAL_NAME.test(name) && !this.#names.has(name)).length;
    if (this.#strayTopics + strays > STRAY_TOPICS_MAX) return strays === 0;
    this.#strayTopics += strays;
    return true;
  }
}

const STRAY_TOPICS_MAX = 300;
const LEGAL_NAME = /^[a-zA-Z0-9._-]{1,249}$/;
const PARTITIONS_MAX = 16;
/** As the broker's default has it: more is refused at once. */
const TOPIC_PARTITIONS_MAX = 10_000;

function isMany(partitions: number): boolean {
  return partitions > PARTITIONS_MAX && partitions <= TOPIC_PARTITIONS_MAX;
}

export function headerBytesOf(api: Api, version: number, correlationId: number, clientId: string): Buffer {
  const id = Buffer.from(clientId);
  const header = Buffer.alloc(10 + id.length + (requestHeaderVersion(api, version) === 2 ? 1 : 0));
  header.writeInt16BE(api.key, 0);
  header.writeInt16BE(version, 2);
  header.writeInt32BE(correlationId, 4);
  header.writeInt16BE(id.length, 8);
  id.copy(header, 10);
  return header;
}

import { encodeWithSpans, FRAME_LENGTH_BYTES, type Api } from '@polylog/kafka-protocol';

import { boundary, flipBits, splice, varint } from './bytes.ts';
import { Allowances, headerBytesOf, predict, type Expectation, type Served } from './expectation.ts';
import { mutateOnce, withMutatedBatches, type Spanned } from './mutate.ts';
import { SeededRandom } from './random.ts';
import { makeBody } from './values.ts';
import { withoutLongWaits } from './waits.ts';
import type { World } from './world.ts';

/** One request as it goes over the wire. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly expectation: Expectation;
  readonly reachesBody: boolean;
  /** For example `Fetch v12`; empty where the header does not say. */
  readonly title: string;
}

const BASES_PER_VERSION = 24;
/** After so many frames an API's version gets new base values: the ids of topics change, too. */
const BASE_USES_MAX = 400;
const ATTEMPTS_MAX = 8;
const CLIENT_ID = 'fuzz';

interface Target {
  readonly api: Api;
  readonly version: number;
  bases: (Spanned & { readonly value: unknown })[];
  uses: number;
}

/** Makes frames: each from its seed and number of calls alone, given what the world is told. */
export class FrameSource {
  readonly #random: SeededRandom;
  readonly #world: World;
  readonly #served: Served;
  readonly #targets: Target[] = [];
  readonly #allowances: Allowances;
  #correlationId = 0;
  /** How many frames of each API and version came. */
  readonly counts = new Map<string, number>();

  constructor(options: { seed: number; world: World; served: Served; apis: readonly Api[] }) {
    this.#random = new SeededRandom(options.seed);
    this.#world = options.world;
    this.#served = options.served;
    this.#allowances = new Allowances([...options.world.topics, ...options.world.passingTopics]);
    for (const api of options.apis) {
      const range = options.served.get(api.key);
      if (range === undefined) continue;
      for (let version = range.min; version <= range.max; version++) {
        this.#targets.push({ api, version, bases: [], uses: 0 });
      }
    }
  }

  get targetCount(): number {
    return this.#targets.length;
  }

  /** Topics that came to be under names which mutations made. */
  get strayTopics(): number {
    return this.#allowances.strayTopics;
  }

  next(): Frame {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const frame = this.#attempt(attempt === ATTEMPTS_MAX - 1);
      if (frame !== undefined) return frame;
    }
    throw new Error('no frame that the run can afford');
  }

  /** Undefined if it would be too much for the broker's disk. A plain one never is. */
  #attempt(plain: boolean): Frame | undefined {
    const random = this.#random;
    const target = random.pick(this.#targets);
    const { api, version } = target;
    const kind = plain ? 0 : random.int(0, 99);
    const body = this.#bodyOf(target, kind);
    this.#correlationId = (this.#correlationId + 1) | 0;
    let header: Uint8Array = headerBytesOf(api, version, this.#correlationId, CLIENT_ID);
    if (kind >= 90 && kind < 96) header = mutateHeader(header, random);
    let bytes: Uint8Array = Buffer.allocUnsafe(FRAME_LENGTH_BYTES + header.length + body.length);
    Buffer.from(bytes.buffer, bytes.byteOffset).writeInt32BE(header.length + body.length);
    bytes.set(header, FRAME_LENGTH_BYTES);
    bytes.set(body, FRAME_LENGTH_BYTES + header.length);
    if (kind >= 96) bytes = mutateFraming(bytes, random);
    const prediction = predict(bytes, this.#served);
    const { expectation, reachesBody } = prediction;
    // What follows a prefix that is too small would be taken for the next frame.
    if (kind >= 96 && expectation.kind !== 'close' && expectation.kind !== 'wait') return undefined;
    if (!this.#allowances.permits(prediction)) return undefined;
    bytes = withoutLongWaits(bytes, prediction);
    const title = prediction.api === undefined ? '' : `${prediction.api.name} v${prediction.version}`;
    this.counts.set(title, (this.counts.get(title) ?? 0) + 1);
    return { bytes, expectation, reachesBody, title };
  }

  /** 0 to 11: as it is; up to 27: its batches damaged, if it has any; up to 89: one to three faults in its fields; else as it is. */
  #bodyOf(target: Target, kind: number): Uint8Array {
    const random = this.#random;
    const base = this.#baseOf(target);
    if (kind < 12 || kind >= 90) return base.bytes;
    if (kind < 28 && base.spans.some(({ type }) => type === 'records')) {
      return this.#encode(target, withMutatedBatches(base.value, random)).bytes;
    }
    let bytes = mutateOnce(base, random.pick(this.#targets).bases[0] ?? base, random);
    // Spans belong to the bytes before the first fault; faults beyond it turn bits wherever they are.
    for (let more = random.chance(0.25) ? random.int(1, 2) : 0; more > 0; more--)
      bytes = flipBits(bytes, random);
    return bytes;
  }

  #baseOf(target: Target): Spanned & { readonly value: unknown } {
    if (target.uses++ >= BASE_USES_MAX) {
      target.bases = [];
      target.uses = 0;
    }
    if (target.bases.length < BASES_PER_VERSION && (target.bases.length === 0 || target.uses % 8 === 0)) {
      const value = makeBody(target.api, target.version, this.#random, this.#world);
      target.bases.push({ ...this.#encode(target, value), value });
      return target.bases.at(-1)!;
    }
    return this.#random.pick(target.bases);
  }

  #encode({ api, version }: Target, value: unknown): Spanned {
    return encodeWithSpans(api.request, version, value as never);
  }
}

/** Key, version, correlation id, client id's length, client id, tags. */
function mutateHeader(header: Uint8Array, random: SeededRandom): Uint8Array {
  switch (random.int(0, 6)) {
    case 0:
      return splice(header, 0, 2, boundary(2, random));
    case 1:
      return splice(header, 2, 4, boundary(2, random));
    case 2:
      return splice(header, 4, 8, boundary(4, random));
    case 3:
      return splice(header, 8, 10, boundary(2, random));
    case 4:
      return splice(header, header.length - 1, header.length, varint(random));
    case 5:
      return header.subarray(0, random.int(0, header.length));
    default:
      return flipBits(header, random);
  }
}

function mutateFraming(frame: Uint8Array, random: SeededRandom): Uint8Array {
  switch (random.int(0, 3)) {
    case 0:
      return splice(frame, 0, FRAME_LENGTH_BYTES, boundary(FRAME_LENGTH_BYTES, random));
    case 1:
      return frame.subarray(0, random.int(1, frame.length - 1));
    case 2: {
      const claimed = Buffer.alloc(FRAME_LENGTH_BYTES);
      claimed.writeInt32BE(random.int(0, frame.length));
      return splice(frame, 0, FRAME_LENGTH_BYTES, claimed);
    }
    default:
      return splice(frame, 0, 0, random.bytes(random.int(1, 4)));
  }
}

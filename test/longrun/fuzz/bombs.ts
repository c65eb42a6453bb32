import { zstdCompressSync, gzipSync } from 'node:zlib';

import { compress } from '@polylog/bytes';
import { apis } from '@polylog/kafka-protocol';
import {
  BATCH_HEADER_BYTES,
  BATCH_OVERHEAD_BYTES,
  MAGIC_V2,
  patchCrc,
  RECORDS_AT,
  writeBatchHeader,
} from '@polylog/record';

import { KafkaClient } from './client.ts';
import { describeHealth } from './healthy.ts';
import type { FuzzSession } from './run.ts';
import { createTopics } from './setup.ts';
import { ANSWER_MS_MAX } from './waits.ts';

const MIB = 1024 * 1024;
/** Below the default of max.message.bytes. */
const BOMB_BYTES_MAX = MIB - BATCH_HEADER_BYTES;
/** What is packed at once; members of it are then repeated, which all codecs allow. */
const PIECE_BYTES = 32 * MIB;
const PRODUCE_VERSION = 9;
/** MESSAGE_TOO_LARGE, INVALID_RECORD, REQUEST_TIMED_OUT when too many wait. */
const RIGHT_ERRORS: ReadonlySet<number> = new Set([10, 87, 7]);

interface Bomb {
  readonly name: string;
  readonly codecId: number;
  readonly records: Uint8Array;
  /** What it expands to, or claims to. */
  readonly expandsTo: string;
  /** Whether that is below what the broker unpacks. */
  readonly isSmall?: boolean;
  /** The topic that stores this codec as it comes. */
  readonly untouchedBy?: string;
}

/**
 * The worst of each codec in 1 MiB. gzip and zstd reach more than 1 GiB; an LZ4 block cannot expand to more than 255 times its size,
 * snappy to 21 times, so theirs claim more than they hold.
 */
function makeBombs(): readonly Bomb[] {
  const zeros = new Uint8Array(PIECE_BYTES);
  const gzip = repeated(gzipSync(zeros, { level: 9 }));
  const zstd = repeated(zstdCompressSync(zeros));
  const lz4 = Buffer.from(compress('lz4', new Uint8Array(254 * MIB)));
  const snappy = Buffer.from(compress('snappy', new Uint8Array(20 * MIB)));
  const gib = (pieces: number): string => `${((pieces * PIECE_BYTES) / 1024 / MIB).toFixed(1)} GiB`;
  return [
    { name: 'gzip', codecId: 1, records: gzip.bytes, expandsTo: gib(gzip.pieces), untouchedBy: 'bomb-gzip' },
    { name: 'zstd', codecId: 4, records: zstd.bytes, expandsTo: gib(zstd.pieces) },
    { name: 'lz4', codecId: 3, records: lz4.subarray(0, BOMB_BYTES_MAX), expandsTo: '254 MiB' },
    {
      name: 'snappy',
      codecId: 2,
      records: snappy.subarray(0, BOMB_BYTES_MAX),
      expandsTo: '20 MiB',
      isSmall: true,
    },
    { name: 'lz4, claimed', codecId: 3, records: claimingLz4(), expandsTo: '1 TiB by its own word' },
    { name: 'snappy, claimed', codecId: 2, records: claimingSnappy(), expandsTo: '4 GiB by its own word' },
    { name: 'zstd, claimed', codecId: 4, records: claimingZstd(), expandsTo: '1 TiB by its own word' },
  ];
}

function repeated(piece: Buffer): { bytes: Buffer; pieces: number } {
  const pieces = Math.floor(BOMB_BYTES_MAX / piece.length);
  return { bytes: Buffer.concat(Array.from({ length: pieces }, () => piece)), pieces };
}

/** A frame whose header states 2^40 bytes of content, and then a block of nothing. */
function claimingLz4(): Uint8Array {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
  return Buffer.concat([header, Buffer.alloc(BOMB_BYTES_MAX - header.length)]);
}

/** A raw block whose length, 2^32 - 1, is all that is true of it. */
function claimingSnappy(): Uint8Array {
  return Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(BOMB_BYTES_MAX - 5)]);
}

/** A frame header with an eight-byte content size of 2^40 and the largest window. */
function claimingZstd(): Uint8Array {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x88, 0, 0, 0, 0, 0, 1, 0, 0]);
  return Buffer.concat([header, Buffer.alloc(BOMB_BYTES_MAX - header.length)]);
}

function batchOf({ codecId, records }: Bomb): Uint8Array {
  const batch = Buffer.alloc(BATCH_HEADER_BYTES + records.length);
  writeBatchHeader(batch, 0, {
    baseOffset: 0,
    batchLength: batch.length - BATCH_OVERHEAD_BYTES,
    partitionLeaderEpoch: -1,
    magic: MAGIC_V2,
    crc: 0,
    attributes: codecId,
    lastOffsetDelta: 0,
    baseTimestamp: Date.now(),
    maxTimestamp: Date.now(),
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount: 1,
  });
  batch.set(records, RECORDS_AT);
  patchCrc(batch);
  return batch;
}

const TOPICS = [
  { name: 'bomb-compact', configs: { 'cleanup.policy': 'compact' } },
  { name: 'bomb-gzip', configs: { 'compression.type': 'gzip' } },
  { name: 'bomb-uncompressed', configs: { 'compression.type': 'uncompressed' } },
];

/** Sends each bomb `rounds` times over each of several connections at once, to topics whose batches the broker has to unpack. */
export async function bombs(
  { broker, healthy, findings, print }: FuzzSession,
  { clients, rounds }: { readonly clients: number; readonly rounds: number },
): Promise<void> {
  const client = await KafkaClient.open(broker.port);
  await createTopics(client, TOPICS);
  client.close();
  const batches = makeBombs().map((bomb) => ({ bomb, batch: batchOf(bomb) }));
  const before = await broker.memory();
  await healthy.report();
  for (const { bomb, batch } of batches) {
    const startedMs = performance.now();
    const outcomes = new Map<number, number>();
    const throwOne = async (): Promise<void> => {
      const attacker = await KafkaClient.open(broker.port);
      for (let round = 0; round < rounds; round++) {
        for (const { name } of TOPICS) {
          const code = await withinDeadline(
            attacker.request(apis.produce, PRODUCE_VERSION, {
              acks: -1,
              timeoutMs: ANSWER_MS_MAX,
              topicData: [{ name, partitionData: [{ index: 0, records: batch }] }],
            }),
          );
          outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
          // What stays within the limit is taken where records are not read, and so is what needs no unpacking at all.
          const isTaken =
            code === 0 && name !== 'bomb-compact' && (bomb.isSmall || name === bomb.untouchedBy);
          const isRight = isTaken || RIGHT_ERRORS.has(code);
          if (!isRight)
            findings.add({ what: `bomb ${bomb.name} to ${name}`, title: `error ${code}`, hex: '' });
        }
      }
      attacker.close();
    };
    await Promise.all(Array.from({ length: clients }, throwOne));
    const { rssMib, peakMib } = await broker.resident();
    const codes = [...outcomes].map(([code, count]) => `${count} x ${code}`).join(', ');
    print(
      `bomb ${bomb.name}: ${batch.length} bytes to ${bomb.expandsTo}, answered ${codes} in ` +
        `${((performance.now() - startedMs) / 1000).toFixed(1)} s; ${rssMib.toFixed(0)} MiB resident, peak ${peakMib.toFixed(0)}`,
    );
  }
  print(describeHealth('beside the bombs', await healthy.report()));
  const after = await broker.memory();
  print(`bombs: ${before.rssMib.toFixed(0)} MiB resident before, ${after.rssMib.toFixed(0)} after`);
}

const NO_ANSWER = -2;

/** The error code of the one partition, or {@link NO_ANSWER}. */
async function withinDeadline(
  answer: Promise<{
    readonly responses: readonly {
      readonly partitionResponses: readonly { readonly errorCode: number }[];
    }[];
  }>,
): Promise<number> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), 2 * ANSWER_MS_MAX);
  try {
    const { responses } = (await Promise.race([answer, late.promise])) ?? { responses: [] };
    return responses[0]?.partitionResponses[0]?.errorCode ?? NO_ANSWER;
  } finally {
    clearTimeout(timer);
  }
}

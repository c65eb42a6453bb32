import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { crc32c, MalformedError, Reader } from '@polylog/bytes';
import { CliError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';

const PARTITION_FOLDER = /^(?<topic>.+)-(?<partition>\d+)$/;
const SEGMENT_FILE = /^(?<offset>\d{20})\.(?<kind>log|index|timeindex|snapshot)$/;
const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint';
const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint';

/** One partition's folder, and which of its files are meant. */
export interface PartitionFolder {
  readonly folder: string;
  readonly topic: string;
  readonly partition: number;
  /** Below it all is known to be on the disk; undefined if the data folder does not say. */
  readonly recoveryPoint: number | undefined;
  readonly segments: readonly SegmentFiles[];
  /** Offsets of snapshot files. */
  readonly snapshots: readonly number[];
}

export interface SegmentFiles {
  readonly baseOffset: number;
  /** Path without its ending. */
  readonly stem: string;
  readonly isLast: boolean;
}

/**
 * The partitions that a path names: a data folder, a partition's folder, or one of a segment's files. In the order of their names.
 *
 * @throws CliError (not found)
 */
export async function findPartitions(given: string): Promise<PartitionFolder[]> {
  const target = path.resolve(given);
  const info = await stat(target).catch((error: unknown) => {
    throw new CliError(`cannot read ${given}`, {
      exitCode: EXIT.notFound,
      code: 'NO_SUCH_FILE',
      cause: error,
    });
  });
  if (info.isFile()) {
    const match = SEGMENT_FILE.exec(path.basename(target));
    if (match === null) throw nothingThere(given);
    return [await readFolder(path.dirname(target), Number(match.groups!['offset']))];
  }
  const names = await readdir(target);
  if (names.some((name) => SEGMENT_FILE.test(name))) return [await readFolder(target)];
  const folders = await readdir(target, { withFileTypes: true });
  const partitions = folders
    .filter((entry) => entry.isDirectory() && PARTITION_FOLDER.test(entry.name))
    .map(({ name }) => path.join(target, name));
  if (partitions.length === 0) throw nothingThere(given);
  const found = await Promise.all(partitions.map((folder) => readFolder(folder)));
  return found.toSorted((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  );
}

function nothingThere(given: string): CliError {
  return new CliError(`no partitions in ${given}`, {
    exitCode: EXIT.notFound,
    code: 'NO_PARTITIONS',
    hint: 'Give a data folder, a folder such as orders-0, or a segment such as 00000000000000000000.log.',
  });
}

/** @param only the base offset of the one segment that is meant */
async function readFolder(folder: string, only?: number): Promise<PartitionFolder> {
  const match = PARTITION_FOLDER.exec(path.basename(folder));
  const topic = match?.groups?.['topic'] ?? path.basename(folder);
  const partition = Number(match?.groups?.['partition'] ?? 0);
  const names = await readdir(folder);
  const offsets = (kind: string): number[] =>
    names
      .map((name) => SEGMENT_FILE.exec(name)?.groups)
      .filter((groups) => groups?.['kind'] === kind)
      .map((groups) => Number(groups!['offset']))
      .toSorted((a, b) => a - b);
  const bases = offsets('log');
  const segments = bases
    .map((baseOffset) => ({
      baseOffset,
      stem: path.join(folder, String(baseOffset).padStart(20, '0')),
      isLast: baseOffset === bases.at(-1),
    }))
    .filter(({ baseOffset }) => only === undefined || baseOffset === only);
  const recoveryPoint = await readRecoveryPoint(path.dirname(folder), topic, partition);
  return { folder, topic, partition, recoveryPoint, segments, snapshots: offsets('snapshot') };
}

async function readRecoveryPoint(
  data: string,
  topic: string,
  partition: number,
): Promise<number | undefined> {
  const text = await readTextIfThere(path.join(data, RECOVERY_POINT_FILE));
  for (const line of text?.split('\n').slice(2) ?? []) {
    const [name, number, offset] = line.split(' ');
    if (name === topic && Number(number) === partition) return Number(offset);
  }
  return undefined;
}

export interface LeaderEpoch {
  readonly epoch: number;
  readonly startOffset: number;
}

/** The lines of leader-epoch-checkpoint: version, count, then `epoch startOffset`. Throws MalformedError. */
export async function readLeaderEpochs(folder: string): Promise<LeaderEpoch[]> {
  const text = await readTextIfThere(path.join(folder, LEADER_EPOCH_FILE));
  if (text === undefined) return [];
  const [version, count, ...lines] = text.split('\n').filter((line) => line !== '');
  const entries = lines.map((line) => {
    const [epoch, startOffset] = line.split(' ').map(Number);
    return { epoch: epoch ?? NaN, startOffset: startOffset ?? NaN };
  });
  const isWhole = entries.every(
    (one) => Number.isSafeInteger(one.epoch) && Number.isSafeInteger(one.startOffset),
  );
  if (version !== '0' || Number(count) !== entries.length || !isWhole)
    throw new MalformedError('cannot be read');
  const rises = entries.every(({ epoch, startOffset }, index) => {
    const before = entries[index - 1];
    return before === undefined || (epoch > before.epoch && startOffset >= before.startOffset);
  });
  if (!rises) throw new MalformedError('epochs or offsets do not rise');
  return entries;
}

export interface ProducerState {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  readonly lastOffset: number;
  readonly timestamp: number;
  readonly coordinatorEpoch: number;
  readonly currentTxnFirstOffset: number;
}

const SNAPSHOT_VERSION = 1;
const SNAPSHOT_CRC_FROM = 6;

/** Kafka's producer snapshot, version 1: int16 version, CRC-32C of what follows, int32 count, then 46 bytes each. Throws MalformedError. */
export async function readSnapshot(folder: string, offset: number): Promise<ProducerState[]> {
  const bytes = await readFile(path.join(folder, `${String(offset).padStart(20, '0')}.snapshot`));
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version !== SNAPSHOT_VERSION) throw new MalformedError(`has the unknown version ${version}`);
  if (reader.uint32() !== crc32c(bytes.subarray(SNAPSHOT_CRC_FROM)))
    throw new MalformedError('has a wrong CRC');
  const states: ProducerState[] = [];
  for (let count = reader.int32(); count > 0; count--) {
    const [producerId, producerEpoch, lastSequence] = [reader.int64(), reader.int16(), reader.int32()];
    const lastOffset = reader.int64();
    reader.skip(4);
    const [timestamp, coordinatorEpoch, currentTxnFirstOffset] = [
      reader.int64(),
      reader.int32(),
      reader.int64(),
    ];
    states.push({
      producerId,
      producerEpoch,
      lastSequence,
      lastOffset,
      timestamp,
      coordinatorEpoch,
      currentTxnFirstOffset,
    });
  }
  return states;
}

async function readTextIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

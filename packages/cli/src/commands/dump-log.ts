import path from 'node:path';
import { MalformedError } from '@polylog/bytes';
import type { Command } from 'commander';
import { addCommand, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { Progress } from '../output/progress.ts';
import { counted, formatBytes, formatTime } from '../output/units.ts';
import { batchJson, batchText, recordsJson, recordsText } from '../storage/describe-batch.ts';
import { IndexCheck, readOffsetIndex, readTimeIndex } from '../storage/indexes.ts';
import {
  findPartitions,
  readLeaderEpochs,
  readSnapshot,
  type PartitionFolder,
  type SegmentFiles,
} from '../storage/partition-files.ts';
import { scanSegment, type ScanItem } from '../storage/segment-scan.ts';
import { integers, names } from '../values.ts';

/** More of one kind in one segment are counted, not listed. */
const PROBLEMS_LISTED_MAX = 20;

interface DumpOptions {
  readonly topic?: readonly string[];
  readonly partition?: readonly number[];
  readonly batches?: boolean;
  readonly records?: boolean;
  readonly indexes?: boolean;
  readonly producers?: boolean;
}

const NOTES = `
Nothing is written, and a broker need not run. Exit code 5 if something is
damaged. What cannot be read at the end of a log, above the recovery point, is
no damage: a crash leaves it, and the next start cuts it or takes it from the
journal.

With --json each line is an object with a "type": partition, segment, batch,
record, index, timeindex, producer, problem, and at last summary.`;

export function addDumpLogCommand(program: Command, runner: Runner): void {
  addCommand<DumpOptions, [string[]]>(program, runner, {
    usage: 'dump-log <path...>',
    summary: 'Read and verify a data folder, a partition or a segment offline',
    offline: true,
    options: [
      option('-t, --topic <name>', 'of a data folder only that topic; may be repeated', names),
      option('-p, --partition <n>', 'only that partition; may be repeated', integers(0)),
      option('--batches', 'print each batch'),
      option('--records', 'print each record'),
      option('--indexes', 'print the entries of .index and .timeindex'),
      option('--producers', 'print the producers in .snapshot files'),
    ],
    examples: [
      ['dump-log ./data', 'is everything whole?'],
      ['dump-log ./data --topic orders --records', 'what is in a topic'],
      ['dump-log ./data/orders-0/00000000000000000000.log --batches', 'one segment, with its indexes'],
    ],
    notes: NOTES,
    run: dumpLog,
  });
}

async function dumpLog(context: Context, options: DumpOptions, paths: string[]): Promise<ExitCode> {
  const dump = new Dump(context, options);
  for (const given of paths) {
    const all = await findPartitions(given);
    const chosen = all.filter(
      ({ topic, partition }) =>
        (options.topic?.includes(topic) ?? true) && (options.partition?.includes(partition) ?? true),
    );
    if (chosen.length === 0) {
      const message = `no such topic or partition in ${given}`;
      throw new CliError(message, { exitCode: EXIT.notFound, code: 'NO_PARTITIONS' });
    }
    for (const one of chosen) {
      if (context.signal.aborted) return EXIT.failed;
      await dump.partition(one);
    }
  }
  await dump.summary();
  return dump.isDamaged ? EXIT.unhealthy : EXIT.ok;
}

interface SegmentReport {
  batches: number;
  records: number;
  bytes: number;
  startOffset: number;
  endOffset: number;
  maxTimestamp: number;
  offsetEntries: number | null;
  timeEntries: number | null;
}

/** One run over some folders: prints as it goes, and counts. */
class Dump {
  readonly #context: Context;
  readonly #options: DumpOptions;
  readonly #progress: Progress;
  #partitions = 0;
  #segments = 0;
  #batches = 0;
  #records = 0;
  #bytes = 0;
  #problems = 0;
  #tails = 0;

  constructor(context: Context, options: DumpOptions) {
    this.#context = context;
    this.#options = options;
    this.#progress = new Progress(context.stderr, context.stdout.isTTY && this.#isDetailed);
  }

  get #isDetailed(): boolean {
    const { batches, records, indexes, producers } = this.#options;
    return [batches, records, indexes, producers].includes(true);
  }

  get isDamaged(): boolean {
    return this.#problems > 0;
  }

  async partition(one: PartitionFolder): Promise<void> {
    this.#partitions++;
    const { topic, partition, folder } = one;
    await this.#emit(
      { type: 'partition', topic, partition, folder, recoveryPoint: one.recoveryPoint ?? null },
      () => `${this.#context.bold(`${topic}-${partition}`)}${one.segments.length === 0 ? '  empty' : ''}\n`,
    );
    let expected: number | undefined;
    for (const segment of one.segments) {
      if (expected !== undefined && expected !== segment.baseOffset) {
        // After compaction a segment may end below the next one's start; overlapping is what cannot be.
        if (expected > segment.baseOffset) {
          await this.#problem(
            one,
            `segment ${segment.baseOffset} starts below the end ${expected} of the one before`,
          );
        }
      }
      expected = (await this.#segment(one, segment)).endOffset;
    }
    await this.#snapshots(one);
    await this.#epochs(one);
  }

  async summary(): Promise<void> {
    this.#progress.clear();
    const [partitions, segments, batches, records] = [
      this.#partitions,
      this.#segments,
      this.#batches,
      this.#records,
    ];
    const counts = { partitions, segments, batches, records, bytes: this.#bytes };
    const totals = {
      ...counts,
      problems: this.#problems,
      unfinishedTails: this.#tails,
      damaged: this.isDamaged,
    };
    await this.#emit({ type: 'summary', ...totals }, () => {
      const all = `${counted(segments, 'segment')}, ${counted(records, 'record')}, ${formatBytes(this.#bytes)}`;
      const tails = this.#tails === 0 ? '' : `; ${counted(this.#tails, 'unfinished tail')}`;
      const verdict = this.isDamaged
        ? this.#context.bad(`Damaged: ${counted(this.#problems, 'problem')}`)
        : this.#context.good('Whole');
      return `\n${verdict}: ${counted(partitions, 'partition')}, ${all}${tails}.\n`;
    });
  }

  async #segment(one: PartitionFolder, segment: SegmentFiles): Promise<SegmentReport> {
    this.#segments++;
    const { baseOffset, stem } = segment;
    const offsets = await readOffsetIndex(`${stem}.index`, baseOffset);
    const times = await readTimeIndex(`${stem}.timeindex`, baseOffset);
    const check = new IndexCheck(offsets, times);
    const report: SegmentReport = {
      batches: 0,
      records: 0,
      bytes: 0,
      startOffset: baseOffset,
      endOffset: baseOffset,
      maxTimestamp: -1,
      offsetEntries: offsets?.length ?? null,
      timeEntries: times?.length ?? null,
    };
    if (!this.#context.json && (this.#options.batches ?? this.#options.records) === true) {
      await this.#context.write(`  ${path.basename(stem)}.log\n`);
    }
    const damage: Extract<ScanItem, { kind: 'damage' }>[] = [];
    for await (const item of scanSegment(`${stem}.log`, baseOffset)) {
      if (this.#context.signal.aborted) break;
      if (item.kind === 'damage') {
        damage.push(item);
        continue;
      }
      check.batch(item.header, item.position);
      await this.#batch(one, item, report);
    }
    const isWhole = damage.length === 0 && !this.#context.signal.aborted;
    // Entries of what cannot be read match nothing, and say nothing new.
    if (isWhole) check.end();
    await this.#segmentLine(one, segment, report);
    for (const item of damage) await this.#damage(one, segment, item);
    if (isWhole)
      for (const fault of bounded(check.faults)) await this.#problem(one, `segment ${baseOffset}: ${fault}`);
    if (this.#options.indexes === true) {
      for (const entry of offsets ?? []) {
        await this.#emit(
          { type: 'index', baseOffset, ...entry },
          () => `    index      offset ${entry.offset} at byte ${entry.position}\n`,
        );
      }
      for (const entry of times ?? []) {
        await this.#emit(
          { type: 'timeindex', baseOffset, ...entry },
          () => `    timeindex  ${formatTime(entry.timestamp)} at offset ${entry.offset}\n`,
        );
      }
    }
    return report;
  }

  async #batch(
    one: PartitionFolder,
    item: Extract<ScanItem, { kind: 'batch' }>,
    report: SegmentReport,
  ): Promise<void> {
    const { header, position, sizeBytes } = item;
    if (report.batches === 0) report.startOffset = header.baseOffset;
    report.batches++;
    report.records += header.recordCount;
    report.bytes += sizeBytes;
    report.endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    report.maxTimestamp = Math.max(report.maxTimestamp, header.maxTimestamp);
    this.#batches++;
    this.#records += header.recordCount;
    this.#bytes += sizeBytes;
    this.#progress.update(
      () => `${one.topic}-${one.partition}: ${counted(this.#records, 'record')}, ${formatBytes(this.#bytes)}`,
    );
    if (this.#options.batches === true) {
      await this.#emit(batchJson(header, position, sizeBytes), () => batchText(header, position, sizeBytes));
    }
    try {
      if (this.#options.records !== true) return;
      if (this.#context.json) await this.#context.write(recordsJson(item.bytes, header, one));
      else await this.#context.write(recordsText(item.bytes, header, one));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      // Its CRC is right: a client sent it like that.
      await this.#problem(
        one,
        `the records of the batch at offset ${header.baseOffset} are malformed: ${error.message}`,
      );
    }
  }

  async #segmentLine(
    one: PartitionFolder,
    { baseOffset }: SegmentFiles,
    report: SegmentReport,
  ): Promise<void> {
    const { topic, partition } = one;
    await this.#emit({ type: 'segment', topic, partition, baseOffset, ...report }, () => {
      const offsets = report.batches === 0 ? 'empty' : offsetsText(report);
      const counts = `${counted(report.records, 'record')} in ${counted(report.batches, 'batch', 'batches')}`;
      const indexes = `${entriesText('index', report.offsetEntries)}, ${entriesText('timeindex', report.timeEntries)}`;
      const name = String(baseOffset).padStart(20, '0');
      return `  ${name}  ${offsets}, ${formatBytes(report.bytes)}\n    ${counts}; ${indexes}\n`;
    });
  }

  /** Above the recovery point, at the end of the last segment, it is what a crash leaves. */
  async #damage(
    one: PartitionFolder,
    segment: SegmentFiles,
    item: Extract<ScanItem, { kind: 'damage' }>,
  ): Promise<void> {
    const bytes = item.toPosition - item.fromPosition;
    const where = `segment ${segment.baseOffset}, byte ${item.fromPosition}`;
    const settled =
      one.recoveryPoint === undefined ? item.fault !== 'truncated' : item.fromOffset < one.recoveryPoint;
    const isTail = segment.isLast && item.toOffset === null && !settled;
    const lost =
      item.toOffset === null
        ? `from offset ${item.fromOffset} on`
        : `offsets ${item.fromOffset} to ${item.toOffset - 1}`;
    const text = `${where}: ${formatBytes(bytes)} (${lost}) cannot be read: ${item.fault}`;
    if (!isTail) {
      await this.#problem(one, text);
      return;
    }
    this.#tails++;
    const { topic, partition } = one;
    await this.#emit({ type: 'tail', topic, partition, text }, () => `  unfinished tail: ${text}\n`);
  }

  async #snapshots(one: PartitionFolder): Promise<void> {
    for (const offset of one.snapshots) {
      try {
        const producers = await readSnapshot(one.folder, offset);
        const { topic, partition } = one;
        await this.#emit(
          { type: 'snapshot', topic, partition, offset, producers: producers.length },
          () => `  snapshot at offset ${offset}: ${counted(producers.length, 'producer')}\n`,
        );
        if (this.#options.producers !== true) continue;
        for (const producer of producers) {
          await this.#emit({ type: 'producer', topic, partition, snapshot: offset, ...producer }, () => {
            const { producerId, producerEpoch, lastSequence, lastOffset } = producer;
            return `    producer ${producerId} epoch ${producerEpoch}: sequence ${lastSequence} at offset ${lastOffset}\n`;
          });
        }
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        await this.#problem(one, `the snapshot at offset ${offset} ${error.message}`);
      }
    }
  }

  async #epochs(one: PartitionFolder): Promise<void> {
    try {
      const epochs = await readLeaderEpochs(one.folder);
      if (epochs.length === 0) return;
      const { topic, partition } = one;
      await this.#emit({ type: 'epochs', topic, partition, epochs }, () => {
        const list = epochs.map(({ epoch, startOffset }) => `${epoch} from offset ${startOffset}`);
        return `  leader epochs: ${list.join(', ')}\n`;
      });
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      await this.#problem(one, `leader-epoch-checkpoint ${error.message}`);
    }
  }

  async #problem({ topic, partition }: PartitionFolder, text: string): Promise<void> {
    this.#problems++;
    await this.#emit(
      { type: 'problem', topic, partition, text },
      () => `  ${this.#context.bad('DAMAGE')}  ${text}\n`,
    );
  }

  async #emit(json: object, text: () => string): Promise<void> {
    this.#progress.clear();
    await this.#context.write(this.#context.json ? `${JSON.stringify(json)}\n` : text());
  }
}

function entriesText(file: string, entries: number | null): string {
  return entries === null ? `no ${file}` : `${file} with ${counted(entries, 'entry', 'entries')}`;
}

function offsetsText({ startOffset, endOffset }: SegmentReport): string {
  return endOffset - startOffset === 1
    ? `offset ${startOffset}`
    : `offsets ${startOffset} to ${endOffset - 1}`;
}

function bounded(texts: readonly string[]): string[] {
  if (texts.length <= PROBLEMS_LISTED_MAX) return [...texts];
  return [
    ...texts.slice(0, PROBLEMS_LISTED_MAX),
    `and ${texts.length - PROBLEMS_LISTED_MAX} more like these`,
  ];
}

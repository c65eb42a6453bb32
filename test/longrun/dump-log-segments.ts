/** Kafka's own reader of segment and index files, as a second opinion about what is on the disk. */
import { globSync } from 'node:fs';
import path from 'node:path';
import { runKafkaTool } from '../peers/kafka.ts';

/** What it prints of them has to fit into one string. */
const FILES_PER_RUN = 50;
const DEADLINE_MS = 600_000;
/** What it says about a bad file; it still exits with 0. */
const COMPLAINTS = /mismatch|isvalid: false|corrupt|not monoton|out of order|invalid|exception|error/i;

export interface DumpReport {
  readonly logs: number;
  readonly indexes: number;
  readonly timeIndexes: number;
  readonly abortedIndexes: number;
  readonly batches: number;
  /** Lines of complaint; empty if Kafka finds nothing wrong. */
  readonly complaints: readonly string[];
}

/**
 * Reads all segments below a data folder, record by record, and compares every index entry with its log. `compacted`: records may be missing
 * between others, as DumpLogSegments says of the compacted segments of Kafka itself.
 */
export async function dumpLogSegments(
  data: string,
  options: { readonly compacted?: boolean } = {},
): Promise<DumpReport> {
  const files = (ending: string): string[] =>
    globSync(`*/*.${ending}`, { cwd: data })
      .filter((file) => /\/\d{20}\.\w+$/.test(file))
      .toSorted()
      .map((file) => path.join(data, file));
  const logs = files('log');
  const indexes = files('index');
  const timeIndexes = files('timeindex');
  const abortedIndexes = files('txnindex');
  const complaints: string[] = [];
  let batches = 0;
  for (const chunk of chunks(logs)) {
    const { stdout, stderr } = await dump(['--deep-iteration', '--files', chunk.join(',')]);
    for (const line of stdout.split('\n')) {
      if (line.startsWith('baseOffset:')) batches++;
      // What a record says about itself is not about its file.
      if (!line.startsWith('|') && COMPLAINTS.test(line.replace('isvalid: true', ''))) complaints.push(line);
    }
    const lines = withoutFirstOffsets(linesOf(stderr));
    complaints.push(...(options.compacted === true ? withoutRisingOffsets(lines) : lines));
  }
  for (const chunk of chunks([...indexes, ...timeIndexes])) {
    const { stdout, stderr } = await dump(['--verify-index-only', '--files', chunk.join(',')]);
    complaints.push(...linesOf(stderr), ...stdout.split('\n').filter((line) => COMPLAINTS.test(line)));
  }
  for (const chunk of chunks(abortedIndexes)) {
    const { stdout, stderr } = await dump(['--files', chunk.join(',')]);
    complaints.push(...linesOf(stderr), ...stdout.split('\n').filter((line) => COMPLAINTS.test(line)));
  }
  return {
    logs: logs.length,
    indexes: indexes.length,
    timeIndexes: timeIndexes.length,
    abortedIndexes: abortedIndexes.length,
    batches,
    complaints,
  };
}

async function dump(args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await runKafkaTool('dumpLogSegments', args, { deadlineMs: DEADLINE_MS });
  return { stdout, stderr: code === 0 ? stderr : `${stderr}\nDumpLogSegments ended with ${code}` };
}

/**
 * Leaves out what DumpLogSegments 4.3 says about every segment that does not start at offset 0, those of Kafka itself included:
 * that its first offset does not follow -1.
 */
export function withoutFirstOffsets(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let file: { line: string; baseOffset: number; isKept: boolean } | undefined;
  for (const line of lines) {
    const name = /^Non-consecutive offsets in .*\/(\d{20})\.log$/.exec(line)?.[1];
    if (name !== undefined) {
      file = { line, baseOffset: Number(name), isKept: false };
      continue;
    }
    const pair = /^\s+(-?\d+) is followed by (\d+)$/.exec(line);
    if (pair === null) {
      file = undefined;
      kept.push(line);
      continue;
    }
    if (file !== undefined && pair[1] === '-1' && Number(pair[2]) === file.baseOffset) continue;
    if (file !== undefined && !file.isKept) {
      file.isKept = true;
      kept.push(file.line);
    }
    kept.push(line);
  }
  return kept;
}

/** Leaves out offsets that follow each other with a gap; those that do not rise are still a complaint. */
export function withoutRisingOffsets(lines: readonly string[]): string[] {
  const isRise = (line: string): boolean => {
    const pair = /^\s+(-?\d+) is followed by (\d+)$/.exec(line);
    return pair !== null && Number(pair[2]) > Number(pair[1]);
  };
  const kept = lines.filter((line) => !isRise(line));
  return kept.filter(
    (line, index) =>
      !line.startsWith('Non-consecutive offsets in ') ||
      /^\s+-?\d+ is followed by/.test(kept[index + 1] ?? ''),
  );
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

function* chunks(files: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < files.length; at += FILES_PER_RUN) yield files.slice(at, at + FILES_PER_RUN);
}

import type { BrokerProcess, Memory } from './broker-process.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * What frames rightly leave behind, by the broker's metrics, and what one of it may take. All of it has a limit of its own: the broker's, or that of
 * `Allowances`, but a run of thousands of frames is still on the way there.
 */
const KEPT = {
  'partition(s)': { metrics: ['partitions'], bytes: 20 * KIB },
  'segment(s)': { metrics: ['log_segments', 'log_segments_leaving'], bytes: 12 * KIB },
  'group(s)': { metrics: ['consumer_groups'], bytes: 4 * KIB },
  'transactional id(s)': { metrics: ['transactional_ids'], bytes: 4 * KIB },
  'producer(s)': { metrics: ['producers'], bytes: KIB },
  'quota(s)': { metrics: ['quota_entities', 'quota_usages_tracked'], bytes: 2 * KIB },
  'byte(s) of free buffers': { metrics: ['free_buffer_bytes'], bytes: 1 },
} as const;

type Kept = keyof typeof KEPT;
const KINDS = Object.keys(KEPT) as Kept[];

/** What settles late, whatever is sent: compiled code, sessions of fetches, what the disk was given a moment ago. */
const SETTLING_BYTES = 8 * MIB;
/**
 * What the C library keeps, in an arena for each thread, of memory that was freed: 17 MiB more within 45,000 frames on a busy machine, while what
 * JavaScript holds grew by 5. It ends somewhere, and only a leak outside of JavaScript would go on beyond this.
 */
const FREED_BYTES = 64 * MIB;
/** Less than any object that could be kept by mistake for each request. */
const LEAK_BYTES_PER_FRAME = 32;

/** What a broker that was left alone has, after so many frames. */
export interface Footprint {
  readonly frames: number;
  readonly memory: Memory;
  readonly kept: Readonly<Record<Kept, number>>;
}

export async function footprintOf(broker: BrokerProcess, frames: number): Promise<Footprint> {
  const memory = await broker.memory();
  const value = await broker.metrics();
  const kept = {} as Record<Kept, number>;
  for (const kind of KINDS) kept[kind] = KEPT[kind].metrics.reduce((sum, name) => sum + value(name), 0);
  return { frames, memory, kept };
}

export interface Growth {
  readonly what: string;
  /** Less what is explained by what the broker keeps. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** One line. */
  readonly description: string;
}

/**
 * How the broker's memory grew from one moment to the other, and how far it may have. What JavaScript holds after a full collection is exact, and what
 * is kept by mistake shows there; the resident memory has also pages of files, and what has been freed.
 */
export function growthsOf(before: Footprint, after: Footprint): readonly Growth[] {
  const leakBytes = (after.frames - before.frames) * LEAK_BYTES_PER_FRAME;
  const grownBytes = (of: (memory: Memory) => number): number => (of(after.memory) - of(before.memory)) * MIB;
  const kept = keptMeanwhile(before, after);
  const live = grownBytes(liveMibOf) - kept.bytes;
  const other = grownBytes((memory) => memory.privateMib - liveMibOf(memory));
  return [
    {
      what: 'what JavaScript holds',
      bytes: live,
      bytesMax: SETTLING_BYTES + leakBytes,
      description: `${mib(live)} besides ${mib(kept.bytes)} for ${kept.reasons}`,
    },
    {
      what: 'other memory of the process',
      bytes: other,
      bytesMax: FREED_BYTES + leakBytes,
      description: mib(other),
    },
  ].map(({ description, ...growth }) => ({
    ...growth,
    description: `${growth.what} grew by ${description}; at most ${mib(growth.bytesMax)} may be`,
  }));
}

function liveMibOf({ heapUsedMib, externalMib }: Memory): number {
  return heapUsedMib + externalMib;
}

function keptMeanwhile(before: Footprint, after: Footprint): { bytes: number; reasons: string } {
  let bytes = 0;
  const reasons: string[] = [];
  for (const kind of KINDS) {
    const more = after.kept[kind] - before.kept[kind];
    if (more === 0) continue;
    bytes += more * KEPT[kind].bytes;
    reasons.push(`${more > 0 ? '+' : ''}${more} ${kind}`);
  }
  return { bytes, reasons: reasons.join(', ') || 'nothing' };
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** What a producer was told against what a log holds: the judge of the runs that kill brokers. */

/** A record that was acknowledged at an offset. */
export interface Acknowledged {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

export interface StoredPartition {
  readonly partition: number;
  readonly logStartOffset: number;
  readonly endOffset: number;
  /** In the order in which they were read. */
  readonly records: readonly { readonly offset: number; readonly value: string | null }[];
}

export interface History {
  readonly acknowledged: readonly Acknowledged[];
  /** Whether a value was ever sent: a record that nobody wrote is as bad as one that is gone. */
  readonly wasSent: (value: string) => boolean;
  /** The producer was idempotent: a value may be in the log once at most. */
  readonly idempotent: boolean;
  readonly partitions: readonly StoredPartition[];
}

export type ViolationKind =
  /** Acknowledged, and not in the log. */
  | 'lost'
  /** Another value is at the offset that was acknowledged. */
  | 'inconsistent-offset'
  /** Two acknowledgements of one offset, or of one value. */
  | 'contradictory-acknowledgement'
  /** An offset between the log's start and its end without a record. */
  | 'gap'
  /** Offsets out of order, or outside of the log. */
  | 'disorder'
  /** A value at two offsets although the producer was idempotent. */
  | 'duplicate'
  /** A value that nobody sent. */
  | 'unexpected';

export interface Violation {
  readonly kind: ViolationKind;
  readonly partition: number;
  readonly offset: number;
  readonly detail: string;
}

/** Everything that is wrong; empty if the log kept what was promised. */
export function checkHistory(history: History): Violation[] {
  const { acknowledged, partitions, idempotent, wasSent } = history;
  const violations: Violation[] = [];
  const byPartition = Map.groupBy(acknowledged, ({ partition }) => partition);
  for (const stored of partitions) {
    const { partition } = stored;
    violations.push(
      ...checkDense(stored),
      ...checkContents(stored, idempotent, wasSent),
      ...checkAcknowledged(stored, byPartition.get(partition) ?? []),
    );
    byPartition.delete(partition);
  }
  for (const [partition, [first]] of byPartition) {
    violations.push({
      kind: 'lost',
      partition,
      offset: first?.offset ?? 0,
      detail: 'the whole partition was not read',
    });
  }
  return violations;
}

function checkDense({ partition, logStartOffset, endOffset, records }: StoredPartition): Violation[] {
  const violations: Violation[] = [];
  let expected = logStartOffset;
  for (const { offset } of records) {
    if (offset > expected) {
      violations.push({
        kind: 'gap',
        partition,
        offset: expected,
        detail: `the next record is at ${offset}`,
      });
    } else if (offset < expected) {
      violations.push({ kind: 'disorder', partition, offset, detail: `${expected} was due` });
    }
    expected = Math.max(expected, offset + 1);
  }
  if (expected < endOffset) {
    violations.push({ kind: 'gap', partition, offset: expected, detail: `the log ends at ${endOffset}` });
  } else if (expected > endOffset) {
    violations.push({
      kind: 'disorder',
      partition,
      offset: expected - 1,
      detail: `the log ends at ${endOffset}`,
    });
  }
  return violations;
}

function checkContents(
  { partition, records }: StoredPartition,
  idempotent: boolean,
  wasSent: (value: string) => boolean,
): Violation[] {
  const violations: Violation[] = [];
  const offsets = new Map<string | null, number>();
  for (const { offset, value } of records) {
    if (value === null || !wasSent(value)) {
      violations.push({ kind: 'unexpected', partition, offset, detail: shorten(value) });
      continue;
    }
    const first = offsets.get(value);
    if (idempotent && first !== undefined) {
      violations.push({
        kind: 'duplicate',
        partition,
        offset,
        detail: `${shorten(value)} is at ${first} as well`,
      });
    }
    offsets.set(value, first ?? offset);
  }
  return violations;
}

function checkAcknowledged(stored: StoredPartition, acknowledged: readonly Acknowledged[]): Violation[] {
  const { partition, logStartOffset, records } = stored;
  const violations: Violation[] = [];
  const values = new Map(records.map(({ offset, value }) => [offset, value]));
  const acknowledgedAt = new Map<number, string>();
  const offsetOf = new Map<string, number>();
  for (const { offset, value } of acknowledged) {
    const other = acknowledgedAt.get(offset);
    if (other !== undefined) {
      const detail = `both ${shorten(other)} and ${shorten(value)}`;
      violations.push({ kind: 'contradictory-acknowledgement', partition, offset, detail });
    }
    const elsewhere = offsetOf.get(value);
    if (elsewhere !== undefined) {
      const detail = `${shorten(value)}, which was acknowledged at ${elsewhere}`;
      violations.push({ kind: 'contradictory-acknowledgement', partition, offset, detail });
    }
    acknowledgedAt.set(offset, value);
    offsetOf.set(value, offset);
    if (offset < logStartOffset) continue;
    const found = values.get(offset);
    if (found === undefined) {
      violations.push({ kind: 'lost', partition, offset, detail: shorten(value) });
    } else if (found !== value) {
      const detail = `${shorten(found)} instead of ${shorten(value)}`;
      violations.push({ kind: 'inconsistent-offset', partition, offset, detail });
    }
  }
  return violations;
}

const SHOWN_CHARACTERS = 40;

function shorten(value: string | null): string {
  if (value === null) return 'null';
  return value.length <= SHOWN_CHARACTERS ? value : `${value.slice(0, SHOWN_CHARACTERS)}...`;
}

import type { LocalPartition } from '../../packages/broker/src/replication/index.ts';
import type { AppendResult, Isolation } from '../../packages/broker/src/replication/types.ts';
import {
  decodeBatch,
  endTransactionOf,
  isControl,
  isTransactional,
  readBatchHeader,
  sizeInBytes,
} from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import {
  encodeValues,
  type Transaction,
  TransactionalProducer,
  type Value,
} from './transactional-producer.ts';

const PRODUCERS = 4;
/** More than the cleaner's table of keys has room for, so that it stops within segments. */
const KEYS = 30;
const POLL_BYTES_CHOICES = [1, 300, 2000, 20_000];
const READ_BYTES = 20_000;
/** The longest that a coordinator takes to agree: other things happen meanwhile. */
const LATER_MS_MAX = 25;

interface Seen {
  readonly offset: number;
  readonly value: number;
}

/**
 * A partition with transactional producers, and a model of which records are committed, aborted and open: what `read_committed` shows must be committed,
 * each committed record must be there (of a compacted log the last of each key), and the last stable offset never goes back, whatever happens to
 * the broker.
 */
export class TransactionalPartition {
  readonly #name: string;
  readonly #random: SimRandom;
  readonly #count: (path: string) => void;
  readonly #isCompacted: boolean;
  readonly #values = new Map<number, Value>();
  readonly #producers: readonly TransactionalProducer[];
  readonly #later: (work: () => void) => void;
  readonly #nowMs: () => number;
  #partition: LocalPartition | undefined;
  #lastStableOffset = 0;
  #consumerOffset = -1;
  #generation = 0;
  #lastValue = 0;
  /** Records without a transaction that wait for their answer. */
  #plainInFlight = 0;

  constructor(options: {
    readonly name: string;
    readonly random: SimRandom;
    readonly count: (path: string) => void;
    readonly nowMs: () => number;
    readonly isCompacted: boolean;
    /** After a moment of virtual time. */
    readonly after: (delayMs: number, work: () => void) => void;
  }) {
    this.#name = options.name;
    this.#random = options.random;
    this.#count = options.count;
    this.#nowMs = options.nowMs;
    this.#isCompacted = options.isCompacted;
    this.#later = (work) => {
      const generation = this.#generation;
      options.after(this.#random.fraction() * LATER_MS_MAX, () => {
        if (generation === this.#generation) work();
      });
    };
    const host = {
      random: this.#random,
      count: this.#count,
      nowMs: this.#nowMs,
      newValue: (transaction: Transaction | undefined) => this.#newValue(transaction),
      acknowledged: (value: Value, offset: number) => void (value.offset = offset),
      later: this.#later,
    };
    this.#producers = Array.from(
      { length: PRODUCERS },
      (_, index) => new TransactionalProducer(host, 1000 + index, index % 2 === 0 ? 1 : 2),
    );
  }

  get idle(): boolean {
    return this.#plainInFlight === 0 && this.#producers.every((producer) => producer.idle);
  }

  /** After a start. */
  open(partition: LocalPartition): void {
    this.#partition = partition;
    this.check();
  }

  died(): void {
    this.#partition = undefined;
    this.#generation++;
    this.#plainInFlight = 0;
    for (const producer of this.#producers) producer.disconnected();
  }

  operate(): void {
    const partition = this.#partition;
    if (partition === undefined) return;
    const dice = this.#random.fraction();
    if (dice < 0.6) this.#random.pick(this.#producers).step(partition, { begin: true });
    else if (dice < 0.68) this.#sendPlain(partition);
    else if (dice < 0.9) this.#poll(partition);
    else if (dice < 0.97) this.#pollAnywhere(partition);
    else this.#checkState(partition);
    this.check();
  }

  /** Brings what has begun to its end. */
  drain(): void {
    const partition = this.#partition;
    if (partition === undefined) return;
    for (const producer of this.#producers) producer.step(partition, { begin: false });
  }

  /** What must hold at any time. */
  check(): void {
    const partition = this.#partition;
    if (partition === undefined || !partition.isLeader) return;
    const { lastStableOffset, highWatermark, logStartOffset } = partition;
    this.#expect(lastStableOffset <= highWatermark, 'lso', `${lastStableOffset} above ${highWatermark}`);
    this.#expect(
      lastStableOffset >= this.#lastStableOffset,
      'lso-monotonic',
      `${lastStableOffset} after ${this.#lastStableOffset}`,
    );
    this.#lastStableOffset = lastStableOffset;
    for (const { transaction } of this.#producers) {
      // Its marker is acknowledged when it is below the HW: until then it does not count.
      if (transaction === undefined || transaction.markerInDoubt) continue;
      const first = transaction.values.find(({ offset }) => offset !== undefined)?.offset ?? Infinity;
      this.#expect(
        lastStableOffset <= Math.max(first, logStartOffset),
        'lso-of-open',
        `${lastStableOffset}, but ${transaction.producerId} has a transaction open at ${first}`,
      );
    }
  }

  /** All has ended, and all faults too. */
  checkFinished(): void {
    const partition = this.#partition!;
    this.check();
    const { lastStableOffset, highWatermark, logEndOffset, logStartOffset } = partition;
    this.#expect(
      lastStableOffset === logEndOffset && highWatermark === logEndOffset,
      'lso-stuck',
      `${lastStableOffset}, HW ${highWatermark}, end ${logEndOffset}`,
    );
    this.#checkState(partition);
    if (this.#isCompacted) return;
    const all = this.#readAll(partition);
    this.#expect(all !== undefined, 'unavailable', 'cannot be read without faults');
    const seen = new Set(all!.map(({ value }) => value));
    for (const { value, offset, transaction } of this.#values.values()) {
      if (offset === undefined || offset < logStartOffset) continue;
      const isCommitted = transaction === undefined || transaction.decision === 'commit';
      this.#expect(!isCommitted || seen.has(value), 'lost-committed', `${value} at ${offset}`);
    }
    const open = partition.describeProducers().filter((one) => one.transactionStartOffset >= 0);
    this.#expect(open.length === 0, 'hanging-transaction', JSON.stringify(open));
  }

  // Writing

  #newValue(transaction: Transaction | undefined): Value {
    const value = {
      value: ++this.#lastValue,
      key: `k${this.#random.integer(KEYS)}`,
      transaction,
      offset: undefined,
    };
    this.#values.set(value.value, value);
    return value;
  }

  #sendPlain(partition: LocalPartition): void {
    const values = Array.from({ length: this.#random.between(1, 3) }, () => this.#newValue(undefined));
    const batch = encodeValues(values, { valueBytes: 40, timestamp: this.#nowMs() });
    const generation = this.#generation;
    const options = { requiredAcks: -1, nowMs: this.#nowMs(), origin: 'client' } as const;
    this.#plainInFlight++;
    partition.append(batch, options, (result: AppendResult) => {
      if (generation !== this.#generation) return;
      this.#plainInFlight--;
      if (result.error !== undefined) return;
      values.forEach((value, index) => (value.offset = result.baseOffset + index));
    });
  }

  // Reading

  /** A consumer of what is committed that goes on where it was. */
  #poll(partition: LocalPartition): void {
    if (!partition.isLeader) return;
    const from = Math.max(this.#consumerOffset, partition.logStartOffset);
    const read = this.#fetch(partition, from, 'read_committed');
    if (read === undefined) return;
    this.#count(read.seen.length > 0 ? 'committed.read' : 'committed.read-nothing');
    this.#consumerOffset = read.nextOffset;
  }

  #pollAnywhere(partition: LocalPartition): void {
    if (!partition.isLeader) return;
    const from = this.#random.between(partition.logStartOffset, partition.highWatermark);
    this.#fetch(partition, from, this.#random.chance(0.7) ? 'read_committed' : 'read_uncommitted');
  }

  /** All that is committed; undefined if the disk did not let it. */
  #readAll(partition: LocalPartition): Seen[] | undefined {
    const all: Seen[] = [];
    for (let offset = partition.logStartOffset; offset < partition.lastStableOffset;) {
      const read = this.#fetch(partition, offset, 'read_committed', READ_BYTES);
      if (read === undefined) return undefined;
      this.#expect(read.nextOffset > offset, 'stuck', `nothing is read at ${offset}`);
      all.push(...read.seen);
      offset = read.nextOffset;
    }
    return all;
  }

  /** Undefined if nothing could be read. */
  #fetch(
    partition: LocalPartition,
    offset: number,
    isolation: Isolation,
    bytesMax = this.#random.pick(POLL_BYTES_CHOICES),
  ): { readonly seen: readonly Seen[]; readonly nextOffset: number } | undefined {
    let bytes: Uint8Array;
    let aborted: { readonly producerId: number; readonly firstOffset: number }[] = [];
    try {
      const outcome = partition.read({ offset, bytesMax, atLeastOneBatch: true, isolation });
      if (outcome.error !== undefined) return undefined;
      const { slice } = outcome;
      bytes = new Uint8Array(slice.bytes);
      try {
        if (isolation === 'read_committed')
          aborted = [...partition.abortedTransactions(offset, slice.endOffset)];
        slice.readInto(bytes, 0);
      } finally {
        slice.release();
      }
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
      return undefined;
    }
    if (bytes.length === 0) return { seen: [], nextOffset: offset };
    return this.#consume(bytes, offset, isolation, aborted);
  }

  /** What a consumer makes of the bytes, by the rules of Kafka's; each record that it shows is looked at. */
  #consume(
    bytes: Uint8Array,
    from: number,
    isolation: Isolation,
    abortedTransactions: readonly { readonly producerId: number; readonly firstOffset: number }[],
  ): { readonly seen: readonly Seen[]; readonly nextOffset: number } {
    const aborted = abortedTransactions.toSorted((a, b) => a.firstOffset - b.firstOffset);
    const skipped = new Set<number>();
    const seen: Seen[] = [];
    let nextOffset = from;
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      const batch = bytes.subarray(at, at + sizeInBytes(header));
      at += batch.length;
      nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
      while (aborted.length > 0 && aborted[0]!.firstOffset < nextOffset)
        skipped.add(aborted.shift()!.producerId);
      if (isControl(header.attributes)) {
        if (endTransactionOf(batch, header)?.type === 'abort') skipped.delete(header.producerId);
        continue;
      }
      if (isTransactional(header.attributes) && skipped.has(header.producerId)) {
        this.#count('committed.skipped');
        continue;
      }
      for (const record of decodeBatch(batch, { maxBytes: 1_000_000 })) {
        if (record.offset < from) continue;
        seen.push(
          this.#look(record.offset, Number.parseInt(Buffer.from(record.value!).toString(), 10), isolation),
        );
      }
    }
    return { seen, nextOffset };
  }

  #look(offset: number, value: number, isolation: Isolation): Seen {
    const known = this.#values.get(value);
    this.#expect(known !== undefined, 'phantom', `${value} at ${offset} was never sent`);
    this.#expect(
      known!.offset === undefined || known!.offset === offset,
      'inconsistent-offsets',
      `${value} at ${offset}, acknowledged at ${known!.offset}`,
    );
    const transaction = known!.transaction;
    if (isolation === 'read_committed' && transaction !== undefined) {
      this.#expect(transaction.markerSent, 'read-open', `${value} at ${offset}, of an open transaction`);
      this.#expect(transaction.decision === 'commit', 'read-aborted', `${value} at ${offset}`);
    }
    return { offset, value };
  }

  /** The last committed value of each key, where nothing is in doubt. */
  #checkState(partition: LocalPartition): void {
    if (!partition.isLeader) return;
    const stable = partition.lastStableOffset;
    const isInDoubt = ({ transaction }: TransactionalProducer): boolean =>
      transaction?.markerSent === true && transaction.markerOffset === undefined;
    if (this.#plainInFlight > 0 || this.#producers.some(isInDoubt)) return;
    const expected = new Map<string, Value>();
    for (const value of this.#values.values()) {
      const { transaction, offset, key } = value;
      if (offset === undefined || offset >= stable || offset < partition.logStartOffset) continue;
      const isVisible =
        transaction === undefined ||
        (transaction.decision === 'commit' && (transaction.markerOffset ?? Infinity) < stable);
      if (isVisible && offset > (expected.get(key)?.offset ?? -1)) expected.set(key, value);
    }
    const last = new Map<string, number>();
    const all = this.#readAll(partition);
    if (all === undefined) return;
    for (const { value, offset } of all) last.set(this.#values.get(value)!.key, offset);
    this.#count('committed.state-compared');
    // A later one may be there that was never acknowledged.
    for (const { value, key, offset } of expected.values())
      this.#expect(
        (last.get(key) ?? -1) >= offset!,
        'lost-committed',
        `the last value of ${key}, ${value} at ${offset}`,
      );
  }

  #expect(condition: boolean, rule: string, detail: string): void {
    if (!condition) throw new Violation(rule, `${this.#name}: ${detail}`);
  }
}

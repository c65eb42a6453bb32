import { Violation } from '../invariants/history.ts';

export interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Producer ids are given out once, and rise. */
function isLater(one: Identity, other: Identity): boolean {
  if (one.producerId !== other.producerId) return one.producerId > other.producerId;
  return one.producerEpoch > other.producerEpoch;
}

/**
 * `open`: its producer has not asked to commit it. `unknown`: it has, and was not answered. `committed` and `aborted` are certain.
 */
type Fate = 'open' | 'unknown' | 'committed' | 'aborted';

/** A transaction as its producer sees it. */
export interface SimTransaction {
  /** They rise with the time of their begin. */
  readonly number: number;
  readonly owner: string;
  readonly identity: Identity;
  /** What it has sent, by value: the partition. */
  readonly values: Map<number, number>;
  /** Whether it has stored its number as the offset of its owner's group. */
  hasOffset: boolean;
  fate: Fate;
}

/** What a read of all partitions and offsets found. */
export interface Findings {
  /** By partition, the values in the order of their offsets. */
  readonly values: ReadonlyMap<number, readonly number[]>;
  /** By transactional id, the number that its group has stored; -1: none. */
  readonly offsets: ReadonlyMap<string, number>;
}

/**
 * What must hold of transactions, judged by what their producers were told: a transaction is there as a whole or not at all, one whose commit was
 * acknowledged is there for good, one that was aborted, or that nobody has asked to commit, is seen by nobody; and a producer that has a successor
 * commits nothing that its successor was not told to wait for.
 */
export class TransactionsModel {
  readonly partitions: number;
  readonly owners: readonly string[];
  readonly #transactions: SimTransaction[] = [];
  readonly #byValue = new Map<number, SimTransaction>();
  /** By transactional id: the latest producer that was told its identity. */
  readonly #latest = new Map<string, Identity>();
  /** What readers of committed records have seen, by value: its offset. */
  readonly #seen = new Map<number, number>();
  readonly #seenOffsets = new Map<string, number>();
  #nextValue = 1;

  constructor(partitions: number, owners: readonly string[]) {
    this.partitions = partitions;
    this.owners = owners;
  }

  // What producers do and are told

  begin(owner: string, identity: Identity): SimTransaction {
    const latest = this.#latest.get(owner);
    const transaction: SimTransaction = {
      number: this.#transactions.length + 1,
      owner,
      identity,
      values: new Map(),
      hasOffset: false,
      // Its producer has been replaced, and has not heard of it.
      fate: latest !== undefined && isLater(latest, identity) ? 'aborted' : 'open',
    };
    this.#transactions.push(transaction);
    return transaction;
  }

  newValue(transaction: SimTransaction, partition: number): number {
    const value = this.#nextValue++;
    transaction.values.set(value, partition);
    this.#byValue.set(value, transaction);
    return value;
  }

  commitSent(transaction: SimTransaction): void {
    if (transaction.fate === 'open') transaction.fate = 'unknown';
  }

  committed(transaction: SimTransaction): void {
    if (transaction.fate === 'aborted') {
      throw new Violation(
        'fencing',
        `transaction ${nameOf(transaction)} cannot be committed any more, and was`,
      );
    }
    transaction.fate = 'committed';
  }

  aborted(transaction: SimTransaction): void {
    if (transaction.fate === 'committed') {
      throw new Violation(
        'inconsistent-end',
        `transaction ${nameOf(transaction)} is committed, then aborted`,
      );
    }
    transaction.fate = 'aborted';
    for (const [value, partition] of transaction.values) {
      const offset = this.#seen.get(value);
      if (offset !== undefined) throw this.#abortedRead(transaction, value, `${partition} at ${offset}`);
    }
  }

  /** A producer was told its identity: whoever had the transactional id before cannot commit any more, unless it has asked to already. */
  initialised(owner: string, identity: Identity): void {
    const latest = this.#latest.get(owner);
    if (latest === undefined || isLater(identity, latest)) this.#latest.set(owner, identity);
    for (const transaction of this.#transactions) {
      const isBefore = transaction.owner === owner && isLater(identity, transaction.identity);
      if (isBefore && transaction.fate === 'open') this.aborted(transaction);
    }
  }

  // What readers see

  read(partition: number, offset: number, value: number): void {
    const transaction = this.#byValue.get(value);
    if (transaction?.values.get(value) !== partition) {
      throw new Violation('phantom', `${value} in partition ${partition} at ${offset} was not sent there`);
    }
    if (transaction.fate === 'open' || transaction.fate === 'aborted') {
      throw this.#abortedRead(transaction, value, `${partition} at ${offset}`);
    }
    const before = this.#seen.get(value);
    if (before !== undefined && before !== offset) {
      throw new Violation(
        'duplicate',
        `${value} in partition ${partition} stands at ${before} and ${offset}`,
      );
    }
    this.#seen.set(value, offset);
  }

  readOffset(owner: string, number: number): void {
    const before = this.#seenOffsets.get(owner) ?? 0;
    if (number < before) throw new Violation('offset-lost', `${owner}: ${number} after ${before}`);
    this.#seenOffsets.set(owner, number);
    const transaction = this.#transactions[number - 1];
    if (transaction === undefined || transaction.owner !== owner || !transaction.hasOffset) {
      throw new Violation('phantom', `${owner}: the offset ${number} was not stored`);
    }
    if (transaction.fate === 'open' || transaction.fate === 'aborted') {
      throw this.#abortedRead(transaction, number, `the offsets of ${owner}`);
    }
  }

  #abortedRead(transaction: SimTransaction, value: number, where: string): Violation {
    const what = transaction.fate === 'open' ? 'nobody has asked to commit' : 'was aborted';
    return new Violation('G1a', `${value} of ${nameOf(transaction)}, which ${what}, was read in ${where}`);
  }

  // At the end

  /** Once all is quiet. */
  check({ values, offsets }: Findings): void {
    const found = new Set<number>();
    for (const [partition, inOrder] of values) {
      this.#checkOrder(partition, inOrder);
      for (const value of inOrder) found.add(value);
    }
    for (const [value, offset] of this.#seen) {
      if (!found.has(value)) {
        const where = this.#byValue.get(value)?.values.get(value);
        throw new Violation('lost-read', `${value} was read in ${where} at ${offset}, and is gone`);
      }
    }
    const expected = new Map<string, number>(this.owners.map((owner) => [owner, -1]));
    for (const transaction of this.#transactions) {
      const isThere = this.#checkTransaction(transaction, found);
      if (isThere && transaction.hasOffset) expected.set(transaction.owner, transaction.number);
    }
    for (const [owner, number] of expected) {
      if (offsets.get(owner) !== number) {
        throw new Violation(
          'torn',
          `${owner} has the offset ${offsets.get(owner)}, its records say ${number}`,
        );
      }
    }
  }

  /** The transactions of a producer follow each other in every partition. */
  #checkOrder(partition: number, values: readonly number[]): void {
    const last = new Map<string, number>();
    for (const value of values) {
      const { owner, number } = this.#byValue.get(value)!;
      if (number < (last.get(owner) ?? 0)) {
        throw new Violation(
          'order',
          `partition ${partition} has ${number} of ${owner} after ${last.get(owner)}`,
        );
      }
      last.set(owner, number);
    }
  }

  /** Whether its records are there. */
  #checkTransaction(transaction: SimTransaction, found: ReadonlySet<number>): boolean {
    const { values, fate } = transaction;
    const missing = [...values.keys()].filter((value) => !found.has(value));
    const isThere = missing.length < values.size;
    if (isThere && (fate === 'open' || fate === 'aborted')) {
      throw this.#abortedRead(
        transaction,
        [...values.keys()].find((value) => found.has(value))!,
        'the end',
      );
    }
    if (fate === 'committed' && missing.length > 0) {
      throw new Violation(
        'lost-commit',
        `${nameOf(transaction)} is committed, and ${missing.join()} not there`,
      );
    }
    if (isThere && missing.length > 0) {
      throw new Violation(
        'torn',
        `of ${nameOf(transaction)} ${missing.join()} are not there, and others are`,
      );
    }
    return isThere;
  }

  /** For the required paths. */
  get fates(): ReadonlyMap<Fate, number> {
    const fates = new Map<Fate, number>();
    for (const { fate } of this.#transactions) fates.set(fate, (fates.get(fate) ?? 0) + 1);
    return fates;
  }
}

function nameOf({ number, owner, identity }: SimTransaction): string {
  return `${owner}:${number} (producer ${identity.producerId}/${identity.producerEpoch})`;
}

/** What transactional producers did against what readers saw: the judge of the runs that kill brokers and producers. */

/** A record as a reader saw it, in the order of its offsets within its partition. */
export interface SeenRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

export type ViolationKind =
  /** The commit was confirmed, and a record of the transaction is missing. */
  | 'lost'
  /** Some records of a transaction are there, others are not. */
  | 'torn'
  /** A record of a transaction that was aborted, or whose commit was never asked for. */
  | 'aborted-read'
  | 'duplicate'
  /** A record of an earlier transaction stands behind one of a later transaction of the same producer. */
  | 'disorder'
  /** A record that nobody sent. */
  | 'unexpected'
  /** The offset that was committed with a transaction tells another fate of it than its records. */
  | 'offsets'
  /** Two readers of the same log saw different records. */
  | 'readers-differ';

export interface Violation {
  readonly kind: ViolationKind;
  readonly detail: string;
}

/** `committing`: the commit was asked for, and what became of it is not known. */
type Fate = 'open' | 'committing' | 'committed' | 'aborted';

interface Transaction {
  readonly records: number;
  fate: Fate;
}

/** What a producer found committed for its group when it started: it tells the fate of what came before. */
interface Resumption {
  /** Transactions of earlier instances have lower numbers. */
  readonly firstNumber: number;
  readonly offset: number;
}

export interface LedgerCounts {
  readonly transactions: number;
  readonly committed: number;
  readonly aborted: number;
  /** Whose commit was under way when the producer, or the broker, was killed. */
  readonly unknown: number;
  /** Begun, and neither committed nor aborted by their producer. */
  readonly abandoned: number;
}

const VALUE = /^([^:]+):(\d+):(\d+):(\d+):x*$/;

/**
 * Producers number their transactions upwards, also over restarts; a value is `PRODUCER:NUMBER:INDEX:RECORDS:xxx`. Each transaction also
 * commits the offset NUMBER + 1 for a group of the producer's own.
 */
export class TransactionLedger {
  readonly #producers = new Map<string, Map<number, Transaction>>();
  readonly #resumptions = new Map<string, Resumption[]>();
  #begun = 0;

  /** Transactions that were begun. */
  get begun(): number {
    return this.#begun;
  }

  began(producer: string, number: number, records: number): void {
    const transactions = this.#transactionsOf(producer);
    if (transactions.has(number)) throw new Error(`${producer} began ${number} twice`);
    transactions.set(number, { records, fate: 'open' });
    this.#begun++;
  }

  committing(producer: string, number: number): void {
    this.#find(producer, number).fate = 'committing';
  }

  committed(producer: string, number: number): void {
    this.#find(producer, number).fate = 'committed';
  }

  /** The abort was confirmed, also after a commit that failed. */
  aborted(producer: string, number: number): void {
    this.#find(producer, number).fate = 'aborted';
  }

  resumed(producer: string, firstNumber: number, offset: number): void {
    const before = this.#resumptions.get(producer) ?? [];
    this.#resumptions.set(producer, [...before, { firstNumber, offset }]);
  }

  get counts(): LedgerCounts {
    const fates = [...this.#producers.values()].flatMap((one) => [...one.values()].map(({ fate }) => fate));
    const count = (wanted: Fate): number => fates.filter((fate) => fate === wanted).length;
    return {
      transactions: fates.length,
      committed: count('committed'),
      aborted: count('aborted'),
      unknown: count('committing'),
      abandoned: count('open'),
    };
  }

  /** Judges what one reader saw of everything, from the start of the log to its end. */
  check(seen: readonly SeenRecord[]): Violation[] {
    const violations: Violation[] = [];
    const visible = new Map<string, Map<number, Set<number>>>();
    const latest = new Map<string, number>();
    for (const record of seen) {
      const { topic, partition, offset, value } = record;
      const where = `${topic}-${partition} at ${offset}: ${value.slice(0, 40)}`;
      const parsed = this.#parse(value);
      if (parsed === undefined) {
        violations.push({ kind: 'unexpected', detail: where });
        continue;
      }
      const { producer, number, index, transaction } = parsed;
      if (transaction.fate === 'aborted' || transaction.fate === 'open') {
        violations.push({ kind: 'aborted-read', detail: `${where} (${transaction.fate})` });
      }
      const order = `${topic}-${partition}/${producer}`;
      if (number < (latest.get(order) ?? -1)) violations.push({ kind: 'disorder', detail: where });
      latest.set(order, number);
      const indexes = indexesOf(visible, producer, number);
      if (indexes.has(index)) violations.push({ kind: 'duplicate', detail: where });
      indexes.add(index);
    }
    for (const [producer, transactions] of this.#producers) {
      const shown = visible.get(producer) ?? new Map<number, Set<number>>();
      violations.push(...wholeness(producer, transactions, shown));
      violations.push(...this.#offsets(producer, shown));
    }
    return violations;
  }

  #offsets(producer: string, visible: ReadonlyMap<number, unknown>): Violation[] {
    const numbers = [...visible.keys()].toSorted((left, right) => left - right);
    return (this.#resumptions.get(producer) ?? []).flatMap(({ firstNumber, offset }): Violation[] => {
      const last = numbers.findLast((number) => number < firstNumber);
      const expected = last === undefined ? 0 : last + 1;
      if (offset === expected) return [];
      const detail = `${producer} before ${firstNumber}: offset ${offset}, records say ${expected}`;
      return [{ kind: 'offsets', detail }];
    });
  }

  #parse(value: string) {
    const [, producer = '', number = '', index = '', records = ''] = VALUE.exec(value) ?? [];
    const transaction = this.#producers.get(producer)?.get(Number(number));
    if (transaction === undefined || transaction.records !== Number(records)) return undefined;
    if (Number(index) >= transaction.records) return undefined;
    return { producer, number: Number(number), index: Number(index), transaction };
  }

  #transactionsOf(producer: string): Map<number, Transaction> {
    let transactions = this.#producers.get(producer);
    if (transactions === undefined) this.#producers.set(producer, (transactions = new Map()));
    return transactions;
  }

  #find(producer: string, number: number): Transaction {
    const transaction = this.#producers.get(producer)?.get(number);
    if (transaction === undefined) throw new Error(`${producer} never began ${number}`);
    return transaction;
  }
}

function indexesOf(
  visible: Map<string, Map<number, Set<number>>>,
  producer: string,
  number: number,
): Set<number> {
  let transactions = visible.get(producer);
  if (transactions === undefined) visible.set(producer, (transactions = new Map()));
  let indexes = transactions.get(number);
  if (indexes === undefined) transactions.set(number, (indexes = new Set()));
  return indexes;
}

/** All of a transaction, or nothing; and all of one whose commit was confirmed. */
function wholeness(
  producer: string,
  transactions: ReadonlyMap<number, Transaction>,
  visible: ReadonlyMap<number, ReadonlySet<number>>,
): Violation[] {
  return [...transactions].flatMap(([number, { records, fate }]): Violation[] => {
    const shown = visible.get(number)?.size ?? 0;
    const detail = `${producer}:${number} (${fate}): ${shown} of ${records} records`;
    if (fate === 'committed' && shown < records) return [{ kind: 'lost', detail }];
    return fate === 'committing' && shown > 0 && shown < records ? [{ kind: 'torn', detail }] : [];
  });
}

/** Whether two readers that read to the same end saw the same, partition by partition. */
export function compareReaders(
  left: readonly SeenRecord[],
  right: readonly SeenRecord[],
): readonly Violation[] {
  const key = ({ topic, partition, offset }: SeenRecord): string => `${topic}-${partition} at ${offset}`;
  const others = new Map(right.map((record) => [key(record), record.value] as const));
  const violations = left.flatMap((record): Violation[] => {
    const other = others.get(key(record));
    others.delete(key(record));
    if (other === record.value) return [];
    const detail = `${key(record)}: ${record.value.slice(0, 40)}, the other one ${other?.slice(0, 40) ?? 'nothing'}`;
    return [{ kind: 'readers-differ', detail }];
  });
  const rest = [...others].map(([where, value]): Violation => ({
    kind: 'readers-differ',
    detail: `${where}: nothing, the other one ${value.slice(0, 40)}`,
  }));
  return [...violations, ...rest];
}

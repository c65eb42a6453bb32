import { Violation } from '../invariants/history.ts';

/** A commit, or with `NOTHING` a deletion, of one group's offset for one partition. Times are virtual milliseconds. */
interface Write {
  readonly value: number;
  readonly invokedMs: number;
  /** Infinity while nobody knows whether it has happened. */
  returnedMs: number;
  /** Of a transaction that is committed, but whose markers may still be under way: from then on whoever asks for stable offsets finds it, or that there is none. */
  stableMs: number;
  outcome: 'pending' | 'done' | 'refused';
}

const TRANSACTIONS_KEPT = 10;

/** What OffsetFetch tells of a partition without an offset. */
export const NOTHING = -1;

/**
 * The offset of one group for one partition: a register that must be linearizable. Every value is written once only, so a read tells which write it
 * has seen.
 */
export class OffsetRegister {
  readonly name: string;
  readonly #writes: Write[] = [
    { value: NOTHING, invokedMs: -Infinity, returnedMs: -Infinity, stableMs: Infinity, outcome: 'done' },
  ];

  constructor(name: string) {
    this.name = name;
  }

  invoke(value: number, nowMs: number): Write {
    const times = { invokedMs: nowMs, returnedMs: Infinity, stableMs: Infinity };
    const write: Write = { value, ...times, outcome: 'pending' };
    this.#writes.push(write);
    return write;
  }

  /** A read between two moments has told `value`; a stable one may not miss a committed transaction. */
  read(value: number, invokedMs: number, returnedMs: number, isStable = false): void {
    const seen = this.#writes.filter(
      (write) => write.value === value && write.outcome !== 'refused' && write.invokedMs <= returnedMs,
    );
    const fitting = seen.filter((write) => !this.#isOverwritten(write, invokedMs, isStable));
    if (fitting.length === 0) {
      const known = this.#writes
        .slice(-8)
        .map(
          (write) =>
            `${write.value} ${write.outcome} [${write.invokedMs}, ${write.returnedMs}, ${write.stableMs}]`,
        );
      throw new Violation(
        'committed-offset',
        `${this.name}: ${value} was read in [${invokedMs}, ${returnedMs}]; written: ${known.join('; ')}`,
      );
    }
    // What was read is committed: nobody may find less from now on.
    if (fitting.length === 1) {
      const write = fitting[0]!;
      write.outcome = 'done';
      write.returnedMs = Math.min(write.returnedMs, returnedMs);
    }
  }

  /** Something else was certainly written after it, and before the moment. */
  #isOverwritten(write: Write, beforeMs: number, isStable: boolean): boolean {
    // Whatever a transaction is followed by stands behind it in the log.
    const overMs = Math.min(write.returnedMs, write.stableMs);
    return this.#writes.some((other) => {
      const certainMs = isStable ? Math.min(other.returnedMs, other.stableMs) : other.returnedMs;
      return other.outcome === 'done' && other.invokedMs > overMs && certainMs < beforeMs;
    });
  }
}

export type OffsetWrite = ReturnType<OffsetRegister['invoke']>;

/** A generation of a group whose assignments somebody has got: it is durable, and so none that begins later is older. */
interface Synced {
  readonly generation: number;
  /** Which call of a leader made the assignments. */
  readonly nonce: number;
  readonly returnedMs: number;
}

export class GroupView {
  readonly groupId: string;
  readonly partitions: number;
  readonly #registers: OffsetRegister[];
  readonly #synced = new Map<number, Synced>();
  /** The newest transactions that may be committed: what each has written, by partition. Later ones have written more. */
  readonly #transactions: ReadonlyMap<number, number>[] = [];

  constructor(groupId: string, topic: string, partitions: number) {
    this.groupId = groupId;
    this.partitions = partitions;
    this.#registers = Array.from(
      { length: partitions },
      (_, index) => new OffsetRegister(`${groupId} ${topic}-${index}`),
    );
  }

  register(partition: number): OffsetRegister {
    return this.#registers[partition]!;
  }

  /** A transaction with these offsets may be committed from now on. Nobody else commits offsets of the group. */
  committing(offsets: ReadonlyMap<number, number>): void {
    this.#transactions.push(offsets);
    if (this.#transactions.length > TRANSACTIONS_KEPT) this.#transactions.shift();
  }

  /** One answer has told these offsets: of each transaction all, or none. */
  readTogether(told: ReadonlyMap<number, number>): void {
    for (const offsets of this.#transactions) {
      const shown = [...offsets].filter(([partition]) => told.has(partition));
      if (!shown.some(([partition, offset]) => told.get(partition) === offset)) continue;
      for (const [partition, offset] of shown) {
        if (told.get(partition)! >= offset) continue;
        throw new Violation(
          'torn-transaction',
          `${this.groupId}: ${offset} of partition ${partition} is missing in ${JSON.stringify([...told])}, ` +
            `of a transaction with ${JSON.stringify([...offsets])}`,
        );
      }
    }
  }

  /** The newest generation that was certainly complete before the moment. */
  #newestBefore(ms: number): number {
    let newest = -1;
    for (const { generation, returnedMs } of this.#synced.values())
      if (returnedMs < ms) newest = Math.max(newest, generation);
    return newest;
  }

  joined(generation: number, invokedMs: number): void {
    const newest = this.#newestBefore(invokedMs);
    if (generation < newest) {
      throw new Violation(
        'generation',
        `${this.groupId}: ${generation} was joined after ${newest} was complete`,
      );
    }
  }

  /** Somebody has got an assignment of this generation, made by the leader's call `nonce`. */
  synced(generation: number, nonce: number, nowMs: number): void {
    const known = this.#synced.get(generation);
    if (known === undefined) this.#synced.set(generation, { generation, nonce, returnedMs: nowMs });
    else if (known.nonce !== nonce) {
      throw new Violation(
        'assignment',
        `${this.groupId}: generation ${generation} has assignments of two leaders, ${known.nonce} and ${nonce}`,
      );
    }
  }

  /** A member's commit was taken. */
  committed(generation: number, invokedMs: number): void {
    const newest = this.#newestBefore(invokedMs);
    if (generation < newest) {
      throw new Violation(
        'fencing',
        `${this.groupId}: a commit of generation ${generation} was taken after ${newest} was complete`,
      );
    }
  }
}

/** Everything that the clients know together. */
export class GroupsModel {
  readonly topic: string;
  readonly groups: readonly GroupView[];
  #next = 0;

  constructor(topic: string, partitions: number, groupIds: readonly string[]) {
    this.topic = topic;
    this.groups = groupIds.map((groupId) => new GroupView(groupId, topic, partitions));
  }

  /** A number that nobody had before: rising, so that it serves as an offset too. */
  next(): number {
    return ++this.#next;
  }
}

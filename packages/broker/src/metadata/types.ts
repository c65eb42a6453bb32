/**
 * The cluster's small, precious state: brokers, topics, partition states, configs. Written to fit etcd; the embedded store
 * (metadata/local) keeps the same promises on a local log.
 *
 * What it promises:
 * - One history: each transaction that succeeded has a revision, revisions rise, and every reader sees transactions whole and in that order.
 * - What a promise of it resolved with is durable. A transaction may have taken effect although its promise rejected
 *   (`KAFKA_STORAGE_ERROR`, or the connection was lost): read again before you decide anew.
 * - Reads are linearizable: they see every transaction that was answered before they began.
 *
 * What it does not promise:
 * - Watches are not linearizable: events come late, but whole transactions, in order, each once per watch. Apply only higher revisions.
 * - History is short. A watch that wants revisions which are gone hears `compacted` and must list again.
 * - Leases tell who seems alive; nobody may rely on them for safety. Compare revisions instead.
 * - A transaction holds at most {@link TRANSACTION_OPERATIONS_MAX} operations: larger changes are several transactions and must be
 *   safe after any prefix of them.
 *
 * Keys are paths of printable ASCII (`topics/orders`), values UTF-8 text (JSON).
 */
export interface MetadataStore {
  get(key: string): Promise<MetadataEntry | undefined>;
  /** All keys that start with the prefix, sorted by key, as of one revision: watch from there on. */
  range(prefix: string): Promise<{ readonly revision: number; readonly entries: readonly MetadataEntry[] }>;
  /** Applies all operations if all comparisons hold, else none. Rejects with BrokerError if the outcome could not be made durable. */
  transact(transaction: Transaction): Promise<TransactionOutcome>;
  /** Delivers what happened after a revision under the prefix. Never calls back synchronously. */
  watch(options: WatchOptions): Watch;
  /** A lease that the store keeps alive until it is revoked or lost; its keys are removed with it. */
  grantLease(options: { readonly ttlMs: number }): Promise<Lease>;
  close(): Promise<void>;
}

/** etcd's default for `--max-txn-ops`. */
export const TRANSACTION_OPERATIONS_MAX = 128;

export interface MetadataEntry {
  readonly key: string;
  readonly value: string;
  /** Revision of the transaction that created the key (again, if it had been deleted). */
  readonly createRevision: number;
  /** Revision of the last transaction that wrote it. */
  readonly modRevision: number;
}

export interface Transaction {
  readonly compare: readonly Comparison[];
  readonly operations: readonly Operation[];
}

/** Revision 0 means that the key does not exist. */
export interface Comparison {
  readonly key: string;
  readonly target: 'mod' | 'create';
  readonly revision: number;
}

/** One key at most once per transaction. */
export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: Lease }
  | { readonly kind: 'delete'; readonly key: string };

export type TransactionOutcome =
  /** `revision` is that of this transaction: the modRevision of every key it put. */
  { readonly succeeded: true; readonly revision: number } | { readonly succeeded: false };

export interface WatchOptions {
  readonly prefix: string;
  /** Events of higher revisions are delivered. */
  readonly afterRevision: number;
  /** Whole transactions in the order of their revisions, each with its events below the prefix only. */
  readonly onEvents: (events: readonly MetadataEvent[]) => void;
  /** Events after `afterRevision` are gone; the watch has ended. List and watch again. */
  readonly onCompacted: () => void;
}

export type MetadataEvent =
  | { readonly kind: 'put'; readonly revision: number; readonly entry: MetadataEntry }
  | { readonly kind: 'delete'; readonly revision: number; readonly key: string };

export interface Watch {
  /** No callback comes after it returns. */
  cancel(): void;
}

export interface Lease {
  readonly id: string;
  /** Monotonic milliseconds until which the holder may believe in it; fence on it. Infinity in the embedded store, which nobody else reads. */
  readonly validUntilMs: number;
  /** Called once when the lease expired although it was kept alive. */
  onLost: (() => void) | undefined;
  revoke(): Promise<void>;
}

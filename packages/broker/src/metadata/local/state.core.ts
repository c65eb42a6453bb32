import type { MetadataEntry, MetadataEvent, Transaction } from '../types.ts';
import type { MetadataRecord } from './records.ts';

/** What a record costs beside its key and value, roughly: for deciding when a rewrite pays. */
const RECORD_OVERHEAD_BYTES = 40;

interface Held {
  readonly entry: MetadataEntry;
  readonly lease: string | undefined;
}

/** The keys and values: decides transactions, and changes by its own records alone. */
export class MetadataState {
  /** Revision of the last batch that was applied. */
  revision = 0;
  /** About what the present keys would take in the log. */
  liveBytes = 0;
  readonly #held = new Map<string, Held>();

  get(key: string): MetadataEntry | undefined {
    return this.#held.get(key)?.entry;
  }

  range(prefix: string): MetadataEntry[] {
    const entries: MetadataEntry[] = [];
    for (const [key, { entry }] of this.#held) if (key.startsWith(prefix)) entries.push(entry);
    return entries.sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /** The records of the transaction, or undefined if a comparison failed. Deleting a missing key changes nothing. */
  decide(transaction: Transaction): MetadataRecord[] | undefined {
    for (const { key, target, revision } of transaction.compare) {
      const entry = this.get(key);
      const actual = target === 'mod' ? entry?.modRevision : entry?.createRevision;
      if ((actual ?? 0) !== revision) return undefined;
    }
    const records: MetadataRecord[] = [];
    for (const operation of transaction.operations) {
      if (operation.kind === 'put') {
        const { key, value, lease } = operation;
        records.push(lease === undefined ? { key, value } : { key, value, lease: lease.id });
      } else if (this.#held.has(operation.key)) {
        records.push({ key: operation.key, value: null });
      }
    }
    return records;
  }

  /** Applies one batch; returns what changed. Applying a restatement to the state that it restates changes nothing. */
  apply(baseOffset: number, records: readonly MetadataRecord[]): MetadataEvent[] {
    const revision = baseOffset + 1;
    this.revision = revision;
    const events: MetadataEvent[] = [];
    for (const { key, value, lease, restated } of records) {
      const before = this.#held.get(key);
      if (before !== undefined) this.liveBytes -= bytesOf(before.entry);
      if (value === null) {
        this.#held.delete(key);
        events.push({ kind: 'delete', revision, key });
        continue;
      }
      const entry: MetadataEntry = {
        key,
        value,
        createRevision: restated?.createRevision ?? before?.entry.createRevision ?? revision,
        modRevision: restated?.modRevision ?? revision,
      };
      this.#held.set(key, { entry, lease });
      this.liveBytes += bytesOf(entry);
      if (restated === undefined) events.push({ kind: 'put', revision, entry });
    }
    return events;
  }

  /** All that is held, as records that restate it. */
  restate(): MetadataRecord[] {
    return [...this.#held.values()].map(({ entry, lease }) => {
      const { key, value, modRevision, createRevision } = entry;
      const restated = { modRevision, createRevision };
      return lease === undefined ? { key, value, restated } : { key, value, lease, restated };
    });
  }

  /** Keys bound to a lease; or, without an id, to any. */
  leasedKeys(lease?: string): string[] {
    const keys: string[] = [];
    for (const [key, held] of this.#held) {
      if (held.lease !== undefined && (lease === undefined || held.lease === lease)) keys.push(key);
    }
    return keys;
  }
}

function bytesOf({ key, value }: MetadataEntry): number {
  return key.length + value.length + RECORD_OVERHEAD_BYTES;
}

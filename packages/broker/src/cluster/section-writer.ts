import { BrokerError } from '../errors.ts';
import {
  TRANSACTION_OPERATIONS_MAX,
  type MetadataEntry,
  type MetadataStore,
  type Operation,
} from '../metadata/types.ts';
import type { SectionName } from './sections.ts';
import type { ImageTracker } from './tracker.ts';

/** How often a change is decided anew because another one came in between. */
const ATTEMPTS_MAX = 10;
/** Keys that are asked for at the same time. */
const READS_MAX = 128;

/** Keys, without the section's prefix, that are written; `undefined` removes one. */
export type SectionChanges = ReadonlyMap<string, unknown>;

/** What a change of named keys decides on. */
export interface SectionRecords {
  /** Records of the whole section, by the image. */
  readonly size: number;
  /** The newest record of a key that was named; undefined if there is none. */
  get(key: string): unknown;
}

/** What the store held when it was asked, by keys without the section's prefix. */
interface Held {
  readonly records: Map<string, unknown>;
  readonly revisions: Map<string, number>;
}

/** Changes the records of a section of the cluster image. */
export class SectionWriter {
  readonly #store: Pick<MetadataStore, 'get' | 'range' | 'transact'>;
  readonly #tracker: ImageTracker;

  constructor(options: {
    readonly store: Pick<MetadataStore, 'get' | 'range' | 'transact'>;
    readonly tracker: ImageTracker;
  }) {
    this.#store = options.store;
    this.#tracker = options.tracker;
  }

  /**
   * Decides on the newest records of the named keys, writes what `decide` returns if the keys in it are still as it saw them, and resolves when
   * the image shows it. `decide` looks at named keys only, may run several times, and may throw BrokerError to refuse. Up to 128 keys change at
   * once; more do so in several steps, each safe by itself. When a step meets another change everything is decided anew, with the keys that are
   * written already as they were before: what is decided about those is not written again. Rejects with BrokerError.
   */
  async change(
    section: SectionName,
    keys: Iterable<string>,
    decide: (records: SectionRecords) => SectionChanges,
  ): Promise<void> {
    const named = new Set(keys);
    await this.#change(
      section,
      () => this.#read(section, [...named]),
      (before, written) =>
        decide({
          size: this.#tracker.image.section(section).size - growthOf(written),
          get(key) {
            if (!named.has(key)) throw new Error(`${section}${key} was not named`);
            return before.get(key);
          },
        }),
    );
  }

  /** The same for whoever has to look at all records, each of which is read and parsed: for sections of some thousand records. */
  async changeAny(
    section: SectionName,
    decide: (records: ReadonlyMap<string, unknown>) => SectionChanges,
  ): Promise<void> {
    const read = async (): Promise<Held> => heldIn(section, (await this.#store.range(section)).entries);
    await this.#change(section, read, decide);
  }

  async #change(
    section: SectionName,
    read: () => Promise<Held>,
    decide: (records: ReadonlyMap<string, unknown>, written: Written) => SectionChanges,
  ): Promise<void> {
    const written: Written = new Map();
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const held = await read();
      for (const [key, { before }] of written) {
        if (before === undefined) held.records.delete(key);
        else held.records.set(key, before);
      }
      if (await this.#write(section, decide(held.records, written), held, written)) return;
    }
    throw new BrokerError('REQUEST_TIMED_OUT', 'The settings keep changing; try again');
  }

  async #read(section: SectionName, keys: readonly string[]): Promise<Held> {
    const entries: MetadataEntry[] = [];
    for (let at = 0; at < keys.length; at += READS_MAX) {
      const asked = keys.slice(at, at + READS_MAX).map((key) => this.#store.get(section + key));
      for (const entry of await Promise.all(asked)) if (entry !== undefined) entries.push(entry);
    }
    return heldIn(section, entries);
  }

  /** False if a key was changed by somebody else meanwhile. */
  async #write(
    section: SectionName,
    changes: SectionChanges,
    { records, revisions }: Held,
    written: Written,
  ): Promise<boolean> {
    const pending = [...changes].filter(
      ([key, after]) => !written.has(key) && (after !== undefined || revisions.has(key)),
    );
    for (let at = 0; at < pending.length; at += TRANSACTION_OPERATIONS_MAX) {
      const part = pending.slice(at, at + TRANSACTION_OPERATIONS_MAX);
      const outcome = await this.#store.transact({
        compare: part.map(([key]) => ({
          key: section + key,
          target: 'mod',
          revision: revisions.get(key) ?? 0,
        })),
        operations: part.map(([key, after]) => operationOf(section + key, after)),
      });
      if (!outcome.succeeded) return false;
      await this.#tracker.reached(outcome.revision);
      for (const [key, after] of part) written.set(key, { before: records.get(key), after });
    }
    return true;
  }
}

/** What earlier steps of a change have written, and what was there before. */
type Written = Map<string, { readonly before: unknown; readonly after: unknown }>;

/** Records that there are more for it. */
function growthOf(written: Written): number {
  let growth = 0;
  for (const { before, after } of written.values()) {
    growth += Number(after !== undefined) - Number(before !== undefined);
  }
  return growth;
}

function heldIn(section: SectionName, entries: readonly MetadataEntry[]): Held {
  const records = new Map<string, unknown>();
  const revisions = new Map<string, number>();
  for (const { key, value, modRevision } of entries) {
    const name = key.slice(section.length);
    records.set(name, JSON.parse(value) as unknown);
    revisions.set(name, modRevision);
  }
  return { records, revisions };
}

function operationOf(key: string, record: unknown): Operation {
  return record === undefined ? { kind: 'delete', key } : { kind: 'put', key, value: JSON.stringify(record) };
}

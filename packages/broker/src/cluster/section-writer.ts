import { BrokerError } from '../errors.ts';
import { TRANSACTION_OPERATIONS_MAX, type MetadataStore, type Operation } from '../metadata/types.ts';
import type { SectionName } from './sections.ts';
import type { ImageTracker } from './tracker.ts';

/** How often a change is decided anew because another one came in between. */
const ATTEMPTS_MAX = 10;

/** Keys, without the section's prefix, that are written; `undefined` removes one. */
export type SectionChanges = ReadonlyMap<string, unknown>;

/** Changes the records of a section of the cluster image. */
export class SectionWriter {
  readonly #store: MetadataStore;
  readonly #tracker: ImageTracker;

  constructor(options: { readonly store: MetadataStore; readonly tracker: ImageTracker }) {
    this.#store = options.store;
    this.#tracker = options.tracker;
  }

  /**
   * Decides on the section's newest records, writes what `decide` returns if the keys in it are still as it saw them, and resolves when the
   * image shows it. `decide` may run several times, and may throw BrokerError to refuse. Up to 128 keys change at once; more do so in
   * several steps, each safe by itself, and a step that meets another change decides about the rest anew. Rejects with BrokerError.
   */
  async change(
    section: SectionName,
    decide: (records: ReadonlyMap<string, unknown>) => SectionChanges,
  ): Promise<void> {
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const { entries } = await this.#store.range(section);
      const revisions = new Map(entries.map(({ key, modRevision }) => [key, modRevision] as const));
      const records = new Map(
        entries.map(({ key, value }) => [key.slice(section.length), JSON.parse(value) as unknown] as const),
      );
      const operations = operationsOf(section, decide(records), revisions);
      if (await this.#write(operations, revisions)) return;
    }
    throw new BrokerError('REQUEST_TIMED_OUT', 'The settings keep changing; try again');
  }

  /** False if a key was changed by somebody else meanwhile. */
  async #write(operations: readonly Operation[], revisions: ReadonlyMap<string, number>): Promise<boolean> {
    for (let at = 0; at < operations.length; at += TRANSACTION_OPERATIONS_MAX) {
      const part = operations.slice(at, at + TRANSACTION_OPERATIONS_MAX);
      const outcome = await this.#store.transact({
        compare: part.map(({ key }) => ({ key, target: 'mod', revision: revisions.get(key) ?? 0 })),
        operations: part,
      });
      if (!outcome.succeeded) return false;
      await this.#tracker.reached(outcome.revision);
    }
    return true;
  }
}

function operationsOf(
  section: SectionName,
  changes: SectionChanges,
  revisions: ReadonlyMap<string, number>,
): Operation[] {
  return [...changes].flatMap(([name, record]): Operation[] => {
    const key = section + name;
    if (record !== undefined) return [{ kind: 'put', key, value: JSON.stringify(record) }];
    return revisions.has(key) ? [{ kind: 'delete', key }] : [];
  });
}

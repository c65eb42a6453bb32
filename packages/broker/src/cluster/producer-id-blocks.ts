import { BrokerError } from '../errors.ts';
import type { MetadataStore } from '../metadata/types.ts';
import { PRODUCER_IDS_KEY, type ProducerIdsRecord } from './keys.ts';
import type { ProducerIds } from './producer-ids.ts';

/** Ids that a broker reserves at a time; what is left of a block at a stop is never used. */
export const PRODUCER_ID_BLOCK_SIZE = 1000;

const ATTEMPTS_MAX = 10;

/** Takes ids from blocks that are reserved durably in the metadata store before any id of them is used. */
export class ProducerIdBlocks implements ProducerIds {
  readonly #store: MetadataStore;
  #next = 0;
  #end = 0;
  #reserving: Promise<void> | undefined;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  async next(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
    }
    return this.#next++;
  }

  async #reserve(): Promise<void> {
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const entry = await this.#store.get(PRODUCER_IDS_KEY);
      const first = entry === undefined ? 0 : (JSON.parse(entry.value) as ProducerIdsRecord).next;
      const record: ProducerIdsRecord = { next: first + PRODUCER_ID_BLOCK_SIZE };
      const outcome = await this.#store.transact({
        compare: [{ key: PRODUCER_IDS_KEY, target: 'mod', revision: entry?.modRevision ?? 0 }],
        operations: [{ kind: 'put', key: PRODUCER_IDS_KEY, value: JSON.stringify(record) }],
      });
      if (outcome.succeeded) {
        this.#next = first;
        this.#end = record.next;
        return;
      }
    }
    throw new BrokerError('REQUEST_TIMED_OUT', 'No block of producer ids could be reserved; try again');
  }
}

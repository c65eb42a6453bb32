/** Commits sent as plain requests over connections that come back after the broker's death, and a look at what is committed. */
import { apis } from '@polylog/kafka-protocol';
import { LastingClient } from '../clients/lasting-client.ts';
import type { CommitLedger } from './commit-ledger.ts';

const OFFSET_COMMIT_VERSION = 7;
const OFFSET_FETCH_VERSION = 7;
/** The coordinator is loading, moving or not there yet: ask again. */
const RETRIABLE = new Set([14, 15, 16]);

export interface CommitTarget {
  readonly address: string;
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
}

/** Commits rising offsets for a group without members, one request after the other, until it is stopped. */
export class CommitLoad {
  readonly #target: CommitTarget;
  readonly #ledger: CommitLedger;
  readonly #client: LastingClient;
  readonly #running: Promise<void>;
  #offset = 0;
  #stopping = false;

  constructor(target: CommitTarget, ledger: CommitLedger) {
    this.#target = target;
    this.#ledger = ledger;
    this.#client = new LastingClient(target.address);
    this.#running = this.#run();
  }

  /** @throws Error if a commit was refused for good */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    this.#client.close();
  }

  async #run(): Promise<void> {
    const { group, topic, partitions } = this.#target;
    for (let turn = 0; !this.#stopping; turn++) {
      const offset = ++this.#offset;
      // Some name one partition, some all.
      const indexes =
        turn % 4 === 0 ? Array.from({ length: partitions }, (_, index) => index) : [turn % partitions];
      for (const partition of indexes) this.#ledger.sending(group, partition, offset);
      const answer = await this.#client.use((client) =>
        client.request(apis.offsetCommit, OFFSET_COMMIT_VERSION, {
          groupId: group,
          memberId: '',
          topics: [
            {
              name: topic,
              partitions: indexes.map((partitionIndex) => ({
                partitionIndex,
                committedOffset: offset,
                committedMetadata: '',
              })),
            },
          ],
        }),
      );
      for (const { partitionIndex, errorCode } of answer?.topics[0]?.partitions ?? []) {
        if (errorCode === 0) this.#ledger.acknowledge(group, partitionIndex, offset);
        else if (!RETRIABLE.has(errorCode)) throw new Error(`a commit of ${group}: error ${errorCode}`);
      }
    }
  }
}

/** Asks once what is committed, and has the ledger compare; false if there was no answer. */
export async function observeCommitted(
  client: LastingClient,
  { group, topic, partitions }: Omit<CommitTarget, 'address'>,
  ledger: CommitLedger,
): Promise<number[] | undefined> {
  const floors = ledger.floors(group, partitions);
  const partitionIndexes = Array.from({ length: partitions }, (_, index) => index);
  const answer = await client.use((open) =>
    open.request(apis.offsetFetch, OFFSET_FETCH_VERSION, {
      groupId: group,
      topics: [{ name: topic, partitionIndexes }],
    }),
  );
  if (answer === undefined || RETRIABLE.has(answer.errorCode)) return undefined;
  if (answer.errorCode !== 0) throw new Error(`OffsetFetch of ${group}: error ${answer.errorCode}`);
  const committed: number[] = [];
  for (const { partitionIndex, committedOffset } of answer.topics[0]?.partitions ?? [])
    committed[partitionIndex] = committedOffset;
  ledger.observe(group, floors, committed);
  return committed;
}

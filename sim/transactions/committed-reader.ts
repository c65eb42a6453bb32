import {
  describeTransactions,
  fetch,
  findCoordinator,
  listTransactions,
  offsetFetch,
} from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { Client, errorName } from '../broker/clients.ts';
import { ConnectionLost } from '../broker/connection.ts';
import { CommittedView } from './committed-view.ts';
import type { Findings } from './model.ts';
import { coordinatorOf, groupOf, KEY_TYPE_GROUP, TOPIC, type TransactionHost } from './transactor.ts';

const PAUSE_MS_MAX = 60;
const RETRY_MS = 20;
const NAMES_UNTIL = 12;
const OFFSETS_NAMES_UNTIL = 9;
const MANY_SINCE = 8;
const STABLE_SINCE = 7;
const NOTHING = -1;
const STATES = new Set([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
]);

/** Reads committed records and offsets all the time, looks at transactional ids, and reads everything once more at the end. */
export class CommittedReader extends Client<TransactionHost> {
  readonly #views: readonly CommittedView[];
  /** Nobody has told yet who coordinates the groups, or whoever was asked did not. */
  #lost = true;

  constructor(host: TransactionHost, name: string) {
    super(host, name);
    this.#views = Array.from(
      { length: host.model.partitions },
      (_, partition) =>
        new CommittedView(partition, (offset, value) => host.model.read(partition, offset, value)),
    );
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    const dice = this.random.fraction();
    if (dice < 0.8) await this.#fetch(this.random.pick(this.#views));
    else if (dice < 0.94) await this.#fetchOffset(this.random.pick(this.host.model.owners));
    else if (dice < 0.97) await this.#describe(this.random.pick(this.host.model.owners));
    else await this.#list();
  }

  async #fetch(view: CommittedView): Promise<void> {
    const answer = await this.ask(fetch, this.version(fetch, 0, NAMES_UNTIL), view.request());
    const code = view.answered(answer);
    this.count(code === 0 ? 'read.done' : `read.${errorName(code)}`);
  }

  /** Undefined if it cannot be told now. */
  async #fetchOffset(owner: string): Promise<number | undefined> {
    const groupId = groupOf(owner);
    if (this.#lost) {
      // Whoever asks first has the topic made.
      const version = this.version(findCoordinator, 1);
      await this.ask(findCoordinator, version, coordinatorOf(version, KEY_TYPE_GROUP, groupId));
      this.#lost = false;
    }
    const version = this.version(offsetFetch, 2, OFFSETS_NAMES_UNTIL);
    const topics = [{ name: TOPIC, partitionIndexes: [0] }];
    const many = version >= MANY_SINCE;
    const response = await this.ask(offsetFetch, version, {
      ...(many ? { groups: [{ groupId, topics }] } : { groupId, topics }),
      ...(version >= STABLE_SINCE ? { requireStable: this.random.chance(0.5) } : {}),
    });
    const answer = many ? response.groups[0]! : response;
    const partition = answer.topics[0]?.partitions[0];
    const code = answer.errorCode === 0 ? (partition?.errorCode ?? 0) : answer.errorCode;
    this.count(code === 0 ? 'read-offset.done' : `read-offset.${errorName(code)}`);
    this.#lost = code !== 0;
    if (code !== 0) return undefined;
    const offset = partition?.committedOffset ?? NOTHING;
    if (offset !== NOTHING) this.host.model.readOffset(owner, offset);
    return offset;
  }

  async #describe(owner: string): Promise<void> {
    const { transactionStates } = await this.ask(describeTransactions, 0, { transactionalIds: [owner] });
    const { errorCode, transactionState } = transactionStates[0]!;
    if (errorCode !== 0) this.count(`describe.${errorName(errorCode)}`);
    else if (STATES.has(transactionState)) this.count(`describe.${transactionState}`);
    else throw new Violation('state', `${owner} is ${transactionState}`);
  }

  async #list(): Promise<void> {
    const { errorCode, transactionStates } = await this.ask(
      listTransactions,
      this.version(listTransactions),
      {
        stateFilters: [],
        producerIdFilters: [],
      },
    );
    this.count(errorCode === 0 ? 'list.done' : `list.${errorName(errorCode)}`);
    const ids = transactionStates.map(({ transactionalId }) => transactionalId);
    if (new Set(ids).size < ids.length) throw new Violation('list', `an id is listed twice: ${ids.join()}`);
  }

  // At the end

  /** Everything from the beginning. Nothing may be open any more. */
  async readAll(deadlineMs: number): Promise<Findings> {
    const values = new Map<number, number[]>();
    for (let partition = 0; partition < this.host.model.partitions; partition++) {
      const found: number[] = [];
      values.set(partition, found);
      const view = new CommittedView(partition, (offset, value) => {
        this.host.model.read(partition, offset, value);
        found.push(value);
      });
      await this.#readToEnd(view, deadlineMs);
    }
    const offsets = new Map<string, number>();
    for (const owner of this.host.model.owners) {
      const offset = await this.#again(deadlineMs, () => this.#fetchOffset(owner));
      offsets.set(owner, offset);
    }
    return { values, offsets };
  }

  async #readToEnd(view: CommittedView, deadlineMs: number): Promise<void> {
    await this.#again(deadlineMs, async () => {
      await this.#fetch(view);
      const isAtEnd = view.highWatermark > 0 && view.position >= view.highWatermark;
      const isOver = this.host.world.nowMs > deadlineMs;
      if (!isAtEnd && isOver && view.lastStableOffset < view.highWatermark) {
        throw new Violation(
          'hanging',
          `partition ${view.partition} has an open transaction at ${view.lastStableOffset}, before ${view.highWatermark}`,
        );
      }
      return isAtEnd ? true : undefined;
    });
  }

  /** Until it is something; connections break, also on their own. */
  async #again<T>(deadlineMs: number, work: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      try {
        const result = await work();
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      }
      if (this.host.world.nowMs > deadlineMs) throw new Violation('unavailable', `${this.name} cannot read`);
      await this.sleep(this.random.fraction() * RETRY_MS);
    }
  }
}

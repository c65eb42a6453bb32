import {
  addOffsetsToTxn,
  addPartitionsToTxn,
  endTxn,
  findCoordinator,
  initProducerId,
  produce,
  txnOffsetCommit,
  type FindCoordinatorRequestInit,
} from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { Client, errorName, type BaseHost } from '../broker/clients.ts';
import { ConnectionLost, KafkaConnection } from '../broker/connection.ts';
import { batchOf } from '../workload/values.ts';
import type { Identity, SimTransaction, TransactionsModel } from './model.ts';

const PAUSE_MS_MAX = 15;
const RETRY_MS_MAX = 60;
/** In virtual time: then a producer begins anew. */
const GIVE_UP_MS = 6000;
const TIMEOUT_MS_CHOICES = [250, 800, 3000];
const STALL_MS_MAX = 2500;
const LATE_MS_MAX = 400;
const WRITES_MAX = 4;
const RECORDS_MAX = 2;
const VALUE_BYTES_CHOICES = [8, 40, 700];
const EXPECTED_SINCE = 3;
/** The versions that each protocol has to itself. */
const PRODUCE_TRANSACTIONAL_SINCE = 3;
const PRODUCE_ADDS_SINCE = 12;
const END_RAISES_SINCE = 5;
const OFFSETS_ADD_SINCE = 5;
const CLIENT_ADDS_UNTIL = 3;
const MANY_KEYS_SINCE = 4;
const KEY_TYPE_TRANSACTION = 1;
export const KEY_TYPE_GROUP = 0;

/** The request may be repeated as it is. */
const TRANSIENT = new Set([
  'NOT_COORDINATOR',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'CONCURRENT_TRANSACTIONS',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_LEADER_OR_FOLLOWER',
  'KAFKA_STORAGE_ERROR',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);
/** Of these it is certain that nothing has come of the request. */
const UNTOUCHED = new Set(['CONCURRENT_TRANSACTIONS', 'COORDINATOR_LOAD_IN_PROGRESS']);
const FENCED = new Set(['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH']);
/** What a producer may be told of its transaction; all else is a bug of the broker. */
const EXPECTED = new Set([
  ...FENCED,
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_TXN_STATE',
  'TRANSACTION_ABORTABLE',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
]);

export const TOPIC = 'ledger';

export interface TransactionHost extends BaseHost {
  readonly model: TransactionsModel;
}

/** The transaction cannot go on, and the producer has to begin anew. */
class Trouble extends Error {
  override readonly name = 'Trouble';
  readonly fenced: boolean;

  constructor(reason: string) {
    super(reason);
    this.fenced = FENCED.has(reason);
  }
}

/**
 * A transactional producer, as a client library would be one, of either protocol; two of them share a transactional id. It begins, writes, commits,
 * aborts, stalls until its time is up, repeats what was not answered, and takes the id over when it was fenced; at the end it may die with its
 * transaction open. Now and then a copy of its EndTxn arrives much later.
 */
export class Transactor extends Client<TransactionHost> {
  readonly #owner: string;
  #identity: Identity | undefined;
  /** Whether it names itself when it begins anew (KIP-360). */
  #mayGoOn = false;
  #isFenced = false;
  /** KIP-890: each transaction has an epoch of its own, and the broker adds partitions. */
  #isNew = false;
  /** By partition; they begin anew with each epoch. */
  #sequences = new Map<number, number>();
  #busy = false;

  constructor(host: TransactionHost, name: string, owner: string) {
    super(host, name);
    this.#owner = owner;
  }

  get busy(): boolean {
    return this.#busy;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.host.draining()) return;
    this.#busy = true;
    try {
      if (this.#identity !== undefined && !this.#mayGoOn) await this.#transact(this.#identity);
      else if (!this.#isFenced || this.random.chance(0.05)) await this.#begin();
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      this.count(error.fenced ? 'transactor.fenced' : 'transactor.trouble');
      this.note(error.message);
      this.#isFenced = error.fenced;
      this.#mayGoOn = !error.fenced && this.#identity !== undefined && this.random.chance(0.5);
      if (!this.#mayGoOn) this.#identity = undefined;
    } finally {
      this.#busy = false;
    }
  }

  /** Repeats a request until it is answered for good. Throws Trouble. */
  async #persist<T>(
    what: string,
    ask: () => Promise<T>,
    codesOf: (answer: T) => readonly number[],
    onDoubt: () => void = () => undefined,
  ): Promise<T> {
    const deadlineMs = this.host.world.nowMs + GIVE_UP_MS;
    for (;;) {
      try {
        const answer = await ask();
        const names = codesOf(answer)
          .filter((code) => code !== 0)
          .map(errorName);
        for (const name of names) this.count(`${what}.${name}`);
        if (names.length === 0) return answer;
        const final = names.find((name) => !TRANSIENT.has(name));
        if (final !== undefined && !EXPECTED.has(final)) {
          throw new Violation('unexpected-error', `${this.name}: ${what} is answered ${final}`);
        }
        if (final !== undefined) throw new Trouble(final);
        if (names.some((name) => !UNTOUCHED.has(name))) onDoubt();
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        this.count('client.connection-lost');
        onDoubt();
      }
      if (this.host.world.nowMs > deadlineMs) throw new Trouble('gave up');
      await this.sleep(this.random.fraction() * RETRY_MS_MAX);
    }
  }

  async #begin(): Promise<void> {
    await this.#findCoordinator(KEY_TYPE_TRANSACTION, this.#owner);
    const expected = this.#mayGoOn ? this.#identity : undefined;
    const body = {
      transactionalId: this.#owner,
      transactionTimeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
      ...expected,
    };
    const version = this.version(initProducerId, expected === undefined ? 0 : EXPECTED_SINCE);
    const answer = await this.#persist(
      'init',
      () => this.ask(initProducerId, version, body),
      ({ errorCode }) => [errorCode],
    );
    this.count(expected === undefined ? 'init.anew' : 'init.goes-on');
    this.#goOn(answer);
    this.#isFenced = false;
    this.#mayGoOn = false;
    this.#isNew = this.random.chance(0.5);
    this.host.model.initialised(this.#owner, this.#identity!);
  }

  #goOn({ producerId, producerEpoch }: Identity): void {
    this.#identity = { producerId, producerEpoch };
    this.#sequences = new Map();
    this.note(`is ${producerId}/${producerEpoch}`);
  }

  async #findCoordinator(keyType: number, key: string): Promise<void> {
    const version = this.version(findCoordinator, 1);
    await this.#persist(
      'find',
      () => this.ask(findCoordinator, version, coordinatorOf(version, keyType, key)),
      (answer) => [version >= MANY_KEYS_SINCE ? answer.coordinators[0]!.errorCode : answer.errorCode],
    );
  }

  async #transact(identity: Identity): Promise<void> {
    const transaction = this.host.model.begin(this.#owner, identity);
    this.note(`begins ${transaction.number}${this.#isNew ? '' : ', old protocol'}`);
    for (let left = this.random.between(1, WRITES_MAX); left > 0; left--) {
      await this.#write(transaction);
      if (this.random.chance(0.02)) {
        this.count('transactor.stalled');
        await this.sleep(this.random.fraction() * STALL_MS_MAX);
      }
      if (this.host.draining() && this.random.chance(0.5)) {
        this.count('transactor.died');
        this.#identity = undefined;
        return;
      }
    }
    if (this.random.chance(0.4)) await this.#storeOffset(transaction);
    await this.#end(transaction, this.random.chance(0.7));
  }

  async #write(transaction: SimTransaction): Promise<void> {
    const { model, world } = this.host;
    const all = Array.from({ length: model.partitions }, (_, index) => index);
    const first = this.random.pick(all);
    const chosen = all.filter((partition) => partition === first || this.random.chance(0.25));
    if (!this.#isNew) await this.#addPartitions(transaction, chosen);
    const { producerId, producerEpoch } = transaction.identity;
    const partitionData = chosen.map((index) => {
      const values = Array.from({ length: this.random.between(1, RECORDS_MAX) }, () =>
        model.newValue(transaction, index),
      );
      const baseSequence = this.#sequences.get(index) ?? 0;
      this.#sequences.set(index, baseSequence + values.length);
      const records = batchOf(values, {
        valueBytes: this.random.pick(VALUE_BYTES_CHOICES),
        timestamp: Math.floor(world.startMs + world.nowMs),
        producerId,
        producerEpoch,
        baseSequence,
        transactional: true,
      });
      return { index, records };
    });
    const version = this.#isNew
      ? PRODUCE_ADDS_SINCE
      : this.version(produce, PRODUCE_TRANSACTIONAL_SINCE, PRODUCE_ADDS_SINCE - 1);
    await this.#persist(
      'produce',
      () =>
        this.ask(produce, version, {
          transactionalId: this.#owner,
          acks: -1,
          timeoutMs: 30_000,
          topicData: [{ name: TOPIC, partitionData }],
        }),
      ({ responses }) => responses[0]!.partitionResponses.map(({ errorCode }) => errorCode),
    );
    this.count(this.#isNew ? 'produce.adds' : 'produce.verifies');
  }

  async #addPartitions({ identity }: SimTransaction, partitions: readonly number[]): Promise<void> {
    const version = this.version(addPartitionsToTxn, 0, CLIENT_ADDS_UNTIL);
    const body = {
      v3AndBelowTransactionalId: this.#owner,
      v3AndBelowProducerId: identity.producerId,
      v3AndBelowProducerEpoch: identity.producerEpoch,
      v3AndBelowTopics: [{ name: TOPIC, partitions }],
    };
    await this.#persist(
      'add',
      () => this.ask(addPartitionsToTxn, version, body),
      ({ resultsByTopicV3AndBelow: [topic] }) =>
        topic!.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
    );
  }

  async #storeOffset(transaction: SimTransaction): Promise<void> {
    const { identity, number } = transaction;
    await this.#findCoordinator(KEY_TYPE_GROUP, groupOf(this.#owner));
    const named = { transactionalId: this.#owner, ...identity, groupId: groupOf(this.#owner) };
    if (!this.#isNew) {
      const version = this.version(addOffsetsToTxn);
      await this.#persist(
        'add-offsets',
        () => this.ask(addOffsetsToTxn, version, named),
        ({ errorCode }) => [errorCode],
      );
    }
    const version = this.#isNew ? OFFSETS_ADD_SINCE : this.version(txnOffsetCommit, 0, OFFSETS_ADD_SINCE - 1);
    transaction.hasOffset = true;
    const partitions = [{ partitionIndex: 0, committedOffset: number, committedMetadata: '' }];
    await this.#persist(
      'offset',
      () => this.ask(txnOffsetCommit, version, { ...named, topics: [{ name: TOPIC, partitions }] }),
      ({ topics: [topic] }) => topic!.partitions.map(({ errorCode }) => errorCode),
    );
    this.count('offset.stored');
  }

  async #end(transaction: SimTransaction, committed: boolean): Promise<void> {
    const { model } = this.host;
    const body = { transactionalId: this.#owner, ...transaction.identity, committed };
    const version = this.#isNew ? END_RAISES_SINCE : this.version(endTxn, 0, END_RAISES_SINCE - 1);
    const isLate = this.#isNew && this.random.chance(0.2);
    // Something may have come of a request that was not answered, or not for good, or of the copy.
    let inDoubt = isLate;
    if (committed) model.commitSent(transaction);
    if (isLate) this.#endLate(transaction, body).catch(this.host.fail);
    let answer;
    try {
      answer = await this.#persist(
        'end',
        () => this.ask(endTxn, version, body),
        ({ errorCode }) => [errorCode],
        () => (inDoubt = true),
      );
    } catch (error) {
      if (error instanceof Trouble && !inDoubt && error.message !== 'gave up') model.aborted(transaction);
      throw error;
    }
    this.note(`${committed ? 'commits' : 'aborts'} ${transaction.number}`);
    this.count(committed ? 'end.committed' : 'end.aborted');
    if (committed) model.committed(transaction);
    else model.aborted(transaction);
    if (this.#isNew) this.#goOn(answer);
    // Before KIP-890 a repeated EndTxn could still be under way, and would meet the next transaction: a new epoch keeps it away.
    else if (inDoubt) this.#identity = undefined;
  }

  /** The same request once more, on a connection of its own and long after: whatever it meets must not care (KIP-890). */
  async #endLate(
    transaction: SimTransaction,
    body: { readonly transactionalId: string; readonly committed: boolean } & Identity,
  ): Promise<void> {
    await this.sleep(this.random.fraction() * LATE_MS_MAX);
    if (this.host.stopped()) return;
    try {
      const { platform, address, fail } = this.host;
      const connection = await KafkaConnection.open(platform, address, fail);
      const { errorCode } = await connection.request(endTxn, END_RAISES_SINCE, body);
      connection.close();
      this.count(`late-end.${errorCode === 0 ? 'ok' : errorName(errorCode)}`);
      if (errorCode === 0 && body.committed) this.host.model.committed(transaction);
      else if (errorCode === 0) this.host.model.aborted(transaction);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
  }
}

/** The body of a FindCoordinator for one key. */
export function coordinatorOf(version: number, keyType: number, key: string): FindCoordinatorRequestInit {
  return { keyType, ...(version >= MANY_KEYS_SINCE ? { coordinatorKeys: [key] } : { key }) };
}

export function groupOf(owner: string): string {
  return `group of ${owner}`;
}

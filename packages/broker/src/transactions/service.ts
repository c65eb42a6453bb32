import { featureLevel, TRANSACTION_VERSION } from '../cluster/features.ts';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '../cluster/topic-names.ts';
import { statePartitionOf } from '../coordinator/partitioning.core.ts';
import type { ShardCounters } from '../coordinator/shard.ts';
import { StateTopic } from '../coordinator/state-topic.ts';
import type { CoordinatorFound } from '../coordinator/types.ts';
import type { ProducerIds } from '../cluster/producer-ids.ts';
import { BrokerError, type ErrorName } from '../errors.ts';
import { invalidExpression, type Slices } from '../expressions/slices.ts';
import type { PeerPort } from '../peer/types.ts';
import type { Clock, Logger, Timers } from '../platform/index.ts';
import type { AddPartitionsRequest } from '../topics/transaction-verifier.ts';
import type { HostedPartitions, TopicAdmin } from '../topics/types.ts';
import { MarkerSender } from './marker-sender.ts';
import { NEEDS_PRODUCER_ID, type Transaction } from './transaction.core.ts';
import { refusalOfAll, TransactionsCore } from './transactions.core.ts';
import {
  EPOCH_PER_TRANSACTION_SINCE,
  noTransactions,
  type AddToTransactionRequest,
  type DescribedTransaction,
  type EndTransactionRequest,
  type EndTransactionResponse,
  type InitProducerRequest,
  type InitProducerResponse,
  type ListedTransaction,
  type ListTransactionsRequest,
  type ListTransactionsResponse,
  type Refused,
  type TransactionCoordinator,
  type TransactionFilter,
  type TransactionRequest,
  type TransactionSettings,
} from './types.ts';

export interface TransactionServiceOptions {
  readonly partitions: HostedPartitions;
  readonly admin: Pick<TopicAdmin, 'createTopic'>;
  readonly peer: PeerPort;
  readonly producerIds: ProducerIds;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly settings: TransactionSettings;
  /** Shared with all else that looks at regular expressions of clients. */
  readonly slices: Slices;
  /** `transaction.state.log.*`. */
  readonly topic: {
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly segmentBytes: number;
    readonly flush: 'fsync' | 'os';
    readonly minInsyncReplicas: number;
  };
}

/**
 * How long a request waits for the markers of its producer's last transaction, before it is told to come again: most are written in a few
 * milliseconds, and clients come again after many more.
 */
const COMPLETION_WAIT_MS = 100;

/** Leads each request to the partition of `__transaction_state` that has its transactional id, and to the core that runs over it. */
export class TransactionService implements TransactionCoordinator {
  readonly counters = noTransactions();
  readonly #options: TransactionServiceOptions;
  readonly #slices: Slices;
  readonly #markers: MarkerSender;
  readonly #topic: StateTopic<TransactionsCore>;

  constructor(options: TransactionServiceOptions) {
    const { partitions, settings, topic } = options;
    this.#options = options;
    this.#slices = options.slices;
    this.#markers = new MarkerSender({ ...options, counters: this.counters });
    this.#topic = new StateTopic({
      ...options,
      name: TRANSACTIONS_TOPIC,
      creation: {
        partitions: topic.partitions,
        replicationFactor: topic.replicationFactor,
        configs: new Map([
          ['cleanup.policy', 'compact'],
          ['compression.type', 'uncompressed'],
          ['flush', topic.flush],
          ['min.insync.replicas', String(topic.minInsyncReplicas)],
          ['segment.bytes', String(topic.segmentBytes)],
          ['unclean.leader.election.enable', 'false'],
        ]),
      },
      makeCore: (sink, { partition, leaderEpoch }) =>
        new TransactionsCore({
          sink,
          settings,
          counters: this.counters,
          coordinatorEpoch: leaderEpoch,
          transactionVersion: () => featureLevel(partitions.image, TRANSACTION_VERSION),
          markers: {
            send: (task) => this.#markers.send(task, () => this.#topic.shard(partition)?.used()),
          },
        }),
    });
  }

  get shardCounters(): ShardCounters {
    return this.#topic.counters;
  }

  /** Takes up the partitions of the topic that this broker holds now. To be called after each change of the image. */
  imageChanged(): void {
    this.#topic.imageChanged();
  }

  close(): void {
    this.#topic.close();
    this.#markers.close();
  }

  /** Partitions of the topic whose transactional ids are not known yet. */
  get loadingCount(): number {
    return this.#topic.loadingCount;
  }

  /** Resolves when no transactional id is being loaded any more, or when the time is up. */
  loaded(timeoutMs: number): Promise<void> {
    return this.#topic.loaded(timeoutMs);
  }

  /** All transactional ids of this broker at this moment, for metrics. */
  *transactions(): Generator<Transaction> {
    for (const shard of this.#topic.shards()) {
      const { core } = shard.use();
      if (core !== undefined) yield* core.transactions();
    }
  }

  coordinatorOf(transactionalId: string): Promise<CoordinatorFound> {
    return this.#topic.coordinatorOf(transactionalId);
  }

  initProducer(request: InitProducerRequest): Promise<InitProducerResponse> {
    const { transactionalId } = request;
    const ask = (freshProducerId: number | undefined): Promise<InitProducerResponse | NeedsProducerId> =>
      this.#topic.change<InitProducerResponse | NeedsProducerId>(
        transactionalId,
        (core, shard, done) => core.initProducer({ ...request, freshProducerId }, shard.now(), done),
        refused,
      );
    return this.#onceCompleted(transactionalId, () => this.#withProducerId(ask), errorOf);
  }

  end(request: EndTransactionRequest): Promise<EndTransactionResponse> {
    const { transactionalId } = request;
    const ask = (freshProducerId: number | undefined): Promise<EndTransactionResponse | NeedsProducerId> =>
      this.#topic.change<EndTransactionResponse | NeedsProducerId>(
        transactionalId,
        (core, shard, done) => core.end({ ...request, freshProducerId }, shard.now(), done),
        refused,
      );
    return this.#onceCompleted(transactionalId, () => this.#withProducerId(ask), errorOf);
  }

  /** Asks again if the last transaction is being completed, once that has come to its end, or has taken too long. */
  async #onceCompleted<T>(
    transactionalId: string,
    ask: () => Promise<T>,
    errorIn: (answer: T) => ErrorName | undefined,
  ): Promise<T> {
    const answer = await ask();
    if (errorIn(answer) !== 'CONCURRENT_TRANSACTIONS') return answer;
    const { core } = this.#topic.find(transactionalId);
    if (core === undefined) return answer;
    await new Promise<void>((resolve) => {
      const timer = this.#options.timers.after(COMPLETION_WAIT_MS, () => {
        takeBack();
        resolve();
      });
      const takeBack = core.whenCompleted(transactionalId, () => {
        timer.cancel();
        resolve();
      });
    });
    return ask();
  }

  /** Asks a second time, with a producer id that nobody has, if that is what is missing. */
  async #withProducerId<T>(
    ask: (freshProducerId: number | undefined) => Promise<T | NeedsProducerId>,
  ): Promise<T | Refused> {
    const answer = await ask(undefined);
    if (answer !== NEEDS_PRODUCER_ID) return answer;
    let freshProducerId;
    try {
      freshProducerId = await this.#options.producerIds.next();
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#options.logger.warn({ error: error.message }, 'There is no producer id for a transactional id');
      return { error: 'COORDINATOR_NOT_AVAILABLE' };
    }
    const second = await ask(freshProducerId);
    if (second === NEEDS_PRODUCER_ID) throw new Error('a producer id was given, and asked for again');
    return second;
  }

  addToTransaction(request: AddToTransactionRequest): Promise<ErrorName | undefined> {
    const { transactionalId } = request;
    const ask = (): Promise<ErrorName | undefined> =>
      this.#topic.change<ErrorName | undefined>(
        transactionalId,
        (core, shard, done) => core.addPartitions(request, shard.now(), done),
        (error) => error,
      );
    return this.#onceCompleted(transactionalId, ask, (error) => error);
  }

  addOffsets({
    groupId,
    ...request
  }: TransactionRequest & { readonly groupId: string }): Promise<ErrorName | undefined> {
    const count = this.#options.partitions.image.topicByName(OFFSETS_TOPIC)?.partitions.length ?? 0;
    if (count === 0) return Promise.resolve('COORDINATOR_NOT_AVAILABLE');
    const partitions = [{ topic: OFFSETS_TOPIC, partition: statePartitionOf(groupId, count) }];
    return this.addToTransaction({ ...request, partitions, transactionVersion: 0 });
  }

  async addPartitions({ mode, ...request }: AddPartitionsRequest): Promise<ReadonlyMap<string, ErrorName>> {
    if (mode === 'add') {
      const transactionVersion = EPOCH_PER_TRANSACTION_SINCE;
      const error = await this.addToTransaction({ ...request, transactionVersion });
      return error === undefined ? NONE_REFUSED : refusalOfAll(request, error);
    }
    return this.#topic.ask<ReadonlyMap<string, ErrorName>>(
      request.transactionalId,
      (core, _shard, done) => core.verifyPartitions(request, done),
      (error) => refusalOfAll(request, error),
    );
  }

  describe(transactionalId: string): Promise<Refused | DescribedTransaction> {
    return this.#topic.ask<Refused | DescribedTransaction>(
      transactionalId,
      (core, _shard, done) => core.describe(transactionalId, done),
      refused,
    );
  }

  /** Rejects with BrokerError INVALID_REGULAR_EXPRESSION. */
  async list({ idPattern, ...filter }: ListTransactionsRequest): Promise<ListTransactionsResponse> {
    const pattern = idPattern === undefined ? undefined : await this.#slices.toCompile(idPattern);
    if (pattern?.fault !== undefined) throw invalidExpression(pattern.fault);
    const listed = await this.#list(filter);
    if (listed.error !== undefined || pattern === undefined) return listed;
    const transactions = await this.#slices.matching(
      listed.transactions,
      ({ transactionalId }) => transactionalId,
      pattern,
    );
    return { error: undefined, transactions };
  }

  async #list(filter: TransactionFilter): Promise<ListTransactionsResponse> {
    const all: ListedTransaction[] = [];
    for (const shard of this.#topic.shards()) {
      const { core, error } = shard.use();
      // What another broker leads is that one's to tell.
      if (error === 'NOT_COORDINATOR') continue;
      if (core === undefined) return { error };
      const listed = await new Promise<ListTransactionsResponse>((resolve) =>
        core.list(filter, shard.now(), resolve),
      );
      if (listed.error === 'NOT_COORDINATOR') continue;
      if (listed.error !== undefined) return listed;
      for (const transaction of listed.transactions) all.push(transaction);
    }
    return { error: undefined, transactions: all };
  }
}

const NONE_REFUSED: ReadonlyMap<string, ErrorName> = new Map();

type NeedsProducerId = typeof NEEDS_PRODUCER_ID;

function errorOf({ error }: { readonly error: ErrorName | undefined }): ErrorName | undefined {
  return error;
}

function refused(error: ErrorName): Refused {
  return { error };
}

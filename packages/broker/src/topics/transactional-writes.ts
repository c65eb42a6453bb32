import { type TopicPartition, topicPartitionKey } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';
import type { Clock, Timers } from '../platform/clock.ts';
import type { Partition } from '../replication/types.ts';
import type { AddPartitionsRequest, TransactionVerifier } from './transaction-verifier.ts';

/** Kafka's default of `add.partitions.to.txn.retry.backoff.ms`. */
const RETRY_PAUSE_MS = 20;
/** Kafka's default of `add.partitions.to.txn.retry.backoff.max.ms`: how long a write waits for the markers of its producer's last transaction. */
const RETRY_MS_MAX = 100;

/** A batch of a transaction that a client wants to write. */
export interface TransactionalWrite {
  readonly partition: Partition;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** For each write what its append has to bring along, or why it must not be made. */
export type Verified = ReadonlyMap<TransactionalWrite, number | ErrorName>;

export interface VerificationOptions {
  readonly transactionalId: string;
  /** `add`: the client leaves it to the broker to add partitions to its transaction (KIP-890 part 2). */
  readonly mode: AddPartitionsRequest['mode'];
  /** Whether the client knows TRANSACTION_ABORTABLE. */
  readonly knowsAbortable: boolean;
  /** The client waits no longer. */
  readonly timeoutMs: number;
}

type ToldOf = (error: ErrorName, options: VerificationOptions) => ErrorName;

/**
 * Asks the transaction coordinator, before the writes of one producer are appended, whether its transaction has their partitions: one request for all that have
 * no open transaction of the producer yet. At once if that is none of them.
 */
export class TransactionalWrites {
  readonly #verifier: TransactionVerifier;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #toldOf: ToldOf;

  constructor(options: {
    readonly verifier: TransactionVerifier;
    readonly clock: Clock;
    readonly timers: Timers;
    /** What clients are told of the coordinator's errors; what producers of records are told, if left out. */
    readonly toldOf?: ToldOf;
  }) {
    this.#verifier = options.verifier;
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#toldOf = options.toldOf ?? toldToProducers;
  }

  /** @param writes of one producer id and epoch, to different partitions */
  verify(writes: readonly TransactionalWrite[], options: VerificationOptions): Verified | Promise<Verified> {
    const verified = new Map<TransactionalWrite, number | ErrorName>();
    const asked: TransactionalWrite[] = [];
    const nowMs = this.#clock.nowMs();
    for (const write of writes) {
      const started = write.partition.startVerification(write, options.mode === 'add', nowMs);
      verified.set(write, started);
      if (typeof started === 'number' && started > 0) asked.push(write);
    }
    return asked.length === 0 ? verified : this.#ask(asked, options, verified);
  }

  async #ask(
    asked: readonly TransactionalWrite[],
    options: VerificationOptions,
    verified: Map<TransactionalWrite, number | ErrorName>,
  ): Promise<Verified> {
    const startedMs = this.#clock.monotonicMs();
    const agreed = await this.#askOnce(asked, options, verified);
    if (options.mode === 'verify') return verified;
    const again = agreed.filter((write) => this.#hasEnded(write, verified));
    const leftMs = startedMs + options.timeoutMs - this.#clock.monotonicMs();
    if (again.length > 0) await this.#askOnce(again, { ...options, timeoutMs: leftMs }, verified);
    return verified;
  }

  /**
   * Whether a marker has ended the verification while the coordinator was asked, and begun another one. With an epoch for each transaction it was that of the
   * last one, whose end the coordinator may have waited for: that of the present one has a later epoch, and nothing begins.
   */
  #hasEnded(write: TransactionalWrite, verified: Map<TransactionalWrite, number | ErrorName>): boolean {
    const before = verified.get(write);
    const present = write.partition.startVerification(write, true, this.#clock.nowMs());
    verified.set(write, present);
    return typeof present === 'number' && present > 0 && present !== before;
  }

  /** Returns those that the coordinator has agreed to. */
  async #askOnce(
    asked: readonly TransactionalWrite[],
    options: VerificationOptions,
    verified: Map<TransactionalWrite, number | ErrorName>,
  ): Promise<TransactionalWrite[]> {
    const { producerId, producerEpoch } = asked[0]!;
    const request: AddPartitionsRequest = {
      transactionalId: options.transactionalId,
      producerId,
      producerEpoch,
      partitions: asked.map(({ partition }) => placeOf(partition)),
      mode: options.mode,
    };
    const errors = await this.#untilSettled(request, options.timeoutMs);
    return asked.filter((write) => {
      const error =
        errors === undefined ? TIMED_OUT : errors.get(topicPartitionKey(placeOf(write.partition)));
      if (error !== undefined) verified.set(write, this.#toldOf(error, options));
      return error === undefined;
    });
  }

  /**
   * A transaction follows the last one of its producer closely: as long as the markers of that are being written the coordinator asks to come again, and
   * doing so here spares the client a round. Undefined if the time is up.
   */
  async #untilSettled(
    request: AddPartitionsRequest,
    timeoutMs: number,
  ): Promise<ReadonlyMap<string, ErrorName> | undefined> {
    const startedMs = this.#clock.monotonicMs();
    const lastTryMs = startedMs + Math.min(RETRY_MS_MAX, timeoutMs);
    for (;;) {
      const leftMs = startedMs + timeoutMs - this.#clock.monotonicMs();
      const errors = await this.#within(leftMs, this.#verifier.addPartitions(request));
      const isConcurrent = errors !== undefined && [...errors.values()].includes('CONCURRENT_TRANSACTIONS');
      if (!isConcurrent || this.#clock.monotonicMs() + RETRY_PAUSE_MS > lastTryMs) return errors;
      await new Promise<void>((resolve) => this.#timers.after(RETRY_PAUSE_MS, resolve));
    }
  }

  /** Undefined if it takes longer; what comes of it then is of no interest. */
  #within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const timer = this.#timers.after(Math.max(0, timeoutMs), () => resolve(undefined));
      work
        .finally(() => timer.cancel())
        .then(resolve)
        .catch(reject);
    });
  }
}

/** What stands for a coordinator that did not answer in time. */
const TIMED_OUT: ErrorName = 'COORDINATOR_NOT_AVAILABLE';

function placeOf({ topic, index }: Partition): TopicPartition {
  return { topic, partition: index };
}

/**
 * What producers are told, who know the coordinator's errors from other requests, if at all: NOT_ENOUGH_REPLICAS has all of them repeat the request,
 * without looking for another leader.
 */
function toldToProducers(error: ErrorName, { mode, knowsAbortable }: VerificationOptions): ErrorName {
  switch (error) {
    case 'COORDINATOR_LOAD_IN_PROGRESS':
    case 'COORDINATOR_NOT_AVAILABLE':
    case 'NOT_COORDINATOR':
      return 'NOT_ENOUGH_REPLICAS';
    case 'CONCURRENT_TRANSACTIONS':
      return mode === 'add' ? error : 'NOT_ENOUGH_REPLICAS';
    case 'PRODUCER_FENCED':
      return 'INVALID_PRODUCER_EPOCH';
    case 'TRANSACTION_ABORTABLE':
      return knowsAbortable ? error : 'INVALID_TXN_STATE';
    default:
      return error;
  }
}

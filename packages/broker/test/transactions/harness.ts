import { topicPartitionKey, type TopicPartition } from '../../src/cluster/topic-partition.core.ts';
import type { StateRecord } from '../../src/coordinator/types.ts';
import type { ErrorName } from '../../src/errors.ts';
import { TransactionsCore } from '../../src/transactions/transactions.core.ts';
import {
  noTransactions,
  type DescribedTransaction,
  type EndTransactionRequest,
  type InitProducerRequest,
  type MarkerTask,
  type ProducerIdentity,
  type Refused,
  type TransactionFilter,
  type TransactionSettings,
} from '../../src/transactions/types.ts';
import { CoreBench, FakeLog } from '../coordinator/core-bench.ts';

export const SETTINGS: TransactionSettings = {
  timeoutMaxMs: 60_000,
  idExpirationMs: 1_000_000,
  timeoutCheckMs: 1000,
  expiryCheckMs: 100_000,
  idsMax: 5,
  partitionsMax: 20,
  stateBytesMax: 1024 * 1024,
};
export const ALL: TransactionFilter = {
  states: new Set(),
  producerIds: new Set(),
  durationMs: undefined,
};

export function partition(name: string): TopicPartition {
  const at = name.lastIndexOf('-');
  return { topic: name.slice(0, at), partition: Number(name.slice(at + 1)) };
}

/** What was appended. */
class StateLog extends FakeLog {
  readonly records: StateRecord[] = [];

  protected override remember(records: readonly StateRecord[]): void {
    this.records.push(...records);
  }

  /** Nobody writes here in a transaction. */
  override transactionRefusal(): ErrorName {
    return 'INVALID_TXN_STATE';
  }
}

/** What a producer was told, or why not. */
type Identity = ProducerIdentity | ErrorName;

function identityOf(response: Refused | ({ readonly error: undefined } & ProducerIdentity)): Identity {
  if (response.error !== undefined) return response.error;
  const { producerId, producerEpoch } = response;
  return { producerId, producerEpoch };
}

/** Transactions over a log in memory, with a clock that is moved by hand, and markers that are written when a test says so. */
export class Transactions extends CoreBench {
  readonly log = new StateLog(() => this.now);
  readonly counters = noTransactions();
  readonly settings: TransactionSettings;
  /** Those that are not written yet, oldest first. */
  tasks: MarkerTask[] = [];
  /** Whether markers are written as soon as they are sent. */
  prompt = true;
  level = 2;
  coordinatorEpoch = 1;
  core: TransactionsCore;
  #nextProducerId = 1000;

  constructor(settings: Partial<TransactionSettings> = {}) {
    super();
    this.settings = { ...SETTINGS, ...settings };
    this.core = this.#makeCore();
    this.core.loaded(this.now);
  }

  #makeCore(): TransactionsCore {
    return new TransactionsCore({
      sink: this.log,
      settings: this.settings,
      counters: this.counters,
      coordinatorEpoch: this.coordinatorEpoch,
      transactionVersion: () => this.level,
      markers: {
        send: (task) => {
          this.tasks.push(task);
          if (this.prompt) this.writeMarkers();
        },
      },
    });
  }

  /** As after a restart: the state is what the log says. */
  reload(): void {
    this.core.close();
    this.tasks = this.tasks.filter((task) => !task.isCancelled());
    this.coordinatorEpoch++;
    this.core = this.#makeCore();
    for (const record of this.log.records) this.core.replay(record);
    this.core.loaded(this.now);
  }

  writeMarkers(): void {
    for (const task of this.tasks.splice(0)) task.written(task.partitions, this.now);
  }

  /** The answers that have come so far; one that waits has none. */
  askInit(
    request: Partial<InitProducerRequest> = {},
    freshProducerId?: number,
    answers: Identity[] = [],
  ): Identity[] {
    const whole = { transactionalId: 't', timeoutMs: 10_000, expected: undefined, ...request };
    this.core.initProducer({ ...whole, freshProducerId }, this.now, (response) => {
      if (response === 'needs-producer-id') this.askInit(request, this.#nextProducerId++, answers);
      else answers.push(identityOf(response));
    });
    return answers;
  }

  /** Throws if the answer waits. */
  init(request: Partial<InitProducerRequest> = {}): Identity {
    return only(this.askInit(request));
  }

  /** A producer that has its identity. */
  producer(request: Partial<InitProducerRequest> = {}): ProducerIdentity {
    const identity = this.init(request);
    if (typeof identity === 'string') throw new Error(identity);
    return identity;
  }

  askAdd(producer: ProducerIdentity, ...names: readonly string[]): (ErrorName | undefined)[] {
    const answers: (ErrorName | undefined)[] = [];
    const request = { transactionalId: 't', ...producer, partitions: names.map(partition) };
    this.core.addPartitions({ ...request, transactionVersion: this.level }, this.now, (error) =>
      answers.push(error),
    );
    return answers;
  }

  add(producer: ProducerIdentity, ...names: readonly string[]): ErrorName | undefined {
    return only(this.askAdd(producer, ...names));
  }

  /** What may not be written to. */
  verify(producer: ProducerIdentity, ...names: readonly string[]): Record<string, ErrorName> {
    const answers: ReadonlyMap<string, ErrorName>[] = [];
    const request = { transactionalId: 't', ...producer, partitions: names.map(partition) };
    this.core.verifyPartitions(request, (refused) => answers.push(refused));
    return Object.fromEntries(only(answers));
  }

  askEnd(
    producer: ProducerIdentity,
    result: 'commit' | 'abort',
    options: Partial<EndTransactionRequest> = {},
    freshProducerId?: number,
    answers: Identity[] = [],
  ): Identity[] {
    const whole = { transactionalId: 't', ...producer, result, transactionVersion: this.level, ...options };
    this.core.end({ ...whole, freshProducerId }, this.now, (response) => {
      if (response === 'needs-producer-id') {
        this.askEnd(producer, result, options, this.#nextProducerId++, answers);
      } else answers.push(identityOf(response));
    });
    return answers;
  }

  end(
    producer: ProducerIdentity,
    result: 'commit' | 'abort',
    options: Partial<EndTransactionRequest> = {},
  ): Identity {
    return only(this.askEnd(producer, result, options));
  }

  describe(transactionalId = 't'): DescribedTransaction | Refused {
    const answers: (DescribedTransaction | Refused)[] = [];
    this.core.describe(transactionalId, (response) => answers.push(response));
    return only(answers);
  }

  /** The state, or why it cannot be told. */
  state(transactionalId = 't'): string {
    const described = this.describe(transactionalId);
    return described.error ?? described.state;
  }

  list(filter: Partial<TransactionFilter> = {}): string[] {
    let ids: string[] = [];
    this.core.list({ ...ALL, ...filter }, this.now, (response) => {
      if (response.error === undefined)
        ids = response.transactions.map(({ transactionalId }) => transactionalId);
    });
    return ids.toSorted();
  }

  /** Of the markers that wait. */
  get awaited(): string[][] {
    return this.tasks.map(({ partitions }) => partitions.map(topicPartitionKey));
  }
}

function only<T>(answers: readonly T[]): T {
  if (answers.length !== 1) throw new Error(`${answers.length} answers`);
  return answers[0]!;
}

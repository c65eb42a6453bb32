import {
  addOffsetsToTxn,
  endTxn,
  findCoordinator,
  initProducerId,
  txnOffsetCommit,
} from '@polylog/kafka-protocol';
import { ConnectionLost } from '../broker/connection.ts';
import { Violation } from '../invariants/history.ts';
import { GroupClient, type GroupHost } from './group-client.ts';
import type { GroupView, OffsetWrite } from './model.ts';

const PAUSE_MS_MAX = 30;
const RETRIES_MAX = 4;
const RETRY_MS = 15;
/** Short enough that transactions which stall are aborted. */
const TRANSACTION_MS = 400;
const STALL_MS_MAX = 800;
const TRANSACTION_KEY = 1;
/** The last versions of clients that add the group to their transactions themselves (KIP-890). */
const VERIFIED_UNTIL = 4;

/** Errors after which the producer is another one, or its transaction is over. */
const FENCED = new Set([
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_TXN_STATE',
  'PRODUCER_FENCED',
  'TRANSACTION_ABORTABLE',
]);

interface Producer {
  readonly producerId: number;
  producerEpoch: number;
  /** The broker adds the group to the transaction, and each transaction has its own epoch (KIP-890 part 2). */
  readonly isSecondVersion: boolean;
}

/** A producer that commits offsets of a group in its transactions: the only one that commits for that group. */
export class Transactor extends GroupClient {
  readonly #view: GroupView;
  readonly #transactionalId: string;
  #producer: Producer | undefined;

  constructor(host: GroupHost, name: string, view: GroupView) {
    super(host, name);
    this.#view = view;
    this.#transactionalId = name;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.host.draining()) return;
    await this.findCoordinator(this.#view);
    const producer = this.#producer ?? (await this.#begin());
    // Until its end is known nobody knows what it is.
    this.#producer = undefined;
    if (producer !== undefined) this.#producer = await this.#transaction(producer);
  }

  /** Fences, and aborts, what was there before. */
  async #begin(): Promise<Producer | undefined> {
    const version = this.version(initProducerId);
    const response = await this.ask(initProducerId, version, {
      transactionalId: this.#transactionalId,
      transactionTimeoutMs: TRANSACTION_MS,
    });
    if (response.errorCode !== 0) {
      this.refusedWith('init', response.errorCode);
      await this.#findTransactions();
      return undefined;
    }
    this.count('init.done');
    const { producerId, producerEpoch } = response;
    return { producerId, producerEpoch, isSecondVersion: this.random.chance(0.5) };
  }

  async #findTransactions(): Promise<void> {
    const version = this.version(findCoordinator, 4);
    await this.ask(findCoordinator, version, {
      keyType: TRANSACTION_KEY,
      coordinatorKeys: [this.#transactionalId],
    });
  }

  /** Returns the producer if it may go on with the next one. */
  async #transaction(producer: Producer): Promise<Producer | undefined> {
    const pending = new Map<number, number>();
    if (!producer.isSecondVersion && !(await this.#addGroup(producer))) return undefined;
    for (let times = this.random.chance(0.3) ? 2 : 1; times > 0; times--) {
      if (!(await this.#commitPending(producer, pending))) return undefined;
      if (this.random.chance(0.3)) await this.fetchOffsets(this.#view);
    }
    if (this.random.chance(0.15) && !(await this.#commitBeside(pending))) return undefined;
    const dice = this.random.fraction();
    if (dice < 0.05) return this.#abandon();
    if (dice < 0.1) await this.sleep(this.random.fraction() * STALL_MS_MAX);
    return dice < 0.3 ? this.#abort(producer) : this.#commit(producer, pending);
  }

  /** A successor takes its transactional id, or its time runs out. */
  async #abandon(): Promise<undefined> {
    this.count('transaction.abandoned');
    if (this.random.chance(0.5)) await this.sleep(this.random.fraction() * STALL_MS_MAX);
    return undefined;
  }

  async #addGroup({ producerId, producerEpoch }: Producer): Promise<boolean> {
    const { groupId } = this.#view;
    return this.#repeat('add-offsets', async () => {
      const version = this.version(addOffsetsToTxn, 0, VERIFIED_UNTIL - 1);
      const body = { transactionalId: this.#transactionalId, producerId, producerEpoch, groupId };
      return (await this.ask(addOffsetsToTxn, version, body)).errorCode;
    });
  }

  /** Writes offsets of some partitions in the transaction. What had been pending there does not count any more. */
  async #commitPending(
    { producerId, producerEpoch, isSecondVersion }: Producer,
    pending: Map<number, number>,
  ): Promise<boolean> {
    const { model } = this.host;
    const offsets = new Map(this.#somePartitions().map((partition) => [partition, model.next()]));
    const version = isSecondVersion
      ? txnOffsetCommit.versionMax
      : this.version(txnOffsetCommit, 0, VERIFIED_UNTIL);
    const isTaken = await this.#repeat('txn-commit', async () => {
      const { topics } = await this.ask(txnOffsetCommit, version, {
        transactionalId: this.#transactionalId,
        groupId: this.#view.groupId,
        producerId,
        producerEpoch,
        memberId: '',
        topics: [
          {
            name: model.topic,
            partitions: [...offsets].map(([partitionIndex, committedOffset]) => ({
              partitionIndex,
              committedOffset,
              committedMetadata: `at ${committedOffset}`,
            })),
          },
        ],
      });
      return topics[0]!.partitions.find(({ errorCode }) => errorCode !== 0)?.errorCode ?? 0;
    });
    if (isTaken) for (const [partition, offset] of offsets) pending.set(partition, offset);
    return isTaken;
  }

  /** Without the transaction, and later in the log: that counts then, and not what is pending. */
  async #commitBeside(pending: Map<number, number>): Promise<boolean> {
    const partitions = this.#somePartitions();
    const as = { generationId: -1, memberId: '', groupInstanceId: null };
    if ((await this.commit(this.#view, partitions, as)) !== undefined) return false;
    for (const partition of partitions) pending.delete(partition);
    this.count('transaction.overtaken');
    return true;
  }

  async #abort(producer: Producer): Promise<Producer | undefined> {
    if ((await this.#end(producer, false)) !== 'done') return undefined;
    this.count('transaction.aborted');
    return producer;
  }

  async #commit(producer: Producer, pending: ReadonlyMap<number, number>): Promise<Producer | undefined> {
    const writes: OffsetWrite[] = [];
    for (const [partition, offset] of pending) {
      writes.push(this.#view.register(partition).invoke(offset, this.nowMs));
    }
    this.#view.committing(pending);
    const ended = await this.#end(producer, true);
    if (ended === 'unknown') return undefined;
    for (const write of writes) {
      if (ended === 'refused') write.outcome = 'refused';
      else {
        write.outcome = 'done';
        write.stableMs = this.nowMs;
      }
    }
    if (ended === 'refused') return undefined;
    this.count('transaction.committed');
    return producer;
  }

  /** Refused is what is certain: its first attempt came too late. */
  async #end(producer: Producer, committed: boolean): Promise<'done' | 'refused' | 'unknown'> {
    const { producerId, producerEpoch, isSecondVersion } = producer;
    const version = isSecondVersion ? endTxn.versionMax : this.version(endTxn, 0, VERIFIED_UNTIL);
    for (let attempt = 0; attempt < RETRIES_MAX; attempt++) {
      let response;
      try {
        response = await this.ask(endTxn, version, {
          transactionalId: this.#transactionalId,
          producerId,
          producerEpoch,
          committed,
        });
      } catch (error) {
        // What it has done is asked for once more, now and then.
        if (!(error instanceof ConnectionLost) || this.random.chance(0.5)) throw error;
        continue;
      }
      if (response.errorCode === 0) {
        if (isSecondVersion) this.#raised(producer, response.producerId, response.producerEpoch);
        return 'done';
      }
      const error = this.refusedWith('end', response.errorCode);
      if (FENCED.has(error)) return attempt === 0 ? 'refused' : 'unknown';
      await this.sleep(RETRY_MS);
    }
    return 'unknown';
  }

  #raised(producer: Producer, producerId: number, producerEpoch: number): void {
    if (producerId !== producer.producerId || producerEpoch <= producer.producerEpoch) {
      throw new Violation(
        'epoch',
        `${this.name}: ${producer.producerId}/${producer.producerEpoch} became ${producerId}/${producerEpoch}`,
      );
    }
    producer.producerEpoch = producerEpoch;
  }

  /** As clients repeat what may succeed later. */
  async #repeat(what: string, ask: () => Promise<number>): Promise<boolean> {
    for (let attempt = 0; attempt < RETRIES_MAX; attempt++) {
      const errorCode = await ask();
      if (errorCode === 0) {
        this.count(`${what}.done`);
        return true;
      }
      if (FENCED.has(this.refusedWith(what, errorCode))) return false;
      await this.sleep(RETRY_MS);
    }
    return false;
  }

  #somePartitions(): number[] {
    const all = Array.from({ length: this.#view.partitions }, (_, index) => index);
    const chosen = all.filter(() => this.random.chance(0.5));
    return chosen.length === 0 ? [0] : chosen;
  }
}

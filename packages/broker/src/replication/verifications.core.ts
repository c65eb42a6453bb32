/** Beyond it the one that began first is forgotten: its append is refused with INVALID_TXN_STATE, and the client has to abort its transaction. */
export const VERIFICATIONS_PER_PARTITION_MAX = 10_000;

/** One that was refused, or whose client went away, is forgotten then: no client is still about to append what it asked for so long ago. */
export const VERIFICATION_MS_MAX = 15 * 60_000;

/** An append of a transaction that needs none: it is open here, under the producer's epoch. */
export const NO_VERIFICATION = 0;

interface Verification {
  readonly id: number;
  readonly startedMs: number;
  readonly isEpochBumped: boolean;
  epoch: number;
  lowestSequence: number;
}

/**
 * Which producers are about to write the first batch of a transaction and have asked the coordinator whether they may (KIP-890). Between the
 * question and the append a marker may end that transaction: it ends the verification too, and the append, which brings the
 * verification's id, is refused. So no record gets into the log that no coordinator knows of, and no transaction hangs.
 */
export class Verifications {
  readonly #byProducer = new Map<number, Verification>();
  readonly #countMax: number;
  #lastId = NO_VERIFICATION;

  constructor(countMax: number = VERIFICATIONS_PER_PARTITION_MAX) {
    this.#countMax = countMax;
  }

  get size(): number {
    return this.#byProducer.size;
  }

  /** Begins one, or joins the one that is under way. Returns its id. */
  start(
    producer: { readonly id: number; readonly epoch: number; readonly sequence: number },
    isEpochBumped: boolean,
    nowMs: number,
  ): number {
    const { id: producerId, epoch, sequence } = producer;
    let verification = this.#byProducer.get(producerId);
    if (verification === undefined) {
      if (this.#byProducer.size >= this.#countMax) this.#forgetOldest();
      const id = ++this.#lastId;
      verification = { id, startedMs: nowMs, isEpochBumped, epoch, lowestSequence: sequence };
      this.#byProducer.set(producerId, verification);
    } else if (epoch > verification.epoch) {
      verification.epoch = epoch;
      verification.lowestSequence = sequence;
    } else if (epoch === verification.epoch) {
      verification.lowestSequence = Math.min(verification.lowestSequence, sequence);
    }
    return verification.id;
  }

  /** Whether this one is still under way: no marker came in between. */
  holds(producerId: number, id: number): boolean {
    return id !== NO_VERIFICATION && this.#byProducer.get(producerId)?.id === id;
  }

  /**
   * Whether a batch with this sequence would jump over one that has asked before it and was not written; and, since with epochs bumped by each
   * transaction a producer without state begins at 0, whether it begins elsewhere.
   */
  isOutOfOrder(producerId: number, sequence: number, hasState: boolean): boolean {
    const verification = this.#byProducer.get(producerId);
    if (verification === undefined) return false;
    return (
      sequence > verification.lowestSequence || (verification.isEpochBumped && !hasState && sequence !== 0)
    );
  }

  /** The first batch of the transaction was written, or its marker. */
  end(producerId: number): void {
    this.#byProducer.delete(producerId);
  }

  expire(nowMs: number): void {
    for (const [producerId, { startedMs }] of this.#byProducer) {
      if (nowMs - startedMs < VERIFICATION_MS_MAX) return;
      this.#byProducer.delete(producerId);
    }
  }

  clear(): void {
    this.#byProducer.clear();
  }

  #forgetOldest(): void {
    for (const producerId of this.#byProducer.keys()) {
      this.#byProducer.delete(producerId);
      return;
    }
  }
}

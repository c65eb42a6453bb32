/**
 * What clients saw of one partition, checked after Jepsen's Kafka workload. Values are unique, so that each says everything
 * about where it came from.
 */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly rule: string;

  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.rule = rule;
  }
}

interface Send {
  outcome: 'pending' | 'ok' | 'fail' | 'info';
  offset: number;
  /** Whether losing it after ok is a violation. */
  binding: boolean;
}

export class PartitionHistory {
  readonly name: string;
  readonly #sends = new Map<number, Send>();
  /** By offset: what somebody read there. */
  readonly #reads = new Map<number, number>();
  readonly #offsetOfValue = new Map<number, number>();
  #rolledBack: number[] = [];
  #highestRead = -1;

  constructor(name: string) {
    this.name = name;
  }

  get sends(): number {
    return this.#sends.size;
  }

  knows(value: number): boolean {
    return this.#sends.has(value);
  }

  sent(value: number): void {
    this.#sends.set(value, { outcome: 'pending', offset: -1, binding: false });
  }

  /** Certain success. `binding`: it was promised to stay (acks=all, or one replica). */
  acknowledged(value: number, offset: number, binding: boolean): void {
    const send = this.#send(value);
    if (send.outcome === 'ok' && send.offset !== offset) {
      throw new Violation(
        'inconsistent-ack',
        `${this.name}: value ${value} acknowledged at ${send.offset} and ${offset}`,
      );
    }
    if (send.outcome === 'fail') {
      throw new Violation(
        'inconsistent-ack',
        `${this.name}: value ${value} acknowledged after a certain failure`,
      );
    }
    send.outcome = 'ok';
    send.offset = offset;
    send.binding ||= binding;
    const seen = this.#reads.get(offset);
    if (binding && seen !== undefined && seen !== value) {
      throw new Violation(
        'inconsistent-offsets',
        `${this.name}: ${offset} acknowledged for ${value}, but ${seen} was read there`,
      );
    }
  }

  /** Certainly not appended, and never will be. */
  failed(value: number): void {
    const send = this.#send(value);
    if (send.outcome === 'pending') send.outcome = 'fail';
    if (this.#offsetOfValue.has(value)) {
      throw new Violation('G1a', `${this.name}: value ${value} failed for certain and was read`);
    }
  }

  /** A write that failed was taken back: certain, until the power is lost before the cut was synced. */
  rolledBack(value: number): void {
    this.failed(value);
    this.#rolledBack.push(value);
  }

  powerLost(): void {
    for (const value of this.#rolledBack) this.#send(value).outcome = 'info';
    this.#rolledBack = [];
  }

  unknown(value: number): void {
    const send = this.#send(value);
    if (send.outcome === 'pending') send.outcome = 'info';
  }

  read(offset: number, value: number): void {
    const before = this.#reads.get(offset);
    if (before !== undefined && before !== value) {
      throw new Violation('inconsistent-offsets', `${this.name}: ${offset} held ${before}, then ${value}`);
    }
    const elsewhere = this.#offsetOfValue.get(value);
    if (elsewhere !== undefined && elsewhere !== offset) {
      throw new Violation('duplicate', `${this.name}: value ${value} stands at ${elsewhere} and ${offset}`);
    }
    const send = this.#sends.get(value);
    if (send === undefined) throw new Violation('phantom', `${this.name}: value ${value} was never sent`);
    if (send.outcome === 'fail') {
      throw new Violation('G1a', `${this.name}: value ${value} failed for certain and was read at ${offset}`);
    }
    if (send.outcome === 'ok' && send.binding && send.offset !== offset) {
      throw new Violation(
        'inconsistent-offsets',
        `${this.name}: value ${value} acknowledged at ${send.offset}, read at ${offset}`,
      );
    }
    this.#reads.set(offset, value);
    this.#offsetOfValue.set(value, offset);
    if (offset > this.#highestRead) this.#highestRead = offset;
  }

  /** A loss that was not promised against has happened: what was acknowledged or read so far proves nothing any more. */
  forget(): void {
    for (const send of this.#sends.values()) {
      if (send.outcome === 'ok' || send.outcome === 'pending') {
        send.outcome = 'info';
        send.binding = false;
      }
    }
    this.#reads.clear();
    this.#offsetOfValue.clear();
    this.#highestRead = -1;
  }

  /** After the final drain from `startOffset`: what was promised is there, unless it was deleted. */
  checkComplete(startOffset: number, endOffset: number): void {
    for (const [value, send] of this.#sends) {
      if (send.outcome !== 'ok' || !send.binding || send.offset < startOffset) continue;
      if (this.#reads.get(send.offset) !== value) {
        const rule = send.offset <= this.#highestRead ? 'lost-write' : 'unseen';
        throw new Violation(
          rule,
          `${this.name}: value ${value} was acknowledged at ${send.offset}, the log holds [${startOffset}, ${endOffset})`,
        );
      }
    }
    for (const [offset] of this.#reads) {
      if (offset >= endOffset)
        throw new Violation(
          'lost-read',
          `${this.name}: ${offset} was read, but the log ends at ${endOffset}`,
        );
    }
  }

  #send(value: number): Send {
    const send = this.#sends.get(value);
    if (send === undefined)
      throw new Violation('phantom', `${this.name}: outcome for value ${value}, which was never sent`);
    return send;
  }
}

/** One consumer's view: offsets rise without gaps within an assignment. */
export class PollOrder {
  #next = -1;

  assign(offset: number): void {
    this.#next = offset;
  }

  saw(offset: number, name: string): void {
    if (this.#next >= 0 && offset !== this.#next) {
      const rule = offset < this.#next ? 'nonmonotonic-poll' : 'skip-poll';
      throw new Violation(rule, `${name}: expected ${this.#next}, got ${offset}`);
    }
    this.#next = offset + 1;
  }

  get next(): number {
    return this.#next;
  }
}

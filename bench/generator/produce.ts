import { errorNameOf } from './errors.ts';
import { RawConnection, type Address, type FrameListener } from './connection.ts';
import {
  CORRELATION_ID_AT,
  produceFrame,
  producePositions,
  type Acks,
  type PreparedBatch,
  type ProducePositions,
} from './requests.ts';
import type { Run } from './run.ts';

export interface ProduceSenderOptions {
  readonly topic: string;
  /** The partitions that requests go to, in turn. */
  readonly partitions: readonly number[];
  readonly batch: PreparedBatch;
  readonly acks?: Acks;
  /** Requests in flight at most. */
  readonly window: number;
  /** Sends another request for each that was answered; else the owner sends. */
  readonly refill: boolean;
  /** Counts the answers; else the owner counts what it wants. */
  readonly counts: boolean;
  /** For an owner that sends: answers have arrived. */
  readonly answered?: () => void;
}

/**
 * One connection with a ring of finished frames, one per request in flight and per partition at least. A frame whose request has
 * been answered has left the socket, so its place can be sent again with another correlation id: a train of requests is one
 * write, without a copy.
 */
export class ProduceSender implements FrameListener {
  readonly #run: Run;
  readonly #options: ProduceSenderOptions;
  readonly #positions: ProducePositions;
  readonly #ring: Buffer;
  readonly #slots: number;
  readonly #frameBytes: number;
  readonly #sentAtMs: Float64Array;
  #connection: RawConnection | undefined;
  #sent = 0;
  #answered = 0;

  private constructor(run: Run, options: ProduceSenderOptions) {
    const { topic, partitions, batch, window, acks } = options;
    this.#run = run;
    this.#options = options;
    this.#positions = producePositions(topic);
    this.#slots = partitions.length * Math.ceil(window / partitions.length);
    const frames = Array.from({ length: this.#slots }, (_, slot) =>
      produceFrame(topic, partitions[slot % partitions.length]!, batch.bytes, acks),
    );
    this.#ring = Buffer.concat(frames);
    this.#frameBytes = this.#ring.length / this.#slots;
    this.#sentAtMs = new Float64Array(this.#slots);
  }

  static async open(address: Address, run: Run, options: ProduceSenderOptions): Promise<ProduceSender> {
    const sender = new ProduceSender(run, options);
    sender.#connection = await RawConnection.open(address, sender);
    return sender;
  }

  /** How many requests may be sent now. */
  get free(): number {
    return this.#options.window - (this.#sent - this.#answered);
  }

  /** Requests sent so far, which is the offset of the next one's batch if this is the topic's only sender. */
  get sent(): number {
    return this.#sent;
  }

  /** When the request with that number (from 0) was sent, if it is among the last `window` ones. */
  sentAtMs(sequence: number): number {
    return this.#sentAtMs[sequence % this.#slots]!;
  }

  /** At most {@link free}. */
  send(count: number): void {
    const connection = this.#connection;
    if (connection === undefined || count === 0) return;
    const slots = this.#slots;
    const nowMs = performance.now();
    const first = this.#sent % slots;
    for (let index = 0; index < count; index++) {
      const slot = this.#sent % slots;
      this.#ring.writeInt32BE(correlationIdOf(this.#sent++), slot * this.#frameBytes + CORRELATION_ID_AT);
      this.#sentAtMs[slot] = nowMs;
    }
    this.#run.sent(count);
    const end = first + count;
    if (end <= slots) {
      connection.write(this.#ring.subarray(first * this.#frameBytes, end * this.#frameBytes));
      return;
    }
    connection.cork();
    connection.write(this.#ring.subarray(first * this.#frameBytes));
    connection.write(this.#ring.subarray(0, (end - slots) * this.#frameBytes));
    connection.uncork();
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
  }

  frame(bytes: Buffer, at: number): void {
    if (bytes.readInt32BE(at) !== correlationIdOf(this.#answered)) {
      this.#run.fail(new Error('the responses are not in the order of the requests'));
      return;
    }
    const errorCode = bytes.readInt16BE(at + this.#positions.errorCodeAt);
    if (errorCode !== 0) {
      this.#run.fail(new Error(`a produce request was answered ${errorNameOf(errorCode)}`));
      return;
    }
    const latencyMs = performance.now() - this.sentAtMs(this.#answered);
    this.#answered++;
    const { batch, counts } = this.#options;
    if (counts) this.#run.count({ bytes: batch.bytes.length, messages: batch.recordCount, latencyMs });
    this.#run.answered();
  }

  turn(): void {
    if (this.#options.refill && this.#run.sending) this.send(this.free);
    this.#options.answered?.();
  }

  closed(error: Error | undefined): void {
    if (this.#connection === undefined) return;
    this.#run.fail(error ?? new Error('the broker closed the connection'));
  }
}

function correlationIdOf(sequence: number): number {
  return sequence % 0x8000_0000;
}

import { RawConnection, type Address, type FrameListener } from './connection.ts';
import { errorNameOf } from './errors.ts';
import {
  CORRELATION_ID_AT,
  fetchFrame,
  fetchPositions,
  type FetchFrame,
  type FetchPositions,
  type FetchShape,
} from './requests.ts';
import type { Run } from './run.ts';

export interface FetchSenderOptions {
  readonly shape: FetchShape;
  /** All batches of the log are of this size. */
  readonly batchBytes: number;
  readonly recordsPerBatch: number;
  readonly startOffset: number;
  /** Reading begins anew at offset 0 from here; infinity for one who follows the end. */
  readonly endOffset: number;
  /** Whole batches arrived, the first one at `offset`. */
  readonly received: (fetched: Fetched) => void;
}

export interface Fetched {
  readonly offset: number;
  readonly batches: number;
  readonly recordBytes: number;
  readonly latencyMs: number;
  readonly nowMs: number;
}

/** One connection with one fetch in flight. */
export class FetchSender implements FrameListener {
  readonly #run: Run;
  readonly #options: FetchSenderOptions;
  readonly #request: FetchFrame;
  readonly #positions: FetchPositions;
  #connection: RawConnection | undefined;
  #offset: number;
  #correlationId = 0;
  #sentAtMs = 0;

  private constructor(run: Run, options: FetchSenderOptions) {
    this.#run = run;
    this.#options = options;
    this.#request = fetchFrame(options.shape);
    this.#positions = fetchPositions(options.shape.topic);
    this.#offset = options.startOffset;
  }

  static async open(address: Address, run: Run, options: FetchSenderOptions): Promise<FetchSender> {
    const sender = new FetchSender(run, options);
    sender.#connection = await RawConnection.open(address, sender);
    return sender;
  }

  send(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { frame, fetchOffsetAt } = this.#request;
    this.#correlationId = (this.#correlationId + 1) & 0x7fff_ffff;
    frame.writeInt32BE(this.#correlationId, CORRELATION_ID_AT);
    writeOffset(frame, this.#offset, fetchOffsetAt);
    this.#sentAtMs = performance.now();
    this.#run.sent(1);
    connection.write(frame);
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
  }

  frame(bytes: Buffer, at: number): void {
    const { errorCodeAt, partitionErrorCodeAt, recordsLengthAt } = this.#positions;
    const isWhole = bytes.readInt16BE(at + errorCodeAt) === 0;
    const errorCode = bytes.readInt16BE(at + (isWhole ? partitionErrorCodeAt : errorCodeAt));
    if (errorCode !== 0 || bytes.readInt32BE(at) !== this.#correlationId) {
      this.#run.fail(new Error(`a fetch of offset ${this.#offset} was answered ${errorNameOf(errorCode)}`));
      return;
    }
    this.#take(bytes, at + recordsLengthAt);
    this.#run.answered();
  }

  turn(): void {}

  closed(error: Error | undefined): void {
    if (this.#connection === undefined) return;
    this.#run.fail(error ?? new Error('the broker closed the connection'));
  }

  #take(bytes: Buffer, lengthAt: number): void {
    const { batchBytes, recordsPerBatch, endOffset, received } = this.#options;
    const { value, end } = readUvarint(bytes, lengthAt);
    const recordBytes = Math.max(0, value - 1);
    // A response may end within a batch, which does not count.
    const batches = Math.floor(recordBytes / batchBytes);
    const offset = this.#offset;
    if (batches > 0 && readOffset(bytes, end) !== offset) {
      this.#run.fail(new Error(`asked for offset ${offset}, got ${readOffset(bytes, end)}`));
      return;
    }
    if (batches === 0 && endOffset !== Infinity) {
      this.#run.fail(new Error(`nothing to read at offset ${offset} of ${endOffset}`));
      return;
    }
    const nowMs = performance.now();
    received({
      offset,
      batches,
      recordBytes: batches * batchBytes,
      latencyMs: nowMs - this.#sentAtMs,
      nowMs,
    });
    this.#offset += batches * recordsPerBatch;
    if (this.#offset >= endOffset) this.#offset = 0;
    if (this.#run.sending) this.send();
  }
}

function writeOffset(bytes: Buffer, offset: number, at: number): void {
  bytes.writeInt32BE(Math.floor(offset / 2 ** 32), at);
  bytes.writeUInt32BE(offset % 2 ** 32, at + 4);
}

function readOffset(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

function readUvarint(bytes: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  let at = start;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end: at };
  }
}

import { connect, type Socket } from 'node:net';

import { FRAME_LENGTH_BYTES } from '@polylog/kafka-protocol';

/** Read by one system call at most; the buffer is reused, so that a large response costs the generator one copy. */
const RECEIVE_BYTES = 256 * 1024;
/** What is kept of a frame that spans several reads; fixed positions lie within it. */
const FRAME_HEAD_BYTES = 256;
const CONNECT_MS_MAX = 5_000;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface FrameListener {
  /** A frame is complete: its first bytes (all, up to 256) stand at `at`, behind the length; valid during the call only. */
  frame(bytes: Buffer, at: number, frameBytes: number): void;
  /** All that one read brought has been passed to {@link frame}. */
  turn(): void;
  /** The connection ended, with or without a reason; also when `close` was called. */
  closed(error: Error | undefined): void;
}

/** A socket with raw writes and a reader that looks at lengths and the first bytes of frames only. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #listener: FrameListener;
  readonly #head = Buffer.alloc(FRAME_LENGTH_BYTES + FRAME_HEAD_BYTES);
  /** Bytes of the present frame seen so far, prefix included; its head is in #head if it began in an earlier read. */
  #seen = 0;
  /** The whole frame, prefix included; undefined until the prefix is there. */
  #frameBytes: number | undefined;

  private constructor(socket: Socket, listener: FrameListener) {
    this.#socket = socket;
    this.#listener = listener;
  }

  static open({ host, port }: Address, listener: FrameListener): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host,
        port,
        noDelay: true,
        onread: {
          buffer: Buffer.alloc(RECEIVE_BYTES),
          callback: (bytes: number, buffer: Uint8Array): boolean => {
            connection.#received(buffer as Buffer, bytes);
            return true;
          },
        },
      });
      const connection = new RawConnection(socket, listener);
      const timer = setTimeout(
        () => socket.destroy(new Error(`no connection to ${host}:${port} within ${CONNECT_MS_MAX} ms`)),
        CONNECT_MS_MAX,
      );
      let failure: Error | undefined;
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(connection);
      });
      socket.on('error', (error) => (failure = error));
      socket.once('close', () => {
        clearTimeout(timer);
        reject(failure ?? new Error(`${host}:${port} closed the connection`));
        listener.closed(failure);
      });
    });
  }

  /** The bytes must not change until the request that they hold has been answered. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Joins the writes of one turn in one system call. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(bytes: Buffer, end: number): void {
    let at = 0;
    while (at < end) {
      if (this.#seen === 0 && end - at >= FRAME_LENGTH_BYTES) {
        const frameBytes = FRAME_LENGTH_BYTES + bytes.readInt32BE(at);
        if (end - at >= frameBytes) {
          this.#listener.frame(bytes, at + FRAME_LENGTH_BYTES, frameBytes - FRAME_LENGTH_BYTES);
          at += frameBytes;
          continue;
        }
      }
      at = this.#assemble(bytes, at, end);
    }
    this.#listener.turn();
  }

  /** Keeps the head of a frame that spans reads and skips the rest; returns the position behind what it took. */
  #assemble(bytes: Buffer, at: number, end: number): number {
    if (this.#frameBytes === undefined) {
      const prefixEnd = Math.min(end, at + FRAME_LENGTH_BYTES - this.#seen);
      bytes.copy(this.#head, this.#seen, at, prefixEnd);
      this.#seen += prefixEnd - at;
      if (this.#seen < FRAME_LENGTH_BYTES) return prefixEnd;
      this.#frameBytes = FRAME_LENGTH_BYTES + this.#head.readInt32BE(0);
      at = prefixEnd;
    }
    const frameBytes = this.#frameBytes;
    const take = Math.min(end - at, frameBytes - this.#seen);
    if (this.#seen < this.#head.length) bytes.copy(this.#head, this.#seen, at, at + take);
    this.#seen += take;
    if (this.#seen === frameBytes) {
      this.#seen = 0;
      this.#frameBytes = undefined;
      this.#listener.frame(this.#head, FRAME_LENGTH_BYTES, frameBytes - FRAME_LENGTH_BYTES);
    }
    return at + take;
  }
}

import { connect, type Socket } from 'node:net';

import { Reader } from '@polylog/bytes';
import { decodeResponse, encodeRequest, FRAME_LENGTH_BYTES, type Api } from '@polylog/kafka-protocol';

import type { Address } from './connection.ts';

const CLIENT_ID = 'bench';
/** To make and remove topics of thousands of partitions takes its time. */
export const ANSWER_MS_MAX = 300_000;

/** A connection for what is not measured: one request at a time, encoded and decoded by their schemas. */
export class Exchange {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #unread: Buffer = Buffer.alloc(0);
  #correlationId = 0;

  constructor(address: Address) {
    const socket = connect({ ...address, noDelay: true });
    socket.on('timeout', () => socket.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`)));
    this.#socket = socket;
    this.#chunks = (this.#socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** The answer, whatever its error codes. Rejects if there is none: the connection is of no more use then. */
  async ask<QI, S>(api: Api<unknown, QI, S>, version: number, body: QI): Promise<S> {
    const socket = this.#socket;
    socket.setTimeout(ANSWER_MS_MAX);
    socket.write(Buffer.concat(encodeRequest(api, version, ++this.#correlationId, CLIENT_ID, body)));
    const frame = await this.#frame();
    socket.setTimeout(0);
    return decodeResponse(api, version, new Reader(frame)).body;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #frame(): Promise<Buffer> {
    for (;;) {
      const bytes = this.#unread;
      if (bytes.length >= FRAME_LENGTH_BYTES) {
        const end = FRAME_LENGTH_BYTES + bytes.readInt32BE(0);
        if (bytes.length >= end) {
          this.#unread = bytes.subarray(end);
          return bytes.subarray(FRAME_LENGTH_BYTES, end);
        }
      }
      const { value, done } = await this.#chunks.next();
      if (done === true) throw new Error('the broker closed the connection instead of answering');
      this.#unread = Buffer.concat([bytes, value]);
    }
  }
}

/** One request on a connection of its own. */
export async function askOnce<QI, S>(
  address: Address,
  api: Api<unknown, QI, S>,
  version: number,
  body: QI,
): Promise<S> {
  const exchange = new Exchange(address);
  try {
    return await exchange.ask(api, version, body);
  } finally {
    exchange.close();
  }
}

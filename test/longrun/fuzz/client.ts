import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { Reader } from '@polylog/bytes';
import { decodeResponse, encodeRequest, FRAME_LENGTH_BYTES, type Api } from '@polylog/kafka-protocol';

/** Cuts a connection's bytes into frames, without their length prefixes. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete with these bytes; views of them or of a copy. */
  push(bytes: Buffer): Buffer[] {
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Buffer[] = [];
    while (all.length >= FRAME_LENGTH_BYTES) {
      const end = FRAME_LENGTH_BYTES + all.readInt32BE(0);
      if (all.length < end) break;
      frames.push(all.subarray(FRAME_LENGTH_BYTES, end));
      all = all.subarray(end);
    }
    this.#rest = all;
    return frames;
  }
}

/** `from`: the address that the broker sees. */
export async function openSocket(port: number, from = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, localAddress: from });
  await once(socket, 'connect');
  return socket;
}

interface Waiting {
  readonly resolve: (frame: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** A plain client: one connection, requests pipelined, answers in order. */
export class KafkaClient {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #correlationId = 0;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new FrameReader();
    socket.on('data', (bytes: Buffer) => {
      for (const frame of reader.push(bytes)) this.#waiting.shift()?.resolve(frame);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  static async open(port: number, from?: string): Promise<KafkaClient> {
    return new KafkaClient(await openSocket(port, from));
  }

  /** Rejects if the connection ends first. */
  async request<QI, S>(api: Api<unknown, QI, S>, version: number, body: QI): Promise<S> {
    if (this.#failure !== undefined) throw this.#failure;
    const correlationId = this.#correlationId++;
    const answer = new Promise<Buffer>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#socket.write(Buffer.concat(encodeRequest(api, version, correlationId, 'longrun', body)));
    const decoded = decodeResponse(api, version, new Reader(await answer));
    if (decoded.correlationId !== correlationId) throw new Error('an answer to another request');
    return decoded.body;
  }

  close(): void {
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}

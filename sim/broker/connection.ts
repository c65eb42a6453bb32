import { Reader } from '@polylog/bytes';
import { decodeResponse, encodeRequest, FRAME_LENGTH_BYTES, type Api } from '@polylog/kafka-protocol';
import type { Connection, Platform } from '../../packages/broker/src/platform/index.ts';
import { Violation } from '../invariants/history.ts';

/** Of clients that have no quota in any scenario. */
export const CLIENT_ID = 'sim';
const CONNECT_TIMEOUT_MS = 3000;
/** A client gives up on an answer and its connection then; above all long polls and slow disks. */
const REQUEST_TIMEOUT_MS = 20_000;

/** No answer will come: what was asked for may have happened or not. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

interface Waiting {
  readonly correlationId: number;
  readonly apiName: string;
  readonly finish: (frame: Uint8Array) => void;
  readonly fail: (error: Error) => void;
}

/** A client's connection that speaks the protocol byte by byte. Answers must come in the order of the requests. */
export class KafkaConnection {
  readonly #platform: Platform;
  readonly #connection: Connection;
  readonly #onError: (error: unknown) => void;
  readonly #clientId: string;
  readonly #waiting: Waiting[] = [];
  #pending = new Uint8Array(0);
  #correlationId = 0;
  #closed = false;

  private constructor(
    platform: Platform,
    connection: Connection,
    onError: (error: unknown) => void,
    clientId: string,
  ) {
    this.#platform = platform;
    this.#connection = connection;
    this.#onError = onError;
    this.#clientId = clientId;
  }

  /** Rejects with {@link ConnectionLost} when nobody listens. `onError` hears what a broker must never answer. */
  static async open(
    platform: Platform,
    address: { readonly host: string; readonly port: number },
    onError: (error: unknown) => void,
    clientId = CLIENT_ID,
  ): Promise<KafkaConnection> {
    let connection;
    try {
      connection = await platform.network.connect({ ...address, timeoutMs: CONNECT_TIMEOUT_MS });
    } catch (cause) {
      throw new ConnectionLost('no connection', { cause });
    }
    const client = new KafkaConnection(platform, connection, onError, clientId);
    connection.start({
      data: (chunk, release) => {
        client.#received(chunk);
        release();
      },
      drained: () => undefined,
      closed: () => client.#lost(),
    });
    return client;
  }

  get closed(): boolean {
    return this.#closed;
  }

  request<QI, S>(api: Api<unknown, QI, S>, version: number, body: QI): Promise<S> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new ConnectionLost('closed'));
        return;
      }
      const correlationId = this.#send(api, version, body);
      const apiName = `${api.name} v${version}`;
      const deadline = this.#platform.timers.after(REQUEST_TIMEOUT_MS, () => this.close());
      this.#waiting.push({
        correlationId,
        apiName,
        finish: (frame) => {
          deadline.cancel();
          const reader = new Reader(frame);
          const answer = decodeResponse(api, version, reader);
          if (reader.remaining !== 0) {
            throw new Violation('protocol', `${apiName}: ${reader.remaining} bytes too many`);
          }
          this.#checkThrottle(apiName, answer.body);
          resolve(answer.body);
        },
        fail: (error) => {
          deadline.cancel();
          reject(error);
        },
      });
    });
  }

  /** A request that has no answer, as Produce with acks=0. */
  tell<QI>(api: Api<unknown, QI>, version: number, body: QI): void {
    if (!this.#closed) this.#send(api, version, body);
  }

  /** Breaks off. */
  close(): void {
    this.#connection.destroy();
    this.#lost();
  }

  #send<QI>(api: Api<unknown, QI>, version: number, body: QI): number {
    const correlationId = ++this.#correlationId;
    this.#connection.write(encodeRequest(api, version, correlationId, this.#clientId, body));
    return correlationId;
  }

  #checkThrottle(apiName: string, body: unknown): void {
    const { throttleTimeMs = 0 } = body as { readonly throttleTimeMs?: number };
    if (throttleTimeMs === 0 || this.#clientId !== CLIENT_ID) return;
    throw new Violation('throttled', `${apiName} without a quota has to wait for ${throttleTimeMs} ms`);
  }

  #received(chunk: Uint8Array): void {
    this.#pending = new Uint8Array(Buffer.concat([this.#pending, chunk]));
    for (;;) {
      const { byteLength, buffer } = this.#pending;
      if (byteLength < FRAME_LENGTH_BYTES) return;
      const end = FRAME_LENGTH_BYTES + new DataView(buffer).getInt32(0);
      if (byteLength < end) return;
      const frame = this.#pending.slice(FRAME_LENGTH_BYTES, end);
      this.#pending = this.#pending.slice(end);
      try {
        this.#answered(frame);
      } catch (error) {
        this.#onError(error);
        return;
      }
    }
  }

  #answered(frame: Uint8Array): void {
    const correlationId = new DataView(frame.buffer).getInt32(0);
    const waiting = this.#waiting.shift();
    if (waiting?.correlationId !== correlationId) {
      const due = `${waiting?.correlationId} (${waiting?.apiName})`;
      const next = this.#waiting.map((one) => `${one.correlationId} ${one.apiName}`).join();
      throw new Violation(
        'protocol',
        `${this.#connection.localPort}: answer ${correlationId} where ${due} was due, then ${next} of ${this.#correlationId}`,
      );
    }
    waiting.finish(frame);
  }

  #lost(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.fail(new ConnectionLost('the connection broke'));
  }
}

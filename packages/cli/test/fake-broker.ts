import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Reader } from '@polylog/bytes';
import {
  apiVersions,
  decodeRequestHeader,
  encodeResponse,
  FRAME_LENGTH_BYTES,
  type Api,
} from '@polylog/kafka-protocol';

/** Answers one API; undefined: no answer at all. */
export interface Answer {
  readonly api: Api<never, never, never>;
  /** What ApiVersions says. */
  readonly versions: readonly [min: number, max: number];
  respond(request: unknown, version: number): unknown;
}

/** Types an answer by its API. */
export function answer<Q, QI, S, SI>(
  api: Api<Q, QI, S, SI>,
  respond: (request: Q, version: number) => SI | undefined,
  versions: readonly [min: number, max: number] = [api.versionMin, api.versionMax],
): Answer {
  return {
    api: api as unknown as Answer['api'],
    versions,
    respond: (request, version) => respond(request as Q, version),
  };
}

export interface FakeBrokerOptions {
  /** The highest version of ApiVersions: above it, KIP-511 says, the answer is error 35 in the body of v0. */
  readonly apiVersionsMax?: number;
  /** Sends answers byte by byte. */
  readonly drips?: boolean;
}

/** A broker that answers what a test says: for the states of a cluster that one real broker never has. */
export class FakeBroker {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(answers: readonly Answer[], options: FakeBrokerOptions = {}): Promise<FakeBroker> {
    const server = createServer((socket) => serve(socket, answers, options));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeBroker(server);
  }

  /** Listens, and answers anything with these bytes. */
  static async startRaw(bytes: Uint8Array): Promise<FakeBroker> {
    const server = createServer((socket) =>
      socket.on('error', () => undefined).on('data', () => socket.write(bytes)),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeBroker(server);
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function serve(socket: Socket, answers: readonly Answer[], options: FakeBrokerOptions): void {
  let received = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= FRAME_LENGTH_BYTES) {
      const end = FRAME_LENGTH_BYTES + received.readInt32BE(0);
      if (received.length < end) return;
      const frames = framesFor(received.subarray(FRAME_LENGTH_BYTES, end), answers, options);
      received = received.subarray(end);
      if (options.drips === true) void drip(socket, Buffer.concat(frames));
      else for (const frame of frames) socket.write(frame);
    }
  });
}

async function drip(socket: Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function framesFor(frame: Buffer, answers: readonly Answer[], options: FakeBrokerOptions): Uint8Array[] {
  const reader = new Reader(frame);
  const { apiKey, apiVersion, correlationId } = decodeRequestHeader(reader);
  if (apiKey === apiVersions.key) {
    const isKnown = apiVersion <= (options.apiVersionsMax ?? apiVersions.versionMax);
    const apiKeys = answers.map(({ api, versions }) => ({
      apiKey: api.key,
      minVersion: versions[0],
      maxVersion: versions[1],
    }));
    return encodeResponse(apiVersions, isKnown ? apiVersion : 0, correlationId, {
      errorCode: isKnown ? 0 : 35,
      apiKeys,
    });
  }
  const found = answers.find(({ api }) => api.key === apiKey);
  if (found === undefined) throw new Error(`the fake broker was asked for API ${apiKey}`);
  const request: unknown = found.api.request.decode(reader, apiVersion);
  const body = found.respond(request, apiVersion);
  return body === undefined ? [] : encodeResponse(found.api, apiVersion, correlationId, body as never);
}

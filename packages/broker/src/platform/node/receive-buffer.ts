import { connect, createServer, Socket, type OnReadOpts, type BoundSocket } from 'node:net';

/**
 * Receiving into reusable buffers, without an allocation per read: Node's `onread` option, which 1 MiB messages owe more than
 * twice the throughput. Node offers it for outgoing sockets only. An accepted socket is therefore wrapped again: its handle goes
 * into a new Socket that is made with `handle` (undocumented) and `onread`. {@link adoptionWorks} tries this once on
 * loopback; where it fails, accepted sockets are used as they are, and each read allocates.
 */
export const RECEIVE_BUFFER_BYTES = 64 * 1024;

/** Free buffers kept for later; what is lent out comes on top. */
const FREE_BUFFERS_MAX = 256;
const POISON = 0xdb;
const SELF_TEST_TIMEOUT_MS = 1000;

export interface ReceivePoolOptions {
  /** For tests: overwrites each chunk when it is released, to expose whoever still reads it. */
  readonly poison?: boolean;
}

export class ReceivePool {
  readonly #free: Uint8Array[] = [];
  readonly #poison: boolean;
  #lentBuffers = 0;

  constructor(options: ReceivePoolOptions = {}) {
    this.#poison = options.poison ?? false;
  }

  /** Buffers that sockets hold to read into, or that handlers hold. */
  get lentBuffers(): number {
    return this.#lentBuffers;
  }

  take(): Uint8Array {
    this.#lentBuffers++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);
  }

  give(buffer: Uint8Array): void {
    this.#lentBuffers--;
    if (this.#free.length < FREE_BUFFERS_MAX) this.#free.push(buffer);
  }

  /** A function that ends a loan. */
  releaser(chunk: Uint8Array, released: () => void): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) throw new Error('a chunk was released twice');
      isReleased = true;
      if (this.#poison) chunk.fill(POISON);
      released();
    };
  }
}

export type ChunkHandler = (chunk: Uint8Array, release: () => void) => void;

/**
 * The reads of one socket. The buffer that the socket reads into is used again once its chunk is released; while it is lent, the
 * next one comes from the pool.
 */
export class Receiver {
  onChunk: ChunkHandler | undefined;
  readonly #pool: ReceivePool;
  /** The buffer that the system may write to at any time. */
  #installed: Uint8Array | undefined;
  #installedIsLent = false;
  #disposed = false;

  constructor(pool: ReceivePool) {
    this.#pool = pool;
  }

  readonly onread: OnReadOpts = {
    buffer: () => this.#nextBuffer(),
    callback: (bytes, buffer) => {
      this.#received(buffer, bytes);
      return true;
    },
  };

  #nextBuffer(): Uint8Array {
    if (this.#installed === undefined || this.#installedIsLent) {
      this.#installed = this.#pool.take();
      this.#installedIsLent = false;
    }
    return this.#installed;
  }

  #received(buffer: Uint8Array, bytes: number): void {
    const chunk = buffer.subarray(0, bytes);
    this.#installedIsLent = true;
    const release = this.#pool.releaser(chunk, () => {
      if (buffer === this.#installed && !this.#disposed) this.#installedIsLent = false;
      else this.#pool.give(buffer);
    });
    this.#give(chunk, release);
  }

  /** A chunk of a socket that allocates its own. */
  receivedPlain(chunk: Uint8Array): void {
    this.#give(
      chunk,
      this.#pool.releaser(chunk, () => undefined),
    );
  }

  #give(chunk: Uint8Array, release: () => void): void {
    if (this.onChunk === undefined) release();
    else this.onChunk(chunk, release);
  }

  /** To be called when the socket is closed, and nothing writes to its buffer any more. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.onChunk = undefined;
    if (this.#installed !== undefined && !this.#installedIsLent) this.#pool.give(this.#installed);
  }
}

/** A paused socket that reads through the receiver in place of an accepted one, which must not have been read. */
export function adopt(accepted: Socket, receiver: Receiver): Socket {
  const internals = accepted as unknown as { _handle: (BoundSocket & { useUserBuffer?: unknown }) | null };
  const handle = internals._handle;
  if (typeof handle?.useUserBuffer !== 'function')
    throw new Error('sockets of this Node do not offer their handle');
  const options = { handle, onread: receiver.onread };
  const socket = new Socket(options).pause();
  // The first socket stays without a handle, so that it cannot close what is no longer its own.
  internals._handle = null;
  return socket;
}

/** The fallback: reads as Node does on its own. */
export function readPlainly(socket: Socket, receiver: Receiver): Socket {
  socket.on('data', (chunk: Buffer) => receiver.receivedPlain(chunk));
  return socket.pause();
}

let tested: Promise<boolean> | undefined;

/** Whether {@link adopt} works with this Node: bytes go both ways over loopback, and they arrive in a buffer of the pool. */
export function adoptionWorks(): Promise<boolean> {
  tested ??= selfTest();
  return tested;
}

function selfTest(): Promise<boolean> {
  return new Promise((resolve) => {
    const pool = new ReceivePool();
    const sockets: Socket[] = [];
    const server = createServer({ pauseOnConnect: true });
    const settle = (works: boolean): void => {
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      server.close();
      resolve(works);
    };
    const fail = (): void => settle(false);
    const timer = setTimeout(fail, SELF_TEST_TIMEOUT_MS).unref();
    server.on('error', fail);
    server.on('connection', (accepted) => {
      try {
        const receiver = new Receiver(pool);
        const socket = adopt(accepted, receiver).on('error', fail);
        sockets.push(socket);
        receiver.onChunk = (chunk, release) => {
          const isPooled = chunk.buffer.byteLength === RECEIVE_BUFFER_BYTES && pool.lentBuffers === 1;
          socket.write(Buffer.from(isPooled ? chunk : 'bad'));
          release();
        };
        socket.resume();
      } catch {
        fail(); // Whatever an undocumented option throws, the answer is that it does not work.
      }
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      const client = connect(port, '127.0.0.1').on('error', fail);
      sockets.push(client);
      client.on('data', (echo) => settle(echo.toString('latin1') === 'ping'));
      client.write('ping');
    });
  });
}

import { connect, createServer, Socket, type OnReadOpts, type BoundSocket } from 'node:net';
import process from 'node:process';

/**
 * Receiving into reusable buffers, without an allocation per read: Node's `onread` option, which 1 MiB messages owe more than
 * twice the throughput. Node offers it for outgoing sockets only. An accepted socket is therefore wrapped again: its handle goes
 * into a new Socket that is made with `handle` (undocumented) and `onread`. {@link adoptionWorks} tries this once on
 * loopback; where it fails, accepted sockets are used as they are, and each read allocates.
 */
export const RECEIVE_BUFFER_BYTES = 64 * 1024;

/** Free buffers kept for later; what is lent out comes on top. */
const FREE_BUFFERS_MAX = 256;

/**
 * A socket whose last read brought less reads into the one buffer that all such sockets share, and what came is copied out: to copy a
 * kibibyte costs less than a buffer per connection does, which is 64 MiB of cold memory with a thousand of them.
 */
export const OWN_BUFFER_READ_BYTES_MIN = 16 * 1024;
const POISON = 0xdb;
const SELF_TEST_TIMEOUT_MS = 1000;

export interface ReceivePoolOptions {
  /** For tests: overwrites each chunk when it is released, to expose whoever still reads it. */
  readonly poison?: boolean;
}

/** Small chunks of many sockets, one after the other. */
interface Slab {
  readonly buffer: Buffer;
  filledBytes: number;
  lentChunks: number;
}

export class ReceivePool {
  /** What sockets with little traffic read into: whoever has been told of a read copies it before the next one. */
  readonly shared = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);
  readonly #free: Buffer[] = [];
  readonly #poison: boolean;
  #lentBuffers = 0;
  #slab: Slab | undefined;

  constructor(options: ReceivePoolOptions = {}) {
    this.#poison = options.poison ?? false;
  }

  /** Buffers that sockets hold to read into, or of which handlers hold a chunk. */
  get lentBuffers(): number {
    return this.#lentBuffers;
  }

  take(): Buffer {
    this.#lentBuffers++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);
  }

  give(buffer: Buffer): void {
    this.#lentBuffers--;
    if (this.#free.length < FREE_BUFFERS_MAX) this.#free.push(buffer);
  }

  /** Lends a copy of what has been read into the shared buffer. A chunk that is kept for long keeps no more than one buffer. */
  lendShared(bytes: number, use: ChunkHandler): void {
    const slab = this.#slabFor(bytes);
    const start = slab.filledBytes;
    slab.filledBytes += bytes;
    slab.lentChunks++;
    this.shared.copy(slab.buffer, start, 0, bytes);
    const chunk = slab.buffer.subarray(start, slab.filledBytes);
    use(
      chunk,
      this.releaser(chunk, () => this.#giveChunk(slab)),
    );
  }

  #slabFor(bytes: number): Slab {
    let slab = this.#slab;
    if (slab === undefined || slab.filledBytes + bytes > RECEIVE_BUFFER_BYTES) {
      // The former one is given back with its last chunk.
      slab = { buffer: this.take(), filledBytes: 0, lentChunks: 0 };
      this.#slab = slab;
    }
    return slab;
  }

  #giveChunk(slab: Slab): void {
    if (--slab.lentChunks > 0) return;
    this.give(slab.buffer);
    if (slab === this.#slab) this.#slab = undefined;
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
 * The reads of one socket. Where little comes it reads into the pool's shared buffer, and lends copies. Where much comes it has a
 * buffer of its own, which is lent as it is, and used again once its chunk is released; while it is lent, the next one comes from the
 * pool.
 */
export class Receiver {
  onChunk: ChunkHandler | undefined;
  readonly #pool: ReceivePool;
  /** A buffer of its own that the system may write to at any time. */
  #installed: Buffer | undefined;
  #installedIsLent = false;
  #lastReadBytes = 0;
  #disposed = false;

  constructor(pool: ReceivePool) {
    this.#pool = pool;
  }

  readonly onread: OnReadOpts = {
    // Asked for at first, and after each read.
    buffer: () => this.#nextBuffer(),
    callback: (bytes, buffer) => {
      this.#received(buffer, bytes);
      return true;
    },
  };

  #nextBuffer(): Buffer {
    if (this.#lastReadBytes < OWN_BUFFER_READ_BYTES_MIN) {
      this.#leaveOwn();
      return this.#pool.shared;
    }
    if (this.#installed === undefined || this.#installedIsLent) {
      this.#installed = this.#pool.take();
      this.#installedIsLent = false;
    }
    return this.#installed;
  }

  /** A buffer that is lent is given back when it is released. */
  #leaveOwn(): void {
    if (this.#installed !== undefined && !this.#installedIsLent) this.#pool.give(this.#installed);
    this.#installed = undefined;
    this.#installedIsLent = false;
  }

  #received(buffer: Uint8Array, bytes: number): void {
    this.#lastReadBytes = bytes;
    if (buffer === this.#pool.shared) {
      if (this.onChunk !== undefined) this.#pool.lendShared(bytes, this.onChunk);
      return;
    }
    const own = this.#installed;
    if (buffer !== own) throw new Error('a read filled a buffer that the socket was not given');
    const chunk = own.subarray(0, bytes);
    this.#installedIsLent = true;
    const release = this.#pool.releaser(chunk, () => {
      if (own === this.#installed && !this.#disposed) this.#installedIsLent = false;
      else this.#pool.give(own);
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
    this.#installed = undefined;
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
  // Windows fills buffers while JavaScript runs: they cannot be shared.
  if (process.platform === 'win32') return Promise.resolve(false);
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

import type { Socket } from 'node:net';
import type { Loop } from '../loop.ts';
import { CLOSE_LINGER_MS, NetworkError, type Connection, type ConnectionHandler } from '../network.ts';
import type { Receiver } from './receive-buffer.ts';

/** After this much silence the system asks whether the peer is still there. */
const KEEP_ALIVE_IDLE_MS = 60_000;

/** Each chunk of a gathered write costs about a microsecond in Node's streams: to copy smaller ones together is cheaper. */
const COPIED_CHUNK_BYTES_MAX = 2048;

const MAPPED_IPV4_PREFIX = '::ffff:';

/** A TCP or TLS connection over a paused socket, whose reads come through the receiver. */
export class NodeConnection implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly peerCertificate: Uint8Array | undefined;
  readonly #socket: Socket;
  readonly #loop: Loop;
  readonly #receiver: Receiver;
  readonly #onClosed: () => void;
  #handler: ConnectionHandler | undefined;
  #queued: Uint8Array[] = [];
  #queuedBytes = 0;
  #flushScheduled = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #error: Error | undefined;
  #linger: NodeJS.Timeout | undefined;

  constructor(options: {
    socket: Socket;
    loop: Loop;
    receiver: Receiver;
    onClosed: () => void;
    peerCertificate?: Uint8Array | undefined;
  }) {
    const { socket } = options;
    this.#socket = socket;
    this.#loop = options.loop;
    this.#receiver = options.receiver;
    this.#onClosed = options.onClosed;
    this.remoteAddress = addressOf(socket);
    this.remotePort = socket.remotePort ?? 0;
    this.localPort = socket.localPort ?? 0;
    this.peerCertificate = options.peerCertificate;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_IDLE_MS);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= networkError(error, `connection with ${this.remoteAddress}:${this.remotePort}`);
    });
    socket.on('close', () => this.#closedBySocket());
  }

  start(handler: ConnectionHandler): void {
    if (this.#handler !== undefined) throw new Error('the connection has been started already');
    this.#handler = handler;
    this.#receiver.onChunk = (chunk, release) => handler.data(chunk, release);
    this.#socket.resume();
  }

  write(chunks: readonly Uint8Array[]): number {
    if (this.#state !== 'open') return this.bufferedBytes;
    for (const chunk of chunks) {
      this.#queued.push(chunk);
      this.#queuedBytes += chunk.length;
    }
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      this.#loop.lastInTurn(this.#flushAtTurnEnd);
    }
    return this.bufferedBytes;
  }

  flush(): number {
    this.#flush();
    return this.bufferedBytes;
  }

  get bufferedBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  readonly #flushAtTurnEnd = (): void => {
    this.#flushScheduled = false;
    this.#flush();
  };

  /** Corked writes leave in one system call. */
  #flush(): void {
    if (this.#queued.length === 0 || this.#state === 'closed') return;
    const chunks = this.#queued.length === 1 ? this.#queued : gatherSmall(this.#queued);
    this.#queued = [];
    this.#queuedBytes = 0;
    const last = chunks.length - 1;
    if (last > 0) this.#socket.cork();
    for (let index = 0; index < last; index++) this.#socket.write(chunks[index]!);
    this.#socket.write(chunks[last]!, this.#written);
    if (last > 0) this.#socket.uncork();
  }

  readonly #written = (error?: Error | null): void => {
    // An error is told by 'error' and 'close'.
    if (error || this.#state === 'closed' || this.bufferedBytes > 0) return;
    this.#handler?.drained();
  };

  pauseReading(): void {
    if (this.#state === 'open') this.#socket.pause();
  }

  resumeReading(): void {
    if (this.#state === 'open') this.#socket.resume();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#flush();
    this.#state = 'closing';
    // To close with unread bytes would reset the connection, and the peer could lose the last answer: read on and drop.
    this.#receiver.onChunk = undefined;
    this.#socket.end();
    this.#socket.resume();
    this.#linger = setTimeout(() => this.#socket.destroy(), CLOSE_LINGER_MS).unref();
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    this.#error ??= error;
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#receiver.onChunk = undefined;
    this.#socket.destroy();
  }

  #closedBySocket(): void {
    this.#state = 'closed';
    clearTimeout(this.#linger);
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#receiver.dispose();
    const handler = this.#handler;
    this.#handler = undefined;
    this.#onClosed();
    handler?.closed(this.#error);
  }
}

/** Runs of chunks below {@link COPIED_CHUNK_BYTES_MAX} become one each. */
function gatherSmall(chunks: readonly Uint8Array[]): Uint8Array[] {
  const gathered: Uint8Array[] = [];
  for (let start = 0; start < chunks.length;) {
    let end = start;
    let bytes = 0;
    for (; end < chunks.length && chunks[end]!.length < COPIED_CHUNK_BYTES_MAX; end++)
      bytes += chunks[end]!.length;
    if (end - start < 2) {
      gathered.push(chunks[start]!);
      start++;
      continue;
    }
    const run = Buffer.allocUnsafe(bytes);
    for (let at = 0; start < end; start++) {
      run.set(chunks[start]!, at);
      at += chunks[start]!.length;
    }
    gathered.push(run);
  }
  return gathered;
}

/** The peer's address; IPv4 in its own form. */
export function addressOf(socket: Socket): string {
  const address = socket.remoteAddress ?? '';
  return address.startsWith(MAPPED_IPV4_PREFIX) ? address.slice(MAPPED_IPV4_PREFIX.length) : address;
}

export function networkError(cause: NodeJS.ErrnoException, what: string): NetworkError {
  return new NetworkError(cause.code ?? 'UNKNOWN', `${what}: ${cause.message}`, { cause });
}

import {
  CLOSE_LINGER_MS,
  NetworkError,
  type Connection,
  type ConnectionHandler,
} from '../../packages/broker/src/platform/network.ts';
import type { SimLoop } from './clock.ts';
import type { SimNetwork } from './network.ts';
import { assertAlive, type SimProcess } from './process.ts';

/** What the kernels of both sides hold of one direction: more waits in the writer. */
const WINDOW_BYTES = 256 * 1024;
const SEGMENT_BYTES_MAX = 64 * 1024;
const POISON = 0xdb;

interface EndpointOptions {
  readonly network: SimNetwork;
  readonly process: SimProcess;
  readonly loop: SimLoop;
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly port?: { readonly open: Set<SimEndpoint> };
}

/** One side of a simulated connection: what it writes, and what has arrived for it. */
export class SimEndpoint implements Connection {
  readonly process: SimProcess;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly peerCertificate = undefined;
  readonly port: EndpointOptions['port'];
  peer!: SimEndpoint;
  readonly #network: SimNetwork;
  readonly #loop: SimLoop;
  #handler: ConnectionHandler | undefined;
  #closed = false;
  #paused = false;
  /** Written, still the writer's memory. */
  #queue: Uint8Array[] = [];
  #bufferedBytes = 0;
  #flushing = false;
  #owesDrained = false;
  #ending = false;
  #endSent = false;
  /** Taken by the kernel, on the way in order. */
  #inFlight: (Uint8Array | 'end' | 'reset')[] = [];
  #inFlightBytes = 0;
  /** A segment was lost with the connection: what is written until this side notices must not arrive behind the gap. */
  #severed = false;
  #pumping = false;
  /** Arrived, not yet taken by the handler. */
  #arrived: Uint8Array[] = [];
  #arrivedEnd = false;
  #delivering = false;

  constructor(options: EndpointOptions) {
    this.#network = options.network;
    this.process = options.process;
    this.#loop = options.loop;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = options.remotePort;
    this.localPort = options.localPort;
    this.port = options.port;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  start(handler: ConnectionHandler): void {
    assertAlive(this.process);
    if (this.#handler !== undefined) throw new Error('the connection has been started already');
    this.#handler = handler;
    this.#scheduleDelivery();
  }

  write(chunks: readonly Uint8Array[]): number {
    assertAlive(this.process);
    if (this.#closed || this.#ending) return this.#bufferedBytes;
    for (const chunk of chunks) {
      if (chunk.length === 0) continue;
      this.#queue.push(chunk);
      this.#bufferedBytes += chunk.length;
    }
    this.#owesDrained = true;
    this.#scheduleFlush();
    return this.#bufferedBytes;
  }

  flush(): number {
    assertAlive(this.process);
    this.#flush();
    return this.#bufferedBytes;
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#loop.lastInTurn(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Moves what fits from the writer into the kernel, cut at random. */
  #flush(): void {
    if (this.#closed) return;
    const { random } = this.#network;
    while (this.#queue.length > 0 && this.#inFlightBytes < WINDOW_BYTES) {
      const chunk = this.#queue[0]!;
      const limit = random.chance(0.3) ? random.between(1, SEGMENT_BYTES_MAX) : SEGMENT_BYTES_MAX;
      const bytes = Math.min(chunk.length, random.chance(0.2) ? random.between(1, 64) : limit);
      // Copied, and not by Buffer's slice, which shares memory.
      this.#inFlight.push(Uint8Array.prototype.slice.call(chunk, 0, bytes));
      this.#inFlightBytes += bytes;
      this.#bufferedBytes -= bytes;
      if (bytes === chunk.length) this.#queue.shift();
      else this.#queue[0] = chunk.subarray(bytes);
    }
    if (this.#queue.length === 0) {
      if (this.#ending && !this.#endSent) this.#inFlight.push('end');
      this.#endSent = this.#ending;
      if (this.#owesDrained) this.#later(0, () => this.#drained());
      else if (this.#ending) this.#later(0, () => this.#finish(undefined));
    }
    this.pump();
  }

  #drained(): void {
    if (this.#closed || this.#queue.length > 0 || !this.#owesDrained) return;
    this.#owesDrained = false;
    this.#handler?.drained();
    if (this.#ending) this.#finish(undefined);
  }

  #later(delayMs: number, run: () => void): void {
    this.#network.world.after(delayMs, run, this.process);
  }

  /** Sends the next segment on its way; called again when a partition ends. */
  pump(): void {
    const network = this.#network;
    if (this.#pumping || this.#severed || this.#inFlight.length === 0 || network.holds(this)) return;
    this.#pumping = true;
    const arrive = (): void => {
      this.#pumping = false;
      if (network.holds(this)) return;
      const segment = this.#inFlight.shift();
      if (segment === undefined) return;
      if (network.random.chance(network.faults.drop)) {
        this.#inFlight = [];
        this.#severed = true;
        network.dropConnection(this);
        return;
      }
      this.peer.#receive(segment);
      this.pump();
    };
    // In flight it is the network's, and arrives though its sender has closed or died.
    network.world.after(network.delayMs() / (1 + this.#inFlight.length), arrive);
  }

  #receive(segment: Uint8Array | 'end' | 'reset'): void {
    if (this.#closed || !this.process.alive) return;
    if (segment === 'reset') return this.broken('ECONNRESET');
    if (segment === 'end') this.#arrivedEnd = true;
    else this.#arrived.push(segment);
    this.#scheduleDelivery();
  }

  #scheduleDelivery(): void {
    if (this.#delivering || this.#paused || this.#handler === undefined) return;
    if (this.#arrived.length === 0 && !this.#arrivedEnd) return;
    this.#delivering = true;
    this.#later(0, () => {
      this.#delivering = false;
      if (this.#closed || this.#paused) return;
      this.#deliver();
      if (!this.#closed) this.#scheduleDelivery();
    });
  }

  /** Gives the handler one chunk, of one segment or several. */
  #deliver(): void {
    const merged = this.#network.random.chance(0.5) ? this.#arrived.length : 1;
    const segments = this.#arrived.splice(0, merged);
    if (segments.length === 0) {
      this.#peerEnded();
      return;
    }
    const chunk = segments.length === 1 ? segments[0]! : new Uint8Array(Buffer.concat(segments));
    this.peer.#taken(chunk.length);
    let released = false;
    this.#handler!.data(chunk, () => {
      if (released) throw new Error('a chunk was released twice');
      released = true;
      chunk.fill(POISON);
    });
  }

  /** The reader took bytes: there is room for more. */
  #taken(bytes: number): void {
    this.#inFlightBytes -= bytes;
    if (this.#queue.length > 0 && this.process.alive)
      this.#later(this.#network.delayMs(), () => this.#flush());
  }

  /** What was written is still sent. */
  #peerEnded(): void {
    if (this.#bufferedBytes > 0) this.close();
    else this.#finish(undefined);
  }

  pauseReading(): void {
    this.#paused = true;
  }

  resumeReading(): void {
    this.#paused = false;
    if (!this.#closed && this.process.alive) this.#scheduleDelivery();
  }

  close(): void {
    assertAlive(this.process);
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.#paused = true;
    this.#later(CLOSE_LINGER_MS, () => this.destroy());
    this.#scheduleFlush();
  }

  destroy(error?: Error): void {
    assertAlive(this.process);
    if (this.#closed) return;
    this.abort();
    this.#release();
    this.#later(0, () => this.#tellClosed(error));
  }

  /** What is on the way is dropped, and the peer learns of the end, or of a reset. */
  abort(): void {
    this.#inFlight = [this.#network.random.chance(0.5) ? 'reset' : 'end'];
    this.pump();
  }

  /** Nothing more leaves this side, not even the end. */
  silence(): void {
    this.#inFlight = [];
  }

  /** The connection is gone: what was not read is lost. */
  broken(code: string | undefined): void {
    if (this.#closed) return;
    this.#inFlight = [];
    this.#finish(
      code === undefined ? undefined : new NetworkError(code, `connection to ${this.remoteAddress}: ${code}`),
    );
  }

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#release();
    this.#tellClosed(error);
  }

  #release(): void {
    this.#closed = true;
    this.#queue = [];
    this.#bufferedBytes = 0;
    this.#arrived = [];
    this.#network.forget(this);
  }

  #tellClosed(error: Error | undefined): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(error);
  }
}

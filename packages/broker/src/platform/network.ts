import type { TlsOptions } from './tls.ts';

/** Byte streams between processes. */
export interface Network {
  /** Rejects with {@link NetworkError}; port 0 takes a free one. */
  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener>;
  /** Rejects with {@link NetworkError} when it is refused or not established within the time. */
  connect(options: { host: string; port: number; timeoutMs: number }): Promise<Connection>;
}

/** What becomes of a connection that has just come. */
export type Arrival =
  | { readonly kind: 'serve' }
  /** It is served, but later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** It is held for so long, and then closed, so that the peer does not come back at once. */
  | { readonly kind: 'close'; readonly afterMs: number };

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Further connections are accepted and closed at once. Both bounds are read as each one comes. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** One was closed at once for one of these bounds. */
  readonly onRefused?: () => void;
  /** Connections are handed over after their handshake. An implementation that has no TLS rejects with {@link NetworkError} `TLS`. */
  readonly tls?: TlsOptions | undefined;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Reads the files of certificates and keys again if they have changed. */
  renewTls(): void;
  /** Stops accepting; open connections stay. */
  close(): Promise<void>;
}

/**
 * What its owner hears from a connection. A chunk is lent until `release` is called (exactly once, in any order): its bytes may be
 * changed in place meanwhile, and are overwritten afterwards. Whoever needs bytes for longer copies them. Holding
 * chunks holds receive memory: release them at the end of the turn, or copy what waits.
 */
export interface ConnectionHandler {
  data(chunk: Uint8Array, release: () => void): void;
  /** Everything that was written has been handed to the operating system. Comes after each burst of writes, also a short one. */
  drained(): void;
  /** Called exactly once, last; the peer ended, an error came, or the owner closed it. */
  closed(error: Error | undefined): void;
}

export interface Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** The certificate that the peer has shown, and that is trusted, in DER. */
  readonly peerCertificate: Uint8Array | undefined;
  /** Starts delivery, which never happens within the call; must be called once, in the turn in which the connection was accepted or resolved. */
  start(handler: ConnectionHandler): void;
  /**
   * Queues the chunks in order; all that one turn queues goes out as one gathered write at the end of that turn. Chunks must stay unchanged until
   * `drained`. Returns the bytes that are queued or not yet taken by the operating system.
   */
  write(chunks: readonly Uint8Array[]): number;
  /**
   * Hands what is queued to the operating system now, while it is in the processor's caches, instead of at the end of the turn. Returns
   * `bufferedBytes`; at 0 the chunks may be changed, without waiting for `drained`.
   */
  flush(): number;
  readonly bufferedBytes: number;
  pauseReading(): void;
  resumeReading(): void;
  /**
   * Closes after what was written has been sent and the peer has closed too, at most `CLOSE_LINGER_MS` later. No chunk is
   * delivered any more (what comes is dropped, so that no reset overtakes the last bytes), and later writes are dropped.
   */
  close(): void;
  /** Closes now and drops what was not sent. */
  destroy(error?: Error): void;
}

export const CLOSE_LINGER_MS = 2000;

export class NetworkError extends Error {
  override readonly name = 'NetworkError';
  /** The system's code, such as EADDRINUSE or ECONNREFUSED; `TLS` for certificates and keys that cannot be used. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

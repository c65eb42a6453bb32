import type { Arrival } from './network.ts';

/** A PEM text, or the file that holds it, which is read again when it changes. */
export type PemSource = { readonly file: string } | { readonly text: string };

/** TLS at the door of a listener. Versions 1.2 and 1.3 only, without renegotiation. */
export interface TlsOptions {
  /** The listener's certificate, and those between it and its authority. */
  readonly certificates: PemSource;
  /** Default: it stands in `certificates`. */
  readonly key: PemSource | undefined;
  readonly keyPassword: string | undefined;
  /** The authorities whose clients' certificates are trusted. */
  readonly trusted: PemSource | undefined;
  /** `requested`: a client may have none, but one that it shows has to be trusted. */
  readonly clientAuth: 'none' | 'requested' | 'required';
  readonly versions: readonly ('TLSv1.2' | 'TLSv1.3')[];
  /** In OpenSSL's spelling or Java's; empty: the runtime's. */
  readonly cipherSuites: readonly string[];
  readonly handshakeTimeoutMs: number;
  /** Handshakes under way; one address may have a quarter of them. More are closed at once. */
  readonly handshakesMax: number;
  /** How often the files are looked at; 0: never. */
  readonly reloadMs: number;
  /** Asked as each connection comes for which there is room, before its handshake: that costs more than all else before a login. */
  readonly onArrival: (remoteAddress: string) => Arrival;
  /** A handshake failed, or took too long. */
  readonly onFailed: (failure: HandshakeFailure) => void;
}

export interface HandshakeFailure {
  readonly remoteAddress: string;
  readonly reason: string;
}

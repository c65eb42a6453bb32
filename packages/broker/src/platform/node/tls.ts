import { constants, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
  type TlsOptions as NodeTlsOptions,
} from 'node:tls';
import type { Logger } from '../log.ts';
import { NetworkError, type Arrival } from '../network.ts';
import type { PemSource, TlsOptions } from '../tls.ts';
import { addressOf } from './connection.ts';

const DAY_MS = 86_400_000;
/** A certificate that expires within it is warned of. */
const EXPIRY_WARNING_MS = 14 * DAY_MS;
/** One address may have this part of the handshakes under way. */
const HANDSHAKES_PER_ADDRESS_SHARE = 4;
const SESSION_IDS = 'polylog';
/** The longest interval that Node takes, 25 days; of a longer one it makes a millisecond. */
const INTERVAL_MS_MAX = 0x7fffffff;

interface Handshake {
  readonly accepted: Socket;
  readonly address: string;
  readonly done: (socket: TLSSocket) => void;
}

/** Makes TLS connections of accepted ones: handshakes, with their bounds, and certificates that may change meanwhile. */
export class TlsDoor {
  readonly #options: TlsOptions;
  readonly #logger: Logger;
  readonly #server: Server;
  /** By address and port. */
  readonly #handshakes = new Map<string, Handshake>();
  readonly #perAddress = new Map<string, number>();
  /** Connections that wait for their handshake, or for their end. */
  readonly #held = new Set<Socket>();
  readonly #poll: NodeJS.Timeout | undefined;
  /** Of the files when they were last read. */
  #seen: string;

  /** Throws NetworkError `TLS` for certificates or keys that cannot be used. */
  constructor(options: TlsOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#seen = stateOf(options);
    this.#server = createServer(serverOptions(options, loadMaterial(options, logger)));
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#failed(socket, error));
    if (options.reloadMs > 0) {
      const intervalMs = Math.min(options.reloadMs, INTERVAL_MS_MAX);
      this.#poll = setInterval(() => this.reload(), intervalMs).unref();
    }
  }

  /** Whether there is room for another handshake with this address. */
  hasRoom(address: string): boolean {
    const { handshakesMax } = this.#options;
    const perAddressMax = Math.ceil(handshakesMax / HANDSHAKES_PER_ADDRESS_SHARE);
    return this.#handshakes.size < handshakesMax && (this.#perAddress.get(address) ?? 0) < perAddressMax;
  }

  /** What becomes of a connection from there that has just come. */
  arrival(address: string): Arrival {
    return this.#options.onArrival(address);
  }

  /** Reads nothing of it for so long. What it sends meanwhile waits, within the bounds of a stream. */
  hold(accepted: Socket, ms: number, then: () => void): void {
    accepted.pause();
    this.#held.add(accepted);
    const timer = setTimeout(() => {
      this.#held.delete(accepted);
      then();
    }, ms).unref();
    accepted.once('close', () => {
      this.#held.delete(accepted);
      clearTimeout(timer);
    });
  }

  /** Hands over the connection when the handshake is complete. One that fails is destroyed, as its 'close' tells. */
  handshake(accepted: Socket, done: (socket: TLSSocket) => void): void {
    const address = addressOf(accepted);
    const key = keyOf(accepted);
    this.#handshakes.set(key, { accepted, address, done });
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    accepted.on('close', () => void this.#take(key));
    this.#server.emit('connection', accepted);
  }

  /** Reads the files again if they have changed; those that cannot be used leave the ones before in place. */
  reload(): void {
    const state = stateOf(this.#options);
    if (state === this.#seen) return;
    this.#seen = state;
    try {
      const material = loadMaterial(this.#options, this.#logger);
      // Resumed sessions would go on with the old authorities: new ticket keys end them.
      this.#server.setSecureContext(contextOptions(this.#options, material));
      this.#logger.info(nameOf(material), 'took over changed TLS certificates');
    } catch (error) {
      const why = (error as Error).message;
      this.#logger.error({ error: why }, 'changed TLS certificates cannot be used; the ones before stay');
    }
  }

  /** Destroys what has not been handed over. */
  close(): void {
    clearInterval(this.#poll);
    for (const accepted of this.#held) accepted.destroy();
    for (const key of this.#handshakes.keys()) this.#take(key)!.accepted.destroy();
  }

  #take(key: string): Handshake | undefined {
    const handshake = this.#handshakes.get(key);
    if (handshake === undefined) return undefined;
    this.#handshakes.delete(key);
    const left = (this.#perAddress.get(handshake.address) ?? 0) - 1;
    if (left > 0) this.#perAddress.set(handshake.address, left);
    else this.#perAddress.delete(handshake.address);
    return handshake;
  }

  #secured(socket: TLSSocket): void {
    // Tells of errors after the handshake: the connection's own listener does.
    const handshake = this.#take(keyOf(socket));
    if (handshake === undefined) {
      socket.destroy();
      return;
    }
    const isShown = socket.getPeerX509Certificate() !== undefined;
    if (this.#options.clientAuth === 'requested' && isShown && !socket.authorized) {
      const reason = `its certificate is not trusted: ${String(socket.authorizationError)}`;
      this.#options.onFailed({ remoteAddress: handshake.address, reason });
      socket.destroy();
      return;
    }
    handshake.done(socket);
  }

  #failed(socket: TLSSocket, error: NodeJS.ErrnoException): void {
    const handshake = this.#take(keyOf(socket));
    if (handshake !== undefined) {
      this.#options.onFailed({ remoteAddress: handshake.address, reason: reasonOf(error) });
    }
    socket.destroy();
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** OpenSSL's own words, without its error codes and files. */
function reasonOf(error: NodeJS.ErrnoException & { reason?: string }): string {
  return error.reason ?? error.message;
}

interface Material {
  readonly certificates: string;
  readonly key: string;
  readonly trusted: string | undefined;
}

function loadMaterial(options: TlsOptions, logger: Logger): Material {
  const certificates = read('certificate', options.certificates);
  const material: Material = {
    certificates,
    key: options.key === undefined ? certificates : read('private key', options.key),
    trusted: options.trusted === undefined ? undefined : read('truststore', options.trusted),
  };
  const place = placeOf(options.certificates, 'certificate');
  const [own] = certificatesIn(certificates, place);
  if (options.trusted !== undefined) {
    // Of an empty text Node makes all authorities that it knows itself, and a half one is one with fewer.
    certificatesIn(material.trusted ?? '', placeOf(options.trusted, 'truststore'));
  }
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(material.key)) {
    const keyPlace = options.key === undefined ? place : placeOf(options.key, 'private key');
    throw tlsError(`${keyPlace} has no private key in PEM`);
  }
  try {
    createSecureContext(contextOptions(options, material));
  } catch (error) {
    throw tlsError(`${place} cannot be used: ${explained(error as Error, material)}`, error);
  }
  warnOfExpiry(own!, place, logger);
  return material;
}

function read(what: string, source: PemSource): string {
  if ('text' in source) return source.text;
  try {
    return readFileSync(source.file, 'utf8');
  } catch (error) {
    throw tlsError(`cannot read the ${what} ${source.file}: ${(error as Error).message}`, error);
  }
}

const CERTIFICATE_BEGINS = '-----BEGIN CERTIFICATE-----';
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Of PKCS #8, and of the older form of OpenSSL. */
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/** At least one; throws NetworkError for a text without any, and where one that begins cannot be read. */
function certificatesIn(pem: string, place: string): readonly X509Certificate[] {
  const begun = pem.split(CERTIFICATE_BEGINS).length - 1;
  if (begun === 0) throw tlsError(`${place} has no certificate in PEM`);
  const whole = pem.match(CERTIFICATE) ?? [];
  if (whole.length < begun)
    throw tlsError(`${place} has a certificate that cannot be read: its end is missing`);
  try {
    return whole.map((one) => new X509Certificate(one));
  } catch (error) {
    throw tlsError(`${place} has a certificate that cannot be read: ${(error as Error).message}`, error);
  }
}

function placeOf(source: PemSource, what: string): string {
  return 'file' in source ? source.file : `the ${what} of the configuration`;
}

function tlsError(message: string, cause?: unknown): NetworkError {
  return new NetworkError('TLS', message, { cause });
}

function explained({ message }: Error, { key }: Material): string {
  if (message.includes('key values mismatch')) return 'the private key is not that of the certificate';
  // What a wrong password makes of a key may end like a decrypted text, and then only is no key.
  const isUnparsable = message.includes('DECODER routines::unsupported') && ENCRYPTED_KEY.test(key);
  if (isUnparsable || /bad decrypt|interrupted or cancelled|bad password/.test(message)) {
    return 'the private key is encrypted, and ssl.key.password is missing or wrong';
  }
  return message;
}

function nameOf({ certificates }: Material): { readonly subject: string; readonly validTo: string } {
  const { subject, validTo } = new X509Certificate(certificates);
  return { subject: subject.replaceAll('\n', ','), validTo };
}

function warnOfExpiry(certificate: X509Certificate, place: string, logger: Logger): void {
  const fields = { certificate: place, validTo: certificate.validTo };
  const leftMs = certificate.validToDate.getTime() - Date.now();
  if (leftMs <= 0) logger.warn(fields, 'a TLS certificate has expired: clients will refuse it');
  else if (leftMs < EXPIRY_WARNING_MS) logger.warn(fields, 'a TLS certificate expires soon');
  if (certificate.validFromDate.getTime() > Date.now())
    logger.warn(fields, 'a TLS certificate is not valid yet');
}

function contextOptions(options: TlsOptions, material: Material): SecureContextOptions {
  const { versions, cipherSuites, keyPassword } = options;
  return {
    cert: material.certificates,
    key: material.key,
    ...(keyPassword === undefined ? {} : { passphrase: keyPassword }),
    ...(material.trusted === undefined ? {} : { ca: material.trusted }),
    ...(cipherSuites.length === 0 ? {} : { ciphers: cipherSuites.map(suiteName).join(':') }),
    minVersion: versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: SESSION_IDS,
  };
}

const JAVA_SUITE =
  /^TLS_(?<exchange>ECDHE|DHE)_(?<signature>RSA|ECDSA)_WITH_(?:AES_(?<bits>128|256)_GCM_(?<hash>SHA256|SHA384)|CHACHA20_POLY1305_SHA256)$/;

/** OpenSSL's name of a suite of TLS 1.2 that is spelled as in Java; other names stay. */
function suiteName(name: string): string {
  if (!name.includes('_WITH_')) return name;
  const { exchange, signature, bits, hash } = JAVA_SUITE.exec(name)?.groups ?? {};
  if (exchange === undefined) {
    throw new Error(`${name} is not among the suites with forward secrecy and authenticated encryption`);
  }
  return `${exchange}-${signature}-${bits === undefined ? 'CHACHA20-POLY1305' : `AES${bits}-GCM-${hash}`}`;
}

function serverOptions(options: TlsOptions, material: Material): NodeTlsOptions {
  return {
    ...contextOptions(options, material),
    requestCert: options.clientAuth !== 'none',
    rejectUnauthorized: options.clientAuth === 'required',
    handshakeTimeout: options.handshakeTimeoutMs,
  };
}

/** Differs when a file has changed, or who may read it. */
function stateOf({ certificates, key, trusted }: TlsOptions): string {
  return [certificates, key, trusted]
    .map((source) => (source === undefined || !('file' in source) ? '' : stateOfFile(source.file)))
    .join('|');
}

/** One that cannot be looked at is a state like others: whoever reads it then says what is wrong. */
function stateOfFile(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

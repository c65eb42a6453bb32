import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { MalformedError, Reader } from '@polylog/bytes';
import {
  apiVersions,
  decodeResponse,
  encodeRequest,
  FRAME_LENGTH_BYTES,
  kafkaErrors,
  saslAuthenticate,
  saslHandshake,
  type Api,
} from '@polylog/kafka-protocol';
import { CliError, protocolError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { formatAddress, type Address } from './address.ts';
import { authenticate, type ClientSecurity, type Login } from './security.ts';

const CLIENT_ID = 'polylog-cli';
const CONNECT_TIMEOUT_MS = 5000;
/** What is said of a broker that does so. */
export const CLOSED = 'closed the connection';
/** A broker that sends more in one answer is not one. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

interface Waiting {
  readonly correlationId: number;
  settle(frame: Buffer): void;
  fail(error: Error): void;
}

export interface RequestOptions {
  /** Versions above are not used, though both sides know them. */
  readonly versionMax?: number;
  readonly timeoutMs: number;
}

/** The connection ended, or never came about: the request may be tried again. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly address: Address;

  constructor(address: Address, message: string, options?: ErrorOptions) {
    super(message, options);
    this.address = address;
  }
}

/** One connection to one broker: requests in order, answers in the same order, versions as the broker says. */
export class Connection {
  readonly address: Address;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #versions = new Map<number, { readonly min: number; readonly max: number }>();
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #nextCorrelationId = 1;
  #ended: ConnectionError | undefined;

  private constructor(address: Address, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.#end(describeSocketError(error), error));
    socket.on('close', () => this.#end(CLOSED));
  }

  /** Connects, logs in where that is asked for, and asks for the versions. Throws ConnectionError, or CliError if the login is refused. */
  static async open(address: Address, timeoutMs: number, security?: ClientSecurity): Promise<Connection> {
    const where = { host: address.host, port: address.port, noDelay: true };
    const tls = security?.tls;
    const socket =
      tls === undefined ? connect(where) : connectTls({ ...where, ...serverName(address.host), ...tls });
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`)),
      CONNECT_TIMEOUT_MS,
    );
    try {
      await once(socket, tls === undefined ? 'connect' : 'secureConnect');
    } catch (error) {
      throw new ConnectionError(address, describeSocketError(error as Error), { cause: error });
    } finally {
      clearTimeout(timer);
    }
    const connection = new Connection(address, socket);
    await connection.#askVersions(timeoutMs);
    if (security?.login !== undefined) await connection.#logIn(security.login, timeoutMs);
    return connection;
  }

  async #logIn(login: Login, timeoutMs: number): Promise<void> {
    const refused = (code: number, detail: string | null): CliError => {
      this.destroy();
      return protocolError(code, `login of ${login.user}`, detail);
    };
    const { errorCode, mechanisms } = await this.request(
      saslHandshake,
      { mechanism: login.mechanism },
      { timeoutMs },
    );
    if (errorCode !== kafkaErrors.NONE.code) {
      const offered = `the broker offers ${mechanisms.join(', ') || 'no login here'}, not ${login.mechanism}`;
      throw refused(errorCode, offered);
    }
    await authenticate(login, async (authBytes) => {
      const answer = await this.request(saslAuthenticate, { authBytes }, { timeoutMs });
      if (answer.errorCode !== kafkaErrors.NONE.code) throw refused(answer.errorCode, answer.errorMessage);
      return Buffer.from(answer.authBytes);
    });
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** Whether the broker knows the API at a version that we know too. */
  supports(api: Api): boolean {
    const range = this.#versions.get(api.key);
    return range !== undefined && Math.min(range.max, api.versionMax) >= Math.max(range.min, api.versionMin);
  }

  /** Whether the two have a version of the API in common. */
  serves(api: Api): boolean {
    const range = this.#versions.get(api.key);
    return range !== undefined && range.min <= api.versionMax && range.max >= api.versionMin;
  }

  /** Throws CliError if the two have no version in common. */
  versionOf(api: Api, versionMax: number = api.versionMax): number {
    const range = this.#versions.get(api.key);
    const version = Math.min(range?.max ?? -1, versionMax, api.versionMax);
    if (range !== undefined && version >= Math.max(range.min, api.versionMin)) return version;
    throw new CliError(
      range === undefined
        ? `the broker at ${formatAddress(this.address)} has no ${api.name}`
        : `the broker at ${formatAddress(this.address)} has ${api.name} ${range.min} to ${range.max}; ` +
            `this program has ${api.versionMin} to ${Math.min(versionMax, api.versionMax)}`,
      { code: 'UNSUPPORTED_VERSION' },
    );
  }

  /** Throws ConnectionError, or CliError for an answer that cannot be understood. */
  async request<Q, QI, S, SI>(api: Api<Q, QI, S, SI>, body: QI, options: RequestOptions): Promise<S> {
    const version = this.versionOf(api, options.versionMax);
    const frame = await this.#exchange(api, version, body, options.timeoutMs);
    try {
      return decodeResponse(api as Api<unknown, never, S>, version, new Reader(frame)).body;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      const message = `what ${formatAddress(this.address)} answers to ${api.name} v${version} is malformed`;
      throw new CliError(`${message}: ${error.message}`, { code: 'MALFORMED_ANSWER', cause: error });
    }
  }

  /** Sends a request that is not answered; resolves when the socket takes more. Throws ConnectionError. */
  async send<QI>(api: Api<unknown, QI>, body: QI, versionMax?: number): Promise<void> {
    this.#checkOpen();
    const version = this.versionOf(api, versionMax);
    this.#write(encodeRequest(api, version, this.#nextCorrelationId++, CLIENT_ID, body));
    while (this.#socket.writableNeedDrain && this.isOpen) {
      await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]).catch(() => undefined);
    }
    this.#checkOpen();
  }

  /** Sends what is buffered, then closes. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    const closed = once(this.#socket, 'close');
    this.#ended = new ConnectionError(this.address, 'is closed');
    this.#socket.end();
    // The broker closes its half when it has read ours; one that does not must not hold up the program.
    const timer = setTimeout(() => this.#socket.destroy(), CONNECT_TIMEOUT_MS);
    await closed.catch(() => undefined);
    clearTimeout(timer);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #askVersions(timeoutMs: number): Promise<void> {
    const body = { clientSoftwareName: CLIENT_ID, clientSoftwareVersion: '1' };
    // An answer to a version that the broker does not know has the body of v0 (KIP-511).
    for (const version of [3, 0]) {
      const frame = await this.#exchange(apiVersions, version, body, timeoutMs);
      const errorCode = frame.readInt16BE(FRAME_LENGTH_BYTES);
      if (errorCode === kafkaErrors.UNSUPPORTED_VERSION.code && version > 0) continue;
      try {
        const { apiKeys } = decodeResponse(apiVersions, version, new Reader(frame)).body;
        for (const { apiKey, minVersion, maxVersion } of apiKeys) {
          this.#versions.set(apiKey, { min: minVersion, max: maxVersion });
        }
      } catch (error) {
        this.destroy();
        throw new CliError(`what listens at ${formatAddress(this.address)} does not speak Kafka's protocol`, {
          code: 'NOT_A_BROKER',
          exitCode: EXIT.unreachable,
          cause: error,
        });
      }
      return;
    }
  }

  async #exchange<QI>(api: Api<unknown, QI>, version: number, body: QI, timeoutMs: number): Promise<Buffer> {
    this.#checkOpen();
    const correlationId = this.#nextCorrelationId++;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#waiting.push({ correlationId, settle: resolve, fail: reject });
    const timer = setTimeout(
      () => this.#end(`did not answer ${api.name} within ${timeoutMs / 1000} s`),
      timeoutMs,
    );
    this.#write(encodeRequest(api, version, correlationId, CLIENT_ID, body));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #checkOpen(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  #write(chunks: readonly Uint8Array[]): void {
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  #onData(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    while (this.#receivedBytes >= FRAME_LENGTH_BYTES) {
      const length = this.#peekLength();
      if (length < FRAME_LENGTH_BYTES || length > FRAME_BYTES_MAX) {
        this.#end('sent something that is not an answer of a broker');
        return;
      }
      if (this.#receivedBytes < FRAME_LENGTH_BYTES + length) return;
      const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
      const end = FRAME_LENGTH_BYTES + length;
      this.#received = all.length > end ? [all.subarray(end)] : [];
      this.#receivedBytes -= end;
      this.#onFrame(all.subarray(FRAME_LENGTH_BYTES, end));
    }
  }

  #peekLength(): number {
    const first = this.#received[0]!;
    if (first.length >= FRAME_LENGTH_BYTES) return first.readInt32BE(0);
    this.#received = [Buffer.concat(this.#received)];
    return this.#received[0]!.readInt32BE(0);
  }

  #onFrame(frame: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined || frame.readInt32BE(0) !== waiting.correlationId) {
      const error = 'answers something that was not asked';
      waiting?.fail(new ConnectionError(this.address, error));
      this.#end(error);
      return;
    }
    waiting.settle(frame);
  }

  #end(message: string, cause?: Error): void {
    const options = cause === undefined ? undefined : { cause };
    this.#ended ??= new ConnectionError(this.address, message, options);
    this.#socket.destroy();
    for (const waiting of this.#waiting.splice(0)) waiting.fail(this.#ended);
  }
}

/** Addresses are no names: TLS has nothing to say of them. */
function serverName(host: string): { readonly servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

function describeSocketError(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return 'nobody listens';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name is not known';
  if (code === 'ECONNRESET' || code === 'EPIPE') return CLOSED;
  return error.message;
}

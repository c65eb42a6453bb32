import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Logger } from '../log.ts';
import type { Loop } from '../loop.ts';
import type { TlsOptions } from '../tls.ts';
import {
  NetworkError,
  type Connection,
  type ListenOptions,
  type Listener,
  type Network,
} from '../network.ts';
import { addressOf, networkError, NodeConnection } from './connection.ts';
import type { TlsDoor } from './tls.ts';
import { adopt, adoptionWorks, readPlainly, ReceivePool, Receiver } from './receive-buffer.ts';

/** Connections that the system holds ready for accept. */
const BACKLOG_MAX = 1024;

export interface NodeNetworkOptions {
  readonly loop: Loop;
  readonly logger: Logger;
  readonly pool?: ReceivePool;
  /** `plain`: never use the reusable receive buffers. Default: where they work. */
  readonly receive?: 'pooled' | 'plain';
}

export class NodeNetwork implements Network {
  readonly #loop: Loop;
  readonly #logger: Logger;
  readonly #pool: ReceivePool;
  readonly #receive: 'pooled' | 'plain';

  constructor(options: NodeNetworkOptions) {
    this.#loop = options.loop;
    this.#logger = options.logger;
    this.#pool = options.pool ?? new ReceivePool();
    this.#receive = options.receive ?? 'pooled';
  }

  async listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    const door = options.tls === undefined ? undefined : await openDoor(options.tls, this.#logger);
    const isPooled = door === undefined && (await this.#poolsReads());
    const limits = new ConnectionLimits(options);
    // TLS reads of the socket itself.
    const server = createServer({ pauseOnConnect: door === undefined });
    server.on('connection', (accepted) => {
      const address = addressOf(accepted);
      const hasRoom = door === undefined || door.hasRoom(address);
      // A peer that is gone already has no address.
      if (address === '' || !hasRoom || !limits.admit(address)) {
        accepted.destroy();
        if (address !== '') options.onRefused?.();
        return;
      }
      if (door === undefined) accept(this.#connectionOf(accepted, isPooled, () => limits.leave(address)));
      else {
        this.#acceptTls(door, accepted, accept, {
          onClosed: () => limits.leave(address),
          onRefused: options.onRefused,
        });
      }
    });
    const { port } = await startListening(server, options).catch((error: unknown) => {
      door?.close();
      throw error;
    });
    server.on('error', (error) => this.#logger.error({ error, port }, 'a listener failed to accept'));
    return {
      host: options.host,
      port,
      renewTls: () => door?.reload(),
      close: () => {
        door?.close();
        return stopListening(server);
      },
    };
  }

  async #poolsReads(): Promise<boolean> {
    if (this.#receive === 'plain') return false;
    if (await adoptionWorks()) return true;
    this.#logger.warn(
      { node: process.version },
      'reusable receive buffers do not work with this Node; reads allocate',
    );
    return false;
  }

  #connectionOf(
    accepted: Socket,
    isPooled: boolean,
    onClosed: () => void,
    peerCertificate?: Uint8Array,
  ): NodeConnection {
    const receiver = new Receiver(this.#pool);
    const socket = isPooled ? adopt(accepted, receiver) : readPlainly(accepted, receiver);
    return new NodeConnection({ socket, loop: this.#loop, receiver, onClosed, peerCertificate });
  }

  /** Counts as a connection from now on, whether its handshake succeeds or not. */
  #acceptTls(
    door: TlsDoor,
    accepted: Socket,
    accept: (connection: Connection) => void,
    { onClosed, onRefused }: { readonly onClosed: () => void; readonly onRefused?: (() => void) | undefined },
  ): void {
    let isOpen = true;
    const leave = (): void => {
      if (isOpen) onClosed();
      isOpen = false;
    };
    accepted.once('close', leave);
    // Its errors end the handshake, or the connection, which tell of them.
    accepted.on('error', () => undefined);
    const shake = (): void =>
      door.handshake(accepted, (socket) =>
        accept(this.#connectionOf(socket, false, leave, socket.getPeerX509Certificate()?.raw)),
      );
    const arrival = door.arrival(addressOf(accepted));
    if (arrival.kind === 'serve') shake();
    else if (arrival.kind === 'close') door.hold(accepted, arrival.afterMs, () => accepted.destroy());
    else {
      door.hold(accepted, arrival.ms, () => {
        if (door.hasRoom(addressOf(accepted))) return shake();
        accepted.destroy();
        onRefused?.();
      });
    }
  }

  connect(options: { host: string; port: number; timeoutMs: number }): Promise<Connection> {
    const { host, port, timeoutMs } = options;
    const receiver = new Receiver(this.#pool);
    const isPooled = this.#receive === 'pooled';
    const socket = connect({ host, port, ...(isPooled ? { onread: receiver.onread } : {}) });
    if (!isPooled) readPlainly(socket, receiver);
    return new Promise((resolve, reject) => {
      const fail = (error: NetworkError): void => {
        clearTimeout(timer);
        socket.destroy();
        receiver.dispose();
        reject(error);
      };
      const what = `cannot connect to ${host}:${port}`;
      const timeout = new NetworkError('ETIMEDOUT', `${what}: no answer within ${timeoutMs} ms`);
      const timer = setTimeout(() => fail(timeout), timeoutMs).unref();
      const onError = (error: NodeJS.ErrnoException): void => fail(networkError(error, what));
      socket.once('error', onError);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', onError);
        socket.pause();
        resolve(new NodeConnection({ socket, loop: this.#loop, receiver, onClosed: () => undefined }));
      });
    });
  }
}

/** Brokers without TLS need not load it. */
async function openDoor(options: TlsOptions, logger: Logger): Promise<TlsDoor> {
  const { TlsDoor } = await import('./tls.ts');
  return new TlsDoor(options, logger);
}

class ConnectionLimits {
  readonly #options: ListenOptions;
  readonly #perAddress = new Map<string, number>();
  #open = 0;

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  admit(address: string): boolean {
    const fromAddress = this.#perAddress.get(address) ?? 0;
    if (this.#open >= this.#options.connectionsMax || fromAddress >= this.#options.connectionsPerAddressMax)
      return false;
    this.#open++;
    this.#perAddress.set(address, fromAddress + 1);
    return true;
  }

  leave(address: string): void {
    this.#open--;
    const left = (this.#perAddress.get(address) ?? 0) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }
}

function startListening(server: Server, { host, port }: ListenOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void =>
      reject(networkError(error, `cannot listen on ${host}:${port}`));
    server.once('error', onError);
    server.listen({ host, port, backlog: BACKLOG_MAX }, () => {
      server.off('error', onError);
      resolve(server.address() as AddressInfo);
    });
  });
}

/** The port is free when this returns. The server's own 'close' would wait for its connections, and those that were adopted never count as closed. */
async function stopListening(server: Server): Promise<void> {
  server.close();
}

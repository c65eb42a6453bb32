import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import type { Logger } from '../log.ts';
import type { Loop } from '../loop.ts';
import {
  NetworkError,
  type Connection,
  type ListenOptions,
  type Listener,
  type Network,
} from '../network.ts';
import { addressOf, networkError, NodeConnection } from './connection.ts';
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
    const isPooled = this.#receive === 'pooled' && (await adoptionWorks());
    if (this.#receive === 'pooled' && !isPooled) {
      this.#logger.warn(
        { node: process.version },
        'reusable receive buffers do not work with this Node; reads allocate',
      );
    }
    const limits = new ConnectionLimits(options);
    const server = createServer({ pauseOnConnect: true });
    server.on('connection', (accepted) => {
      const address = addressOf(accepted);
      // A peer that is gone already has no address.
      if (address === '' || !limits.admit(address)) {
        accepted.destroy();
        if (address !== '') options.onRefused?.();
        return;
      }
      const receiver = new Receiver(this.#pool);
      const socket = isPooled ? adopt(accepted, receiver) : readPlainly(accepted, receiver);
      const onClosed = (): void => limits.leave(address);
      accept(new NodeConnection({ socket, loop: this.#loop, receiver, onClosed }));
    });
    const { port } = await startListening(server, options);
    server.on('error', (error) => this.#logger.error({ error, port }, 'a listener failed to accept'));
    return { host: options.host, port, close: () => stopListening(server) };
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

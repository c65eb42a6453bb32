import {
  NetworkError,
  type Connection,
  type ListenOptions,
  type Listener,
  type Network,
} from '../../packages/broker/src/platform/network.ts';
import type { SimLoop } from './clock.ts';
import { SimEndpoint } from './connection.ts';
import type { CrashKind } from './disk.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

const DELAY_MS_MIN = 0.05;
const DELAY_MS_MAX = 3;
const EPHEMERAL_PORT_FIRST = 32768;
const EPHEMERAL_PORT_LAST = 60999;
/** A machine without power says nothing; its peers find out by their own deadlines, or here. */
const POWER_LOSS_NOTICED_MS_MAX = 5000;

/** Probabilities. */
export interface NetworkFaults {
  /** Per segment: its connection breaks instead, on both sides, with bytes in flight lost. */
  drop: number;
  /** Per segment: it takes up to {@link SLOW_SEGMENT_MS_MAX}. */
  slow: number;
}

export const SLOW_SEGMENT_MS_MAX = 500;

interface Port {
  readonly process: SimProcess;
  readonly loop: SimLoop;
  readonly options: ListenOptions;
  readonly accept: (connection: Connection) => void;
  readonly open: Set<SimEndpoint>;
}

/**
 * Connections between machines by name; 127.0.0.1, ::1 and localhost name the machine itself. The bytes of a connection stay in order,
 * are cut and merged at random, and are held while a partition lasts.
 */
export class SimNetwork {
  readonly world: SimWorld;
  readonly faults: NetworkFaults = { drop: 0, slow: 0 };
  readonly random: SimRandom;
  readonly #ports = new Map<string, Port>();
  readonly #endpoints = new Set<SimEndpoint>();
  readonly #cuts = new Set<string>();
  readonly #held = new Set<SimEndpoint>();
  #nextPort = EPHEMERAL_PORT_FIRST;
  #connections = 0;

  constructor(world: SimWorld) {
    this.world = world;
    this.random = world.random.fork('network');
  }

  forProcess(process: SimProcess, loop: SimLoop): Network {
    return {
      listen: (options, accept) => this.#listen(process, loop, options, accept),
      connect: (options) => this.#connect(process, loop, options),
    };
  }

  /** Holds what goes from one machine to another; both ways unless `oneWay`. */
  partition(from: string, to: string, options: { readonly oneWay?: boolean } = {}): void {
    this.#cuts.add(`${from} ${to}`);
    if (options.oneWay !== true) this.#cuts.add(`${to} ${from}`);
    this.world.count(options.oneWay === true ? 'network.partition-one-way' : 'network.partition');
    this.world.trace.add(`${this.world.nowMs.toFixed(3)} ${from} and ${to} are cut`);
  }

  /** Ends all partitions between two machines, or all of all; what was held arrives. */
  heal(from?: string, to?: string): void {
    if (from === undefined || to === undefined) this.#cuts.clear();
    this.#cuts.delete(`${from} ${to}`);
    this.#cuts.delete(`${to} ${from}`);
    this.world.trace.add(`${this.world.nowMs.toFixed(3)} heals ${from ?? ''} ${to ?? ''}`);
    const held = [...this.#held];
    this.#held.clear();
    for (const endpoint of held) endpoint.pump();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from} ${to}`);
  }

  /** True while a partition stops what this side sends; it is pumped again when that ends. */
  holds(endpoint: SimEndpoint): boolean {
    const isCut = this.isCut(endpoint.process.host, endpoint.peer.process.host);
    if (isCut) this.#held.add(endpoint);
    return isCut;
  }

  /** Breaks one connection at random; false if there is none. */
  dropRandomConnection(): boolean {
    const open = [...this.#endpoints];
    if (open.length === 0) return false;
    this.dropConnection(this.random.pick(open));
    return true;
  }

  /** Breaks a connection on both sides. */
  dropConnection(endpoint: SimEndpoint): void {
    this.world.count('network.drop');
    for (const side of [endpoint, endpoint.peer]) {
      this.world.after(this.delayMs(), () => side.broken('ECONNRESET'), side.process);
    }
  }

  delayMs(): number {
    if (this.random.chance(this.faults.slow)) {
      this.world.count('network.slow');
      return this.random.fraction() * SLOW_SEGMENT_MS_MAX;
    }
    return DELAY_MS_MIN + this.random.fraction() ** 3 * (DELAY_MS_MAX - DELAY_MS_MIN);
  }

  processDied(process: SimProcess, kind: CrashKind): void {
    for (const [key, port] of this.#ports) if (port.process === process) this.#ports.delete(key);
    for (const endpoint of this.#endpoints) {
      if (endpoint.process !== process) continue;
      this.forget(endpoint);
      const { peer } = endpoint;
      const delayMs =
        kind === 'process' ? this.delayMs() : this.random.fraction() * POWER_LOSS_NOTICED_MS_MAX;
      this.world.after(delayMs, () => peer.broken('ECONNRESET'), peer.process);
    }
  }

  forget(endpoint: SimEndpoint): void {
    this.#endpoints.delete(endpoint);
    endpoint.port?.open.delete(endpoint);
  }

  #takePort(host: string): number {
    for (;;) {
      const port = this.#nextPort++;
      if (this.#nextPort > EPHEMERAL_PORT_LAST) this.#nextPort = EPHEMERAL_PORT_FIRST;
      if (!this.#ports.has(`${host}:${port}`)) return port;
    }
  }

  async #listen(
    process: SimProcess,
    loop: SimLoop,
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    assertAlive(process);
    if (options.tls !== undefined) throw new NetworkError('TLS', 'the simulated network has no TLS');
    const port = options.port === 0 ? this.#takePort(process.host) : options.port;
    const key = `${process.host}:${port}`;
    if (this.#ports.has(key)) throw new NetworkError('EADDRINUSE', `${key} is in use`);
    const listening: Port = { process, loop, options, accept, open: new Set() };
    this.#ports.set(key, listening);
    const close = async (): Promise<void> => {
      if (this.#ports.get(key) === listening) this.#ports.delete(key);
    };
    return { host: options.host, port, renewTls: () => undefined, close };
  }

  #connect(
    process: SimProcess,
    loop: SimLoop,
    options: { readonly host: string; readonly port: number; readonly timeoutMs: number },
  ): Promise<Connection> {
    const host = isLoopback(options.host) ? process.host : options.host;
    const address = `${options.host}:${options.port}`;
    return new Promise((resolve, reject) => {
      assertAlive(process);
      let settled = false;
      const fail = (code: string): void => {
        if (settled) return;
        settled = true;
        reject(new NetworkError(code, `${address}: ${code}`));
      };
      const deadline = this.world.after(options.timeoutMs, () => fail('ETIMEDOUT'), process);
      const arrive = (): void => {
        if (this.isCut(process.host, host) || this.isCut(host, process.host)) return;
        const port = this.#ports.get(`${host}:${options.port}`);
        if (port === undefined) {
          this.world.after(this.delayMs(), () => fail('ECONNREFUSED'), process);
          return;
        }
        const answer = (): void => {
          if (settled || !port.process.alive) return fail('ECONNREFUSED');
          settled = true;
          deadline.cancel();
          const client = this.#establish(process, loop, port, host, options.port);
          resolve(client);
        };
        this.world.after(this.delayMs(), answer, process);
      };
      this.world.after(this.delayMs(), arrive);
    });
  }

  #establish(process: SimProcess, loop: SimLoop, port: Port, host: string, portNumber: number): SimEndpoint {
    const id = ++this.#connections;
    const clientPort = this.#takePort(process.host);
    const remote = { remoteAddress: host, remotePort: portNumber, localPort: clientPort };
    const client = new SimEndpoint({ network: this, process, loop, ...remote, id });
    const server = new SimEndpoint({
      network: this,
      process: port.process,
      loop: port.loop,
      remoteAddress: process.host,
      remotePort: clientPort,
      localPort: portNumber,
      id,
      port,
    });
    client.peer = server;
    server.peer = client;
    this.#endpoints.add(client).add(server);
    this.world.trace.add(
      `${this.world.nowMs.toFixed(3)} ${process.name} connects to ${port.process.name}:${portNumber}`,
    );
    this.world.after(this.delayMs(), () => this.#accept(port, server), port.process);
    return client;
  }

  #accept(port: Port, endpoint: SimEndpoint): void {
    if (endpoint.isClosed) return;
    let fromAddress = 0;
    for (const open of port.open) if (open.remoteAddress === endpoint.remoteAddress) fromAddress++;
    const { connectionsMax, connectionsPerAddressMax } = port.options;
    if (port.open.size >= connectionsMax || fromAddress >= connectionsPerAddressMax) {
      endpoint.destroy();
      port.options.onRefused?.();
      return;
    }
    port.open.add(endpoint);
    port.accept(endpoint);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '0.0.0.0' || host.startsWith('127.');
}

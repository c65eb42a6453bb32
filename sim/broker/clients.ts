import type { Api } from '@polylog/kafka-protocol';
import { kafkaErrors } from '@polylog/kafka-protocol';
import type { Platform } from '../../packages/broker/src/platform/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { SimWorld } from '../platform/world.ts';
import { CLIENT_ID, ConnectionLost, KafkaConnection } from './connection.ts';
import type { Model, PartitionView } from './model.ts';

const RECONNECT_MS = 30;
const errorNames = new Map(Object.entries(kafkaErrors).map(([name, { code }]) => [code, name]));

export function errorName(code: number): string {
  return errorNames.get(code) ?? `error ${code}`;
}

/** What the simulated clients of any scenario share. */
export interface BaseHost {
  readonly world: SimWorld;
  /** Of the machine on which the clients run. */
  readonly platform: Platform;
  readonly address: { readonly host: string; readonly port: number };
  /** Counts the broker's starts. */
  readonly boot: () => number;
  /** Whether the broker's process lives. */
  readonly isUp: () => boolean;
  /** Clients begin nothing new any more. */
  readonly draining: () => boolean;
  readonly stopped: () => boolean;
  readonly operation: () => void;
  /** Ends the run with this error. */
  readonly fail: (error: unknown) => void;
}

/** What those share that produce, fetch and administer topics. */
export interface ClientHost extends BaseHost {
  readonly model: Model;
}

/** One client: a loop that reconnects and goes on until the run ends. */
export abstract class Client<H extends BaseHost = ClientHost> {
  readonly host: H;
  readonly random: SimRandom;
  readonly name: string;
  /** By which the broker knows it. */
  protected readonly clientId: string = CLIENT_ID;
  #connection: KafkaConnection | undefined;

  constructor(host: H, name: string) {
    this.host = host;
    this.name = name;
    this.random = host.world.random.fork(name);
  }

  /** One step of the client. A lost connection ends it, and the next one begins. */
  protected abstract step(): Promise<void>;

  run(): void {
    this.#loop().catch(this.host.fail);
  }

  async #loop(): Promise<void> {
    while (!this.host.stopped()) {
      try {
        await this.step();
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        this.count('client.connection-lost');
        await this.sleep(this.random.fraction() * RECONNECT_MS);
      }
    }
  }

  /** A line of the trace, for whoever replays a seed. */
  protected note(text: string): void {
    const { trace, nowMs } = this.host.world;
    trace.add(`${nowMs.toFixed(3)} ${this.name}: ${text}`);
  }

  protected count(path: string): void {
    this.host.world.count(path);
  }

  protected sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.host.world.after(delayMs, resolve));
  }

  /** The open connection, or a new one; now and then the client itself breaks it off. */
  protected async connection(): Promise<KafkaConnection> {
    if (this.#connection !== undefined && !this.#connection.closed) {
      if (!this.random.chance(0.005)) return this.#connection;
      this.count('client.disconnects');
      this.#connection.close();
    }
    const { platform, address, fail } = this.host;
    this.#connection = await KafkaConnection.open(platform, address, fail, this.clientId);
    return this.#connection;
  }

  protected version(api: Api, min = 0, max = Infinity): number {
    return this.random.between(Math.max(api.versionMin, min), Math.min(api.versionMax, max));
  }

  /** Sends and waits. Counts as an operation. */
  protected async ask<QI, S>(api: Api<unknown, QI, S>, version: number, body: QI): Promise<S> {
    const connection = await this.connection();
    this.host.operation();
    return connection.request(api, version, body);
  }

  /** Counts an error, and refuses those that no client should see. */
  protected refused(api: Api, code: number): string {
    const name = errorName(code);
    this.count(`${api.name}.${name}`);
    if (name === 'UNKNOWN_SERVER_ERROR') throw new Violation('unexpected-error', `${this.name}: ${api.name}`);
    return name;
  }

  /** Throws unless the topic may be gone. */
  protected missing(view: PartitionView, what: string): void {
    if (view.topic.state === 'exists') {
      throw new Violation('lost-topic', `${what}: ${view.history.name} is unknown to the broker`);
    }
    this.count('topic-gone-under-client');
  }
}

import type { Address } from '../../config/definition.ts';
import type { Clock, Random, TimerHandle, Timers } from '../../platform/clock.ts';
import type { Compute } from '../../platform/compute.ts';
import type { Logger } from '../../platform/log.ts';
import type { Loop } from '../../platform/loop.ts';
import type { Arrival, Connection, Listener, ListenOptions, Network } from '../../platform/network.ts';
import type { HandshakeFailure, TlsOptions } from '../../platform/tls.ts';
import type { ConnectionQuotas } from '../../quotas/connection-quotas.ts';
import type { CertificateMapping } from '../../security/principal-mapping.ts';
import type { Principal } from '../../security/principal.ts';
import { AuthorizationGate } from './authorization-gate.ts';
import type { ConnectionFacts, KafkaHandler, KafkaServices } from './handler.ts';
import { kafkaHandlers } from './handlers.ts';
import type { KafkaLimits } from './limits.ts';
import { describePipeline } from './metrics.ts';
import { Pipeline } from './pipeline.ts';
import { SaslDialogue } from './sasl-dialogue.ts';
import { SessionListener, type SaslTerms } from './session-listener.ts';
import { Session } from './session.ts';

/** One address to listen on. */
export interface KafkaListener {
  /** Key of BrokerImage.endpoints by which Metadata finds the addresses to advertise. */
  readonly name: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The bounds are read as each connection comes. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly tls?: Omit<TlsOptions, 'onFailed' | 'onArrival'> | undefined;
  /** Who a client with a certificate is; undefined: that does not matter. */
  readonly principalOf?: CertificateMapping | undefined;
  /** Undefined: it does not ask who comes. */
  readonly sasl?: SaslTerms | undefined;
}

export interface KafkaFrontendOptions {
  readonly listeners: readonly KafkaListener[];
  readonly platform: {
    readonly network: Network;
    readonly clock: Clock;
    readonly timers: Timers;
    readonly random: Random;
    readonly loop: Loop;
    readonly compute: Compute;
    readonly logger: Logger;
  };
  readonly limits: KafkaLimits;
}

/** What the front end needs of the broker once it is ready to serve. */
export type KafkaBackend = Omit<
  KafkaServices,
  'clock' | 'timers' | 'random' | 'compute' | 'logger' | 'limits'
>;

/**
 * The Kafka listeners. They are bound before the broker has recovered its data, so that a taken port is known at once and the
 * advertised ports can be registered; connections that come before {@link KafkaFrontend.serve} wait.
 */
export interface KafkaFrontend {
  /** Where each listener listens, by its name. */
  readonly addresses: ReadonlyMap<string, Address>;
  readonly connectionCount: number;
  /** Opens the doors, once. `handlers` replaces the list of handlers.ts, for tests. */
  serve(backend: KafkaBackend, handlers?: readonly KafkaHandler[]): void;
  /** Reads the files of TLS certificates again if they have changed. */
  renewCertificates(): void;
  /** Stops accepting, lets the responses that are written go out, and closes every connection; requests under way are dropped. */
  close(): Promise<void>;
}

const SWEEP_MS = 1000;

/** Binds the listeners. Rejects with NetworkError. */
export async function startKafkaFrontend(options: KafkaFrontendOptions): Promise<KafkaFrontend> {
  const server = new KafkaServer(options);
  try {
    await server.listen();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

interface BoundListener {
  readonly sessions: SessionListener;
  readonly bound: Listener;
}

class KafkaServer implements KafkaFrontend {
  readonly #options: KafkaFrontendOptions;
  readonly #limits: KafkaLimits;
  readonly #pipeline: Pipeline;
  readonly #listeners: BoundListener[] = [];
  #connectionQuotas: ConnectionQuotas | undefined;
  #serving = false;
  #closing = false;
  #nextConnectionId = 1;
  #sweepTimer: TimerHandle | undefined;

  constructor(options: KafkaFrontendOptions) {
    this.#options = options;
    this.#limits = options.limits;
    const { clock, timers, loop, logger } = options.platform;
    this.#pipeline = new Pipeline({
      clock,
      timers,
      loop,
      logger: logger.child({ frontend: 'kafka' }),
      limits: this.#limits,
    });
  }

  async listen(): Promise<void> {
    for (const listener of this.#options.listeners) {
      const sessions = new SessionListener(listener);
      const options: ListenOptions = {
        host: listener.host,
        port: listener.port,
        get connectionsMax() {
          return listener.connectionsMax;
        },
        get connectionsPerAddressMax() {
          return listener.connectionsPerAddressMax;
        },
        onRefused: () => void sessions.counters.refused++,
        tls: listener.tls && {
          ...listener.tls,
          onArrival: (address) => this.#arrival(address),
          onFailed: (failure) => this.#failedHandshake(sessions, failure),
        },
      };
      const isJudged = listener.tls !== undefined;
      const bound = await this.#options.platform.network.listen(options, (connection) => {
        const session = this.#accept(sessions, connection);
        if (!isJudged) this.#judge(session, connection);
        if (this.#closing) session?.close('now');
      });
      this.#listeners.push({ sessions, bound });
    }
    this.#sweepLater();
  }

  get addresses(): ReadonlyMap<string, Address> {
    return new Map(
      this.#listeners.map(({ sessions, bound: { host, port } }) => [sessions.name, { host, port }]),
    );
  }

  get connectionCount(): number {
    return this.#pipeline.sessions.size;
  }

  serve(backend: KafkaBackend, handlers?: readonly KafkaHandler[]): void {
    if (this.#serving) throw new Error('the Kafka front end serves already');
    const { clock, timers, random, compute } = this.#options.platform;
    const pipeline = this.#pipeline;
    const services: KafkaServices = {
      ...backend,
      clock,
      timers,
      random,
      compute,
      logger: pipeline.logger,
      limits: this.#limits,
    };
    const list = handlers ?? kafkaHandlers(services);
    for (const handler of list) handler.metrics = backend.metrics.api('kafka', handler.api.name);
    for (const { sessions } of this.#listeners) {
      sessions.countIn(backend.metrics);
      if (sessions.sasl !== undefined) {
        sessions.authenticateBy(backend.authenticators.get(sessions.name));
      }
    }
    describePipeline(backend.metrics, pipeline);
    pipeline.setHandlers(list);
    pipeline.quotas = backend.quotas.clients;
    this.#connectionQuotas = backend.quotas.connections;
    const { authorizer, partitions, autoCreateTopics } = backend;
    if (authorizer !== undefined) {
      pipeline.gate = new AuthorizationGate({ authorizer, image: () => partitions.image, autoCreateTopics });
    }
    this.#serving = true;
    for (const session of pipeline.sessions) session.serve();
  }

  renewCertificates(): void {
    for (const { bound } of this.#listeners) bound.renewTls();
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#sweepTimer?.cancel();
    const closed = Promise.all(this.#listeners.map(({ bound }) => bound.close()));
    for (const session of this.#pipeline.sessions) session.close('flush');
    await closed;
  }

  #failedHandshake({ name, counters }: SessionListener, { remoteAddress, reason }: HandshakeFailure): void {
    counters.failedHandshakes++;
    this.#pipeline.limitedLog.warn({ listener: name, remoteAddress, reason }, 'a TLS handshake failed');
  }

  /** Before anybody is served nobody is counted: it waits for the broker already. */
  #arrival(address: string): Arrival {
    return this.#connectionQuotas?.accepted(address) ?? { kind: 'serve' };
  }

  #judge(session: Session | undefined, { remoteAddress }: Connection): void {
    const arrival = this.#arrival(remoteAddress);
    if (arrival.kind === 'delay') session?.throttle(arrival.ms);
    else if (arrival.kind === 'close') session?.closeAfter(arrival.afterMs);
  }

  /** Undefined for who is nobody. */
  #accept(listener: SessionListener, connection: Connection): Session | undefined {
    const pipeline = this.#pipeline;
    const { peerCertificate } = connection;
    const principal = listener.principalOf(peerCertificate);
    if (principal === undefined) {
      const { remoteAddress } = connection;
      const fields = { listener: listener.name, remoteAddress };
      pipeline.limitedLog.warn(fields, 'refused a client: no rule makes a name of its certificate');
      listener.counters.refused++;
      connection.destroy();
      return undefined;
    }
    const facts = new Facts(this.#nextConnectionId++, listener, connection, {
      principal,
      clock: pipeline.clock,
    });
    const session = new Session(pipeline, listener, connection, facts);
    pipeline.sessions.add(session);
    listener.counters.open++;
    listener.counters.accepted++;
    session.start(this.#serving);
    return session;
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#options.platform.timers.after(SWEEP_MS, () => {
      const nowMs = this.#options.platform.clock.monotonicMs();
      for (const session of this.#pipeline.sessions) session.sweep(nowMs);
      if (!this.#closing) this.#sweepLater();
    });
  }
}

class Facts implements ConnectionFacts {
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly listener: string;
  readonly sasl: SaslDialogue | undefined;
  principal: Principal;

  constructor(
    id: number,
    listener: SessionListener,
    connection: Connection,
    { principal, clock }: { readonly principal: Principal; readonly clock: Clock },
  ) {
    this.principal = principal;
    this.id = id;
    this.remoteAddress = connection.remoteAddress;
    this.remotePort = connection.remotePort;
    this.listener = listener.name;
    if (listener.sasl === undefined) return;
    this.sasl = new SaslDialogue({
      authenticator: () => listener.authenticator,
      clock,
      reauthenticateMs: listener.sasl.reauthenticateMs,
      address: connection.remoteAddress,
      authenticated: (known) => void (this.principal = known),
    });
  }
}

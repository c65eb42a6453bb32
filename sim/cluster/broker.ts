import type { LogConfig } from '../../packages/broker/src/storage/types.ts';
import type { AppendResult } from '../../packages/broker/src/replication/types.ts';
import {
  type IsrStore,
  type LocalPartition,
  type PartitionRecord,
  ReplicaFetcher,
  type ReplicaFetchRequest,
  type ReplicaFetchResponse,
  type ReplicaTransport,
} from '../../packages/broker/src/replication/index.ts';
import type { SimNode, SimWorld } from '../platform/world.ts';
import { BrokerProcess } from '../workload/broker-node.ts';
import type { Acks } from '../workload/producer.ts';
import type { Links } from './links.ts';
import { type MetadataSim, MIN_ISR } from './metadata.ts';

export const STORE = 'store';
const HEARTBEAT_MS = 100;
const TICK_MS = 150;
const REPLICA_LAG_MS = 300;
const STORE_TIMEOUT_MS = 300;

export function nameOf(id: number): string {
  return `broker ${id}`;
}

/** One run of a broker of the cluster: it registers, hears of records, leads or follows. */
export class ClusterBroker {
  readonly id: number;
  readonly brokerEpoch: number;
  readonly process: BrokerProcess;
  readonly partition: LocalPartition;
  /** Lives as long as the process. */
  readonly fetcher: ReplicaFetcher;
  readonly #world: SimWorld;
  readonly #links: Links;
  readonly #metadata: MetadataSim;

  constructor(options: {
    readonly id: number;
    readonly brokerEpoch: number;
    readonly process: BrokerProcess;
    readonly world: SimWorld;
    readonly links: Links;
    readonly metadata: MetadataSim;
    readonly config: LogConfig;
    readonly peer: (id: number) => ClusterBroker | undefined;
  }) {
    this.id = options.id;
    this.brokerEpoch = options.brokerEpoch;
    this.process = options.process;
    this.#world = options.world;
    this.#links = options.links;
    this.#metadata = options.metadata;
    const { platform } = options.process;
    const isrStore: IsrStore = {
      alterIsr: (_id, proposal) => this.#fromStore((reply) => reply(this.#metadata.alterIsr(proposal))),
    };
    this.partition = options.process.partition({
      log: options.process.log(0, options.config),
      brokerId: this.id,
      brokerEpoch: this.brokerEpoch,
      minInsyncReplicas: MIN_ISR,
      replicaLagTimeMaxMs: REPLICA_LAG_MS,
      isrStore,
    });
    const transport: ReplicaTransport = {
      fetch: (leader, request) => this.#fetch(options.peer, leader, request),
    };
    this.fetcher = new ReplicaFetcher({
      partition: this.partition,
      transport,
      timers: platform.timers,
      logger: platform.logger,
    });
    this.#every(HEARTBEAT_MS, () => this.#heartbeat());
    this.#every(TICK_MS, () => this.partition.tick());
    this.#heartbeat();
  }

  get alive(): boolean {
    return this.process.alive;
  }

  /** The end of a request's way to this broker: runs as an event of its process, if that still lives. */
  receive(handle: () => void): void {
    if (this.alive) this.process.platform.timers.after(0, handle);
  }

  produce(batch: Uint8Array, acks: Acks, done: (result: AppendResult) => void): void {
    const nowMs = this.process.platform.clock.nowMs();
    this.partition.append(batch, { requiredAcks: acks, nowMs, origin: 'client' }, done);
  }

  learn(record: PartitionRecord): void {
    this.partition.applyRecord(record);
  }

  /** A follower's fetch, held back until there is data or the wait is over. */
  serveFetch(request: ReplicaFetchRequest, reply: (response: ReplicaFetchResponse) => void): void {
    const response = this.partition.replicaFetch(request);
    const empty = response.kind === 'records' && response.bytes.length === 0;
    if (!empty || request.waitMsMax === 0) {
      reply(response);
      return;
    }
    const finish = (): void => {
      unsubscribe();
      timer.cancel();
      reply(this.partition.replicaFetch(request));
    };
    const unsubscribe = this.partition.subscribeLog(() => {
      if (this.partition.logEndOffset > request.fetchOffset || !this.partition.isLeader) finish();
    });
    const timer = this.process.platform.timers.after(Math.min(request.waitMsMax, 100), finish);
  }

  #fetch(
    peer: (id: number) => ClusterBroker | undefined,
    leader: number,
    request: ReplicaFetchRequest,
  ): Promise<ReplicaFetchResponse> {
    return this.#links.request<ReplicaFetchResponse>(
      nameOf(this.id),
      nameOf(leader),
      (reply) => {
        const target = peer(leader);
        target?.receive(() => target.serveFetch(request, reply));
      },
      { mayRepeat: true, hears: () => this.alive },
    );
  }

  #heartbeat(): void {
    if (this.#links.isPaused(nameOf(this.id))) return;
    // A heartbeat brings the newest record back, as a watch that lists again does.
    this.#fromStore<PartitionRecord>((reply) => {
      this.#metadata.heartbeat(this.id, this.brokerEpoch);
      reply(this.#metadata.record);
    }).then(
      (record) => this.receive(() => this.learn(record)),
      () => this.#world.count('heartbeat.lost'),
    );
  }

  #fromStore<T>(handle: (reply: (answer: T) => void) => void): Promise<T> {
    return this.#links.request<T>(nameOf(this.id), STORE, handle, {
      mayRepeat: true,
      timeoutMs: STORE_TIMEOUT_MS,
      hears: () => this.alive,
    });
  }

  #every(intervalMs: number, callback: () => void): void {
    const run = (): void => {
      if (!this.#links.isPaused(nameOf(this.id))) callback();
      this.process.platform.timers.after(intervalMs, run);
    };
    this.process.platform.timers.after(intervalMs, run);
  }
}

/** Rejects, or never settles, when the process dies meanwhile. */
export function startProcess(node: SimNode, config: LogConfig): Promise<BrokerProcess> {
  return BrokerProcess.open(node, node.boot(), () => config);
}

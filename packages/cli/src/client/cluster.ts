import { setTimeout as sleep } from 'node:timers/promises';
import {
  findCoordinator,
  kafkaErrors,
  metadata,
  type Api,
  type MetadataResponse,
} from '@polylog/kafka-protocol';
import { CliError, isRetriable, protocolError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { didYouMean } from '../suggest.ts';
import { formatAddress, type Address } from './address.ts';
import type { ClientSecurity } from './security.ts';
import { CLOSED, Connection, ConnectionError } from './connection.ts';

const RETRY_PAUSE_MS = 100;
/** Metadata by name up to here: v13 adds an error code that only clients which live long need. */
const METADATA_VERSION_MAX = 12;
/** FindCoordinator asks for many keys from here on (KIP-699). */
const MANY_COORDINATORS_SINCE = 4;
const GROUP_COORDINATOR = 0;

export interface PartitionInfo {
  readonly partition: number;
  /** -1: none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly offlineReplicas: readonly number[];
}

export interface TopicInfo {
  readonly name: string;
  readonly id: string;
  readonly internal: boolean;
  /** In the order of their numbers. */
  readonly partitions: readonly PartitionInfo[];
}

export interface BrokerInfo {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

export interface ClusterOptions {
  readonly bootstrap: readonly Address[];
  readonly security?: ClientSecurity | undefined;
  /** For one request, retries included. */
  readonly timeoutMs: number;
}

export interface RequestTarget {
  /** Broker id; any broker if left out. */
  readonly node?: number | undefined;
  readonly versionMax?: number;
}

/** The brokers as one program sees them: finds them through the bootstrap addresses, keeps one connection to each. */
export class Cluster {
  readonly timeoutMs: number;
  readonly #bootstrap: readonly Address[];
  readonly #security: ClientSecurity | undefined;
  readonly #connections = new Map<string, Promise<Connection>>();
  #brokers: readonly BrokerInfo[] = [];
  #clusterId: string | null = null;
  #controllerId = -1;

  constructor(options: ClusterOptions) {
    this.#bootstrap = options.bootstrap;
    this.#security = options.security;
    this.timeoutMs = options.timeoutMs;
  }

  /** As of the last metadata. */
  get brokers(): readonly BrokerInfo[] {
    return this.#brokers;
  }

  get clusterId(): string | null {
    return this.#clusterId;
  }

  get controllerId(): number {
    return this.#controllerId;
  }

  async close(): Promise<void> {
    const open = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(open.map(async (one) => (await one.catch(() => undefined))?.close()));
  }

  /** Ends all connections at once, and with them all requests. */
  destroy(): void {
    for (const one of this.#connections.values()) {
      one.then(
        (connection) => connection.destroy(),
        () => undefined,
      );
    }
  }

  /**
   * Sends one request to a broker and reads the answer; its error codes are up to the caller.
   *
   * @throws CliError if the broker cannot be reached or does not answer
   */
  async request<Q, QI, S, SI>(api: Api<Q, QI, S, SI>, body: QI, target: RequestTarget = {}): Promise<S> {
    try {
      const connection = await this.connection(target.node);
      const { versionMax = api.versionMax } = target;
      return await connection.request(api, body, { versionMax, timeoutMs: this.timeoutMs });
    } catch (error) {
      if (error instanceof ConnectionError) throw unreachable([error]);
      throw error;
    }
  }

  /** Throws ConnectionError for a broker of a known address, CliError if none of the bootstrap addresses answers. */
  async connection(node?: number): Promise<Connection> {
    if (node === undefined) return this.#anyConnection();
    const broker = this.#brokers.find(({ id }) => id === node);
    if (broker === undefined) {
      const message = `no broker ${node} in the cluster`;
      throw new CliError(message, { code: 'UNKNOWN_BROKER', exitCode: EXIT.notFound });
    }
    return this.#connectionTo(broker);
  }

  /** All topics, or those named; unknown names have an error code in the answer. */
  async metadata(
    topics: readonly string[] | null,
    options: { readonly create?: boolean } = {},
  ): Promise<MetadataResponse> {
    const answer = await this.request(
      metadata,
      {
        topics: topics?.map((name) => ({ name })) ?? null,
        allowAutoTopicCreation: options.create ?? false,
        includeTopicAuthorizedOperations: false,
      },
      { versionMax: METADATA_VERSION_MAX },
    );
    this.#brokers = answer.brokers
      .map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack }))
      .toSorted((a, b) => a.id - b.id);
    this.#clusterId = answer.clusterId;
    this.#controllerId = answer.controllerId;
    return answer;
  }

  /** All topics, by name. */
  async topics(): Promise<TopicInfo[]> {
    const answer = await this.metadata(null);
    return answer.topics.map(topicInfo).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Topics by name, in the order given.
   *
   * @throws CliError (not found) for the first that is unknown, with a similar name if there is one
   */
  async topicsNamed(names: readonly string[]): Promise<TopicInfo[]> {
    const answer = await this.#retrying(
      () => this.metadata(names),
      (one) => one.topics.find(({ errorCode }) => isTransient(errorCode)),
    );
    const found = new Map(answer.topics.map((topic) => [topic.name, topic]));
    const infos: TopicInfo[] = [];
    for (const name of names) {
      const topic = found.get(name);
      if (topic === undefined || topic.errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code) {
        throw await this.unknownTopic(name);
      }
      if (topic.errorCode !== 0) throw protocolError(topic.errorCode, `topic ${name}`);
      infos.push(topicInfo(topic));
    }
    return infos;
  }

  async topic(name: string): Promise<TopicInfo> {
    const [info] = await this.topicsNamed([name]);
    return info!;
  }

  async unknownTopic(name: string): Promise<CliError> {
    const known = (await this.metadata(null)).topics.map((topic) => topic.name ?? '');
    return new CliError(`no topic ${name}${didYouMean(name, known)}`, {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      exitCode: EXIT.notFound,
      hint: `\`polylog topic list\` shows the topics, \`polylog topic create ${name}\` makes one.`,
    });
  }

  /** The broker that coordinates a group. Throws CliError. */
  async coordinatorOf(group: string): Promise<number> {
    if (this.#brokers.length === 0) await this.metadata([]);
    const version = (await this.connection()).versionOf(findCoordinator);
    const body =
      version >= MANY_COORDINATORS_SINCE
        ? { key: '', coordinatorKeys: [group] }
        : { key: group, coordinatorKeys: [] };
    const answer = await this.#retrying(
      async () => this.request(findCoordinator, { keyType: GROUP_COORDINATOR, ...body }),
      (one) => {
        const found = one.coordinators[0] ?? one;
        return found.errorCode === kafkaErrors.COORDINATOR_NOT_AVAILABLE.code ? found : undefined;
      },
    );
    const { errorCode, errorMessage, nodeId } = answer.coordinators[0] ?? answer;
    if (errorCode !== 0) throw protocolError(errorCode, `the coordinator of group ${group}`, errorMessage);
    if (!this.#brokers.some(({ id }) => id === nodeId)) await this.metadata([]);
    return nodeId;
  }

  /** Repeats a request while `failing` names a part of its answer with a transient error, until the time is over. */
  async #retrying<T>(
    ask: () => Promise<T>,
    failing: (answer: T) => { readonly errorCode: number } | undefined,
  ): Promise<T> {
    const endMs = performance.now() + this.timeoutMs;
    while (true) {
      const answer = await ask();
      if (failing(answer) === undefined || performance.now() > endMs) return answer;
      await sleep(RETRY_PAUSE_MS);
    }
  }

  async #anyConnection(): Promise<Connection> {
    for (const one of this.#connections.values()) {
      const connection = await one.catch(() => undefined);
      if (connection?.isOpen === true) return connection;
    }
    const failures: ConnectionError[] = [];
    for (const address of this.#bootstrap) {
      try {
        return await this.#connectionTo(address);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        failures.push(error);
      }
    }
    throw unreachable(failures);
  }

  async #connectionTo(address: Address): Promise<Connection> {
    const key = formatAddress(address);
    const known = await this.#connections.get(key)?.catch(() => undefined);
    if (known?.isOpen === true) return known;
    const opening = Connection.open(address, this.timeoutMs, this.#security);
    this.#connections.set(key, opening);
    return opening;
  }
}

/** A topic that is being created has no leader for a moment; an unknown one stays unknown. */
function isTransient(errorCode: number): boolean {
  return isRetriable(errorCode) && errorCode !== kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code;
}

function topicInfo(topic: MetadataResponse['topics'][number]): TopicInfo {
  return {
    name: topic.name ?? '',
    id: topic.topicId,
    internal: topic.isInternal,
    partitions: topic.partitions
      .map((partition) => ({
        partition: partition.partitionIndex,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicaNodes,
        isr: partition.isrNodes,
        offlineReplicas: partition.offlineReplicas,
      }))
      .toSorted((a, b) => a.partition - b.partition),
  };
}

const UNREACHABLE = 'UNREACHABLE';

/** Whether no broker answered: the same may work later. */
export function isUnreachable(error: unknown): error is CliError {
  return error instanceof CliError && error.code === UNREACHABLE;
}

/** One sentence for all addresses that were tried. */
export function unreachable(failures: readonly ConnectionError[]): CliError {
  const parts = failures.map(({ address, message }) =>
    message === 'nobody listens'
      ? `nobody listens at ${formatAddress(address)}`
      : `${formatAddress(address)} ${message}`,
  );
  return new CliError(parts.join('; '), {
    code: UNREACHABLE,
    exitCode: EXIT.unreachable,
    hint: failures.every(({ message }) => message === CLOSED)
      ? 'A listener with TLS or a login closes the connections of those who come without: see --tls-ca and --username.'
      : 'Start a broker with `polylog start`, or name another one with --bootstrap HOST:PORT.',
    cause: failures[0],
  });
}

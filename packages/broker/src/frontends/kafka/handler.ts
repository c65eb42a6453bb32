import { includes, type Api, type Shape } from '@polylog/kafka-protocol';

import type { LiveConfig } from '../../config/live-config.ts';
import type { ProducerIds } from '../../cluster/producer-ids.ts';
import type { SectionWriter } from '../../cluster/section-writer.ts';
import type { GroupCoordinator } from '../../groups/types.ts';
import type { ApiMetrics, Metrics } from '../../metrics/types.ts';
import type { TxnMarkerWriter } from '../../peer/types.ts';
import type { Clock, Random, Timers } from '../../platform/clock.ts';
import type { Compute } from '../../platform/compute.ts';
import type { Logger } from '../../platform/log.ts';
import type { ClientAllowance } from '../../quotas/client-quotas.ts';
import type { Quotas } from '../../quotas/service.ts';
import type { Authenticator } from '../../security/authenticator.ts';
import type { Principal } from '../../security/principal.ts';
import type { Authorizer } from '../../security/authorizer.ts';
import type { Access } from '../../security/types.ts';
import type { UserStore } from '../../security/users.ts';
import type { DataFolder, HostedPartitions, TopicAdmin } from '../../topics/types.ts';
import type { TransactionCoordinator } from '../../transactions/types.ts';
import type { SaslDialogue } from './sasl-dialogue.ts';
import type { KafkaLimits } from './limits.ts';

/**
 * What handlers are built from: each handler file exports one function `(services) => KafkaHandler`, and handlers.ts lists
 * them. Whoever adds a handler that needs more adds it here.
 */
export interface KafkaServices {
  readonly brokerId: number;
  readonly partitions: HostedPartitions;
  readonly admin: TopicAdmin;
  readonly sections: SectionWriter;
  readonly quotas: Quotas;
  readonly producerIds: ProducerIds;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  /** Writes the ends of transactions to partitions of this broker. */
  readonly markers: TxnMarkerWriter;
  /** Undefined where no access rules are in force. */
  readonly authorizer: Authorizer | undefined;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly compute: Compute;
  readonly logger: Logger;
  readonly limits: KafkaLimits;
  /** `auto.create.topics.enable`. */
  readonly autoCreateTopics: boolean;
  readonly config: LiveConfig;
  readonly dataFolder: DataFolder;
  readonly users: UserStore;
  /** Of each listener that asks for SASL. */
  readonly authenticators: ReadonlyMap<string, Authenticator>;
  /** `connection.failed.authentication.delay.ms`. */
  readonly failedAuthenticationDelayMs: number;
}

/** Facts about the connection a request came from. */
export interface ConnectionFacts {
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Name of the listener, the key of BrokerImage.endpoints. */
  readonly listener: string;
  /** Who it acts as; the session changes it when the peer has said who it is. */
  readonly principal: Principal;
  /** Where the listener asks for SASL: how far that has come. */
  readonly sasl: SaslDialogue | undefined;
}

/**
 * Who works on a request over more than one turn. An object, since a closure in its place, made for each fetch, had whole requests survive
 * collections of the young generation; why V8 does that is not known.
 */
export interface Waiter {
  /** Nobody waits for the response any more. */
  abandoned(): void;
}

/**
 * One request on its way to its response. A handler either returns the response, or a promise of it, or `undefined`: then it
 * calls exactly one of `respond`, `respondNothing` and `closeConnection` later, in any turn.
 */
export interface Exchange<S> {
  readonly version: number;
  readonly correlationId: number;
  /** Empty if the client sent none. */
  readonly clientId: string;
  readonly connection: ConnectionFacts;
  /** For what the table of permissions leaves to the handler, and for what it tells clients of theirs. */
  readonly access: Access;
  /** Whether the connection is gone: nobody will read the response, and long polls should end. */
  readonly abandoned: boolean;
  /** What its sender may do; undefined where no quota is set. */
  readonly allowance: ClientAllowance | undefined;
  /** Above 0 its connection is over a quota, and is not read from for so long; the response says it. */
  readonly throttleMs: number;
  /** Makes the connection wait at least so long. Before the response, so that it says so. */
  throttle(ms: number): void;
  /** Is told once when the connection goes before the response does; for long polls. */
  waiter: Waiter | undefined;
  respond(body: S): void;
  /**
   * Responds with a body whose record fields are parts of files. Every `records` field that is a hole from `body` is
   * filled while the socket drains; the pipeline releases all holes' slices, whatever becomes of the connection.
   */
  respondWithHoles(body: S, holes: readonly RecordsHole[]): void;
  /** The request asks for no response (Produce with acks=0). */
  respondNothing(): void;
  /** No response can say it: the reason goes to the log. */
  closeConnection(reason: string): void;
  /** The connection ends behind the response, and nothing that comes meanwhile is looked at; the reason goes to the log. */
  closeAfterResponse(reason: string, detail: Readonly<Record<string, unknown>>): void;
  /**
   * Stops the parsing of this connection's further requests, and keeps this one's bytes, until the end of the turn in which the returned
   * function is called (once): for work that has to keep its order but leaves the turn. Only from within `handle`.
   */
  holdFurtherRequests(): () => void;
}

/**
 * Record bytes that are not in memory yet. `placeholder` stands for them while the body is encoded: it has their length,
 * its bytes mean nothing.
 */
export interface RecordsHole {
  readonly placeholder: Uint8Array;
  readonly source: RecordsSource;
}

/** The part of LogSlice that a response needs. */
export interface RecordsSource {
  readonly bytes: number;
  readonly hot: boolean;
  readInto(target: Uint8Array, at: number): void;
  readIntoAsync(target: Uint8Array, at: number): Promise<void>;
  release(): void;
}

export interface HandlerDefinition<Q, S> {
  readonly api: Api<Q, never, unknown, S>;
  /** First and last version that is accepted; within those of the schema. */
  readonly versions: readonly [min: number, max: number];
  /** What ApiVersions shows as the first version, if that differs (KAFKA-18659). */
  readonly advertisedMin?: number;
  /**
   * Views of the request's bytes (records, bytes fields) are valid until `handle` returns, or, with `keepsBytes`, to the end of the
   * turn. Whoever needs them longer copies them.
   */
  readonly keepsBytes?: boolean;
  /** Its bytes count for `producer_byte_rate`. */
  readonly isProduce?: boolean;
  /** Each entry of a request is work, so that one may have `adminRequestEntriesMax` of them only. */
  readonly isAdmin?: boolean;
  /**
   * A throw, or a rejection, of BrokerError is answered with `failure`; anything else is a bug: it is logged with its stack, and the
   * connection is closed.
   */
  handle(request: Q, exchange: Exchange<S>): S | Promise<S> | undefined;
  /** The response that says that the whole request failed, with Kafka's error code. */
  failure(request: Q, errorCode: number, message: string, version: number): S;
  /** The refusal of a version that is not served, where clients can read one; else the connection is closed, as Kafka does. */
  unsupportedVersion?(version: number): { readonly version: number; readonly body: S };
}

/** A handler with its types erased, as the pipeline sees it. */
export interface KafkaHandler {
  readonly api: Api;
  readonly versionMin: number;
  readonly versionMax: number;
  readonly advertisedMin: number;
  readonly keepsBytes: boolean;
  readonly isAdmin: boolean;
  readonly isProduce: boolean;
  /** Whether the response has a field for it in that version. */
  saysThrottleTime(version: number): boolean;
  handle(request: unknown, exchange: Exchange<unknown>): unknown;
  failure(request: unknown, errorCode: number, message: string, version: number): unknown;
  readonly unsupportedVersion:
    | ((version: number) => { readonly version: number; readonly body: unknown })
    | undefined;
  /** Set when the front end begins to serve. */
  metrics: ApiMetrics;
}

export function defineHandler<Q, S>(definition: HandlerDefinition<Q, S>): KafkaHandler {
  const { api, versions } = definition;
  if (versions[0] < api.versionMin || versions[1] > api.versionMax) {
    throw new Error(`${api.name}: versions ${versions.join('-')} exceed the schema's`);
  }
  return {
    api,
    versionMin: versions[0],
    versionMax: versions[1],
    advertisedMin: definition.advertisedMin ?? versions[0],
    keepsBytes: definition.keepsBytes ?? false,
    isAdmin: definition.isAdmin ?? false,
    isProduce: definition.isProduce ?? false,
    saysThrottleTime: (version) => saysThrottleTime(api.response.type.shape, version),
    // The pipeline passes what `api` decoded, and encodes what comes back with the same `api`.
    handle: (request, exchange) => definition.handle(request as Q, exchange),
    failure: (request, errorCode, message, version) =>
      definition.failure(request as Q, errorCode, message, version),
    unsupportedVersion: definition.unsupportedVersion?.bind(definition),
    metrics: { observe() {}, errors: 0 },
  };
}

function saysThrottleTime(shape: Shape, version: number): boolean {
  if (shape.kind !== 'struct') return false;
  const field = shape.fields['throttleTimeMs'];
  return field !== undefined && includes(field.versions, version);
}

import type { BrokerSettings } from '../../config/broker-config.ts';

/** Bounds of the Kafka front end. Every field names its unit; the setting behind it is named where there is one. */
export interface KafkaLimits {
  /** `socket.request.max.bytes`: a frame that claims more closes the connection before anything is allocated. */
  readonly requestBytesMax: number;
  /** `queued.max.request.bytes`: frames being assembled, and copies that wait for Compute, of all connections together. */
  readonly requestBytesInFlightMax: number;
  /** `connection.requests.max`: requests of one connection without a response yet; more stay in the socket. */
  readonly requestsInFlightPerConnectionMax: number;
  /**
   * `queued.max.response.bytes`: record bytes read into memory for responses that the sockets have not taken yet, of all connections
   * together; and once more for encoded responses.
   */
  readonly responseBytesInFlightMax: number;
  /** Encoded bytes that one connection may hold while all together hold too many. */
  readonly encodedBytesGuaranteed: number;
  /** Bytes not yet taken by one connection's socket, above which its further requests wait. */
  readonly unsentBytesPerConnectionMax: number;
  /** `connection.turn.bytes`: what of one connection is parsed in one turn; the rest waits for the next, so that no connection keeps the others waiting. */
  readonly parseBytesPerTurnMax: number;
  /** `connections.max.idle.ms`. */
  readonly idleMs: number;
  /** `connection.handshake.timeout.ms`: from the connection's start to its first complete request. */
  readonly handshakeMs: number;
  /** `connection.stall.timeout.ms`: a frame of which a part has arrived must grow at the least rate within each such time. */
  readonly frameProgressMs: number;
  /** `connection.drain.timeout.ms`: what was written must be taken by the peer within it. */
  readonly drainMs: number;
  /** UTF-16 units. */
  readonly clientIdLengthMax: number;
  /** Array elements of one request: topics, partitions, and what belongs to them, together. More closes the connection. */
  readonly requestEntriesMax: number;
  /** The same of a request to an admin API, where each entry is work: more is INVALID_REQUEST. */
  readonly adminRequestEntriesMax: number;
  /** `fetch.max.bytes`: the most one Fetch response carries, but for a first batch that is larger. */
  readonly fetchResponseBytesMax: number;
  /** `max.incremental.fetch.session.cache.slots`. */
  readonly fetchSessionsMax: number;
  /** Partitions in all fetch sessions together. */
  readonly fetchSessionPartitionsMax: number;
  /** A fetch session that was used within this time is not evicted for another. */
  readonly fetchSessionEvictionMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Those that have no setting. */
const FIXED_LIMITS = {
  // Below it a socket is kept busy; above it, only memory fills. What a peer reads no faster than that does not depend on its size.
  unsentBytesPerConnectionMax: 4 * MIB,
  // Some thousand small answers: who reads them is not slowed by those who do not.
  encodedBytesGuaranteed: 64 * KIB,
  // Names for logs and metrics; Kafka takes up to 32767 characters, but its clients send some tens.
  clientIdLengthMax: 1024,
  // Ten times what clients of 10,000 partitions send.
  requestEntriesMax: 100_000,
  // Answers are larger: CreateTopics has some forty configs for each topic, and decoders take a million elements, ours too.
  adminRequestEntriesMax: 20_000,
  // Some 200 bytes each: what max.incremental.fetch.session.cache.slots sessions take is bounded whatever they hold.
  fetchSessionPartitionsMax: 1_000_000,
  // As in Kafka, where it is no setting either.
  fetchSessionEvictionMs: 120_000,
} as const;

/** What the broker's settings say; those that have Kafka's name have Kafka's default. */
export function kafkaLimitsOf(settings: BrokerSettings): KafkaLimits {
  return {
    ...FIXED_LIMITS,
    requestBytesMax: settings['socket.request.max.bytes'],
    requestBytesInFlightMax: settings['queued.max.request.bytes'],
    requestsInFlightPerConnectionMax: settings['connection.requests.max'],
    responseBytesInFlightMax: settings['queued.max.response.bytes'],
    parseBytesPerTurnMax: settings['connection.turn.bytes'],
    idleMs: settings['connections.max.idle.ms'],
    handshakeMs: settings['connection.handshake.timeout.ms'],
    frameProgressMs: settings['connection.stall.timeout.ms'],
    drainMs: settings['connection.drain.timeout.ms'],
    fetchResponseBytesMax: settings['fetch.max.bytes'],
    fetchSessionsMax: settings['max.incremental.fetch.session.cache.slots'],
  };
}

/** Below it a frame in progress counts as stalled. */
export const FRAME_BYTES_PER_SECOND_MIN = 1 * KIB;
/** The same while others wait for the memory that such a frame holds: a slow link manages it, a peer that only holds on does not. */
export const FRAME_UNDER_PRESSURE_BYTES_PER_SECOND_MIN = 64 * KIB;
/** For so long a frame must have been too slow before it is given up for the others. */
export const FRAME_UNDER_PRESSURE_MS = 2000;
/** The same for responses that a peer does not take while all connections together hold too many. */
export const UNSENT_UNDER_PRESSURE_MS = 5000;

/** Bounds of the Kafka front end. Every field names its unit; a config key that sets it is named where there is one. */
export interface KafkaLimits {
  /** `socket.request.max.bytes`: a frame that claims more closes the connection before anything is allocated. */
  readonly requestBytesMax: number;
  /** `queued.max.request.bytes`: frames being assembled, and copies that wait for Compute, of all connections together. */
  readonly requestBytesInFlightMax: number;
  /** Requests of one connection without a response yet; more stay in the socket. */
  readonly requestsInFlightPerConnectionMax: number;
  /** Record bytes read into memory for responses that the sockets have not taken yet, of all connections together. */
  readonly responseBytesInFlightMax: number;
  /** Bytes not yet taken by one connection's socket, above which its further requests wait. */
  readonly unsentBytesPerConnectionMax: number;
  /** What of one connection is parsed in one turn; the rest waits for the next, so that no connection keeps the others waiting. */
  readonly parseBytesPerTurnMax: number;
  /** `connections.max.idle.ms`. */
  readonly idleMs: number;
  /** From the connection's start to its first complete request. */
  readonly handshakeMs: number;
  /** A frame of which a part has arrived must grow at the least rate within each such time. */
  readonly frameProgressMs: number;
  /** What was written must be taken by the peer within it. */
  readonly drainMs: number;
  readonly clientIdBytesMax: number;
  /** Topics and partitions in one request, each. */
  readonly entriesPerRequestMax: number;
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

export const DEFAULT_KAFKA_LIMITS: KafkaLimits = {
  requestBytesMax: 100 * MIB,
  requestBytesInFlightMax: 256 * MIB,
  requestsInFlightPerConnectionMax: 1000,
  responseBytesInFlightMax: 64 * MIB,
  unsentBytesPerConnectionMax: 4 * MIB,
  parseBytesPerTurnMax: 1 * MIB,
  idleMs: 600_000,
  handshakeMs: 30_000,
  frameProgressMs: 30_000,
  drainMs: 60_000,
  clientIdBytesMax: 1024,
  entriesPerRequestMax: 100_000,
  fetchResponseBytesMax: 55 * MIB,
  fetchSessionsMax: 1000,
  fetchSessionPartitionsMax: 1_000_000,
  fetchSessionEvictionMs: 120_000,
};

/** Below it a frame in progress counts as stalled. */
export const FRAME_BYTES_PER_SECOND_MIN = 1 * KIB;
/** The same while others wait for the memory that such a frame holds: a slow link manages it, a peer that only holds on does not. */
export const FRAME_UNDER_PRESSURE_BYTES_PER_SECOND_MIN = 64 * KIB;
/** For so long a frame must have been too slow before it is given up for the others. */
export const FRAME_UNDER_PRESSURE_MS = 2000;

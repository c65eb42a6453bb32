import { fetch, ZERO_UUID, type FetchRequest, type FetchResponseInit } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import { DiskError } from '../../../platform/disk.ts';
import { LongPoll, releaseOutcomes, type FetchedPartition, type FetchTarget } from '../../../topics/fetch.ts';
import { lookUpById, lookUpByName, type Lookup } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import {
  FetchSessions,
  NO_SESSION,
  type FetchContext,
  type FetchEntry,
  type FetchSession,
} from '../fetch-sessions.ts';
import {
  defineHandler,
  type Exchange,
  type KafkaHandler,
  type KafkaServices,
  type RecordsHole,
  type Waiter,
} from '../handler.ts';
import { HOLE_BYTES_MIN, holeOf } from '../holes.ts';
import { leaderHints, leaderOf } from '../leader-hints.ts';

/**
 * Fetch v4-v18, for consumers.
 *
 * - Topics by name until v12, by id from v13 (KIP-516). Incremental sessions from v7 (KIP-227), see fetch-sessions.ts.
 * - Waits for `minBytes` up to `maxWaitMs`; an error in any partition ends the wait. An offset at the log's end is empty, beyond it error 1.
 * - The first partition that has records gives at least one whole batch, however small the limits; only whole batches are sent.
 * - Topics that may not be read are answered 29 each, at every fetch of a session.
 * - Leader epochs are checked (KIP-320); a `lastFetchedEpoch` that diverges is told so (KIP-595, v12+).
 * - read_committed reads to the last stable offset, and tells the aborted transactions that the records belong to.
 * - NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH name the leader (v12+) and its address (v16+, KIP-951).
 * - Who is over its `consumer_byte_rate` or `request_percentage` is answered without records, and with the time to wait (KIP-219).
 * - Records are parts of files: they go out as the socket drains, never as a whole in memory.
 *
 * Gaps: followers (replicaId >= 0) are refused with INVALID_REQUEST until brokers replicate over the network; there is no fetching from
 * followers, so the preferred read replica (KIP-392) is always -1.
 */
export function fetchHandler(services: KafkaServices): KafkaHandler {
  const sessions = new FetchSessions(services);
  return defineHandler({
    api: fetch,
    versions: [4, 18],
    handle(request, exchange) {
      if (Math.max(request.replicaId, request.replicaState.replicaId) >= 0) {
        throw new BrokerError('INVALID_REQUEST', 'this broker does not replicate to followers');
      }
      const context = sessions.open(request, exchange.version);
      if (context.kind === 'error') return topLevelError(context.errorCode);
      if (exchange.throttleMs > 0) return nothingYet(sessions, context);
      new PendingFetch(services, sessions, exchange, request, context).start();
      return undefined;
    },
    failure: (request, errorCode, _message, version) =>
      // The error of the whole answer came with sessions.
      version >= 7 ? topLevelError(errorCode) : perPartitionError(request, errorCode),
  });
}

type TopicResponse = FetchResponseInit['responses'][number];
type PartitionResponse = TopicResponse['partitions'][number];

const NO_RECORDS = new Uint8Array(0);
const NOT_ALLOWED: Lookup = { partition: undefined, error: 'TOPIC_AUTHORIZATION_FAILED' };

function topLevelError(errorCode: number): FetchResponseInit {
  return { errorCode, sessionId: NO_SESSION, responses: [] };
}

/** The answer that only says to wait (KIP-219): to a client that asked for everything, it gives no session either. */
function nothingYet(
  sessions: FetchSessions,
  { kind, session }: Exclude<FetchContext, { kind: 'error' }>,
): FetchResponseInit {
  if (kind === 'incremental') return { errorCode: NONE, sessionId: session.id, responses: [] };
  if (session !== undefined) sessions.takeBack(session);
  return topLevelError(NONE);
}

function perPartitionError(request: FetchRequest, errorCode: number): FetchResponseInit {
  return {
    responses: request.topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => errorEntry(partition, errorCode)),
    })),
  };
}

function errorEntry(partitionIndex: number, errorCode: number): PartitionResponse {
  return { partitionIndex, errorCode, highWatermark: -1, records: NO_RECORDS };
}

class PendingFetch implements Waiter {
  readonly #services: KafkaServices;
  readonly #sessions: FetchSessions;
  readonly #exchange: Exchange<FetchResponseInit>;
  readonly #context: Exclude<FetchContext, { kind: 'error' }>;
  readonly #committed: boolean;
  readonly #poll: LongPoll;

  constructor(
    services: KafkaServices,
    sessions: FetchSessions,
    exchange: Exchange<FetchResponseInit>,
    request: FetchRequest,
    context: Exclude<FetchContext, { kind: 'error' }>,
  ) {
    this.#services = services;
    this.#sessions = sessions;
    this.#exchange = exchange;
    this.#context = context;
    this.#committed = request.isolationLevel === 1;
    const byId = exchange.version >= 13;
    const targets = context.entries.map((entry) => this.#target(entry, byId));
    const bytesMax = Math.min(
      request.maxBytes,
      services.limits.fetchResponseBytesMax,
      exchange.allowance?.fetchBytesMax ?? Infinity,
    );
    this.#poll = new LongPoll(
      targets,
      {
        minBytes: Math.min(request.minBytes, bytesMax),
        maxWaitMs: request.maxWaitMs,
        bytesMax,
        isolation: this.#committed ? 'read_committed' : 'read_uncommitted',
      },
      { done: (outcomes) => this.#answer(outcomes), broken: (error) => this.#broken(error) },
    );
  }

  start(): void {
    this.#exchange.waiter = this;
    this.#poll.start(this.#services.timers);
  }

  abandoned(): void {
    this.#poll.cancel();
  }

  #target(entry: FetchEntry, byId: boolean): FetchTarget {
    const { partitions } = this.#services;
    const found = !this.#mayRead(entry, byId)
      ? NOT_ALLOWED
      : byId
        ? lookUpById(partitions, entry.topicId, entry.partition)
        : lookUpByName(partitions, entry.topic, entry.partition);
    return {
      partition: found.partition,
      error: found.error,
      offset: entry.fetchOffset,
      bytesMax: entry.partitionMaxBytes,
      leaderEpoch: entry.currentLeaderEpoch,
      lastFetchedEpoch: entry.lastFetchedEpoch,
    };
  }

  /** Asked with every fetch: the topics of a session were allowed when it began, and need not be any more. */
  #mayRead(entry: FetchEntry, byId: boolean): boolean {
    const { access } = this.#exchange;
    if (access.isUnlimited) return true;
    const topic = byId ? this.#services.partitions.image.topicById(entry.topicId)?.kafkaName : entry.topic;
    // A topic id that does not exist is answered as such.
    return topic === undefined || access.allows('READ', 'TOPIC', topic);
  }

  #answer(outcomes: FetchedPartition[]): void {
    if (this.#isOverQuota(outcomes)) {
      releaseOutcomes(outcomes);
      this.#exchange.respond(nothingYet(this.#sessions, this.#context));
      return;
    }
    const reading = readSmall(outcomes);
    if (reading === undefined) {
      this.#respond(outcomes, NOTHING_READ);
      return;
    }
    reading
      .catch((error: unknown) => {
        releaseOutcomes(outcomes);
        throw error;
      })
      .then((read) => this.#respond(outcomes, read))
      .catch((error: unknown) => this.#broken(error));
  }

  /** Then its records stay here, for the next fetch. */
  #isOverQuota(outcomes: readonly FetchedPartition[]): boolean {
    const { allowance } = this.#exchange;
    if (allowance === undefined) return false;
    let bytes = 0;
    for (const outcome of outcomes) if (outcome.kind === 'records') bytes += outcome.slice.bytes;
    const throttleMs = bytes === 0 ? 0 : allowance.fetched(bytes);
    if (throttleMs > 0) this.#exchange.throttle(throttleMs);
    return throttleMs > 0;
  }

  #broken(error: unknown): void {
    this.#services.logger.error({ error }, 'a fetch met a bug; its connection is closed');
    this.#exchange.closeConnection('internal error');
  }

  /** `read`: the bytes of small slices that had to be waited for, or undefined for those that could not be read. */
  #respond(
    outcomes: readonly FetchedPartition[],
    read: ReadonlyMap<FetchedPartition, Uint8Array | undefined>,
  ): void {
    const { entries, session } = this.#context;
    const responses: { topic: string; topicId: string; partitions: PartitionResponse[] }[] = [];
    const holes: RecordsHole[] = [];
    const withRecords: FetchEntry[] = [];
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index]!;
      const outcome = outcomes[index]!;
      const response = this.#entryResponse(entry, outcome, read, holes);
      const bytes = response.records?.length ?? 0;
      if (!this.#isNamed(session, entry, response, bytes)) continue;
      if (bytes > 0) withRecords.push(entry);
      let topic = responses.at(-1);
      if (topic === undefined || topic.topicId !== entry.topicId || topic.topic !== entry.topic) {
        topic = { topic: entry.topic, topicId: entry.topicId, partitions: [] };
        responses.push(topic);
      }
      topic.partitions.push(response);
    }
    // Those that gave records go behind those that did not, so that a full answer does not always have the same ones.
    if (session !== undefined) for (const entry of withRecords) session.moveToEnd(entry);
    this.#exchange.respondWithHoles(
      {
        errorCode: NONE,
        sessionId: session?.id ?? NO_SESSION,
        responses,
        ...leaderHints(
          this.#services,
          this.#exchange.connection.listener,
          this.#exchange.version >= 16,
          responses,
          (topic) => topic.partitions,
        ),
      },
      holes,
    );
  }

  /** In an incremental fetch only what is new is answered. */
  #isNamed(
    session: FetchSession | undefined,
    entry: FetchEntry,
    response: PartitionResponse,
    bytes: number,
  ): boolean {
    if (session === undefined) return true;
    const isNew = session.noteAnswer(entry, {
      error: response.errorCode !== NONE || response.divergingEpoch !== undefined,
      bytes,
      highWatermark: response.highWatermark,
      logStartOffset: response.logStartOffset ?? -1,
    });
    return this.#context.kind === 'full' || isNew;
  }

  #entryResponse(
    entry: FetchEntry,
    outcome: FetchedPartition,
    read: ReadonlyMap<FetchedPartition, Uint8Array | undefined>,
    holes: RecordsHole[],
  ): PartitionResponse {
    if (outcome.kind === 'error') return this.#errorResponse(entry, outcome.error);
    const { highWatermark, lastStableOffset, logStartOffset } = outcome;
    const response: PartitionResponse = {
      partitionIndex: entry.partition,
      errorCode: NONE,
      highWatermark,
      lastStableOffset,
      logStartOffset,
      abortedTransactions: this.#committed ? abortedOf(outcome) : null,
      records: NO_RECORDS,
    };
    if (outcome.kind === 'diverged') {
      const { epoch, endOffset } = outcome;
      // Older consumers have no field for it: to them the offset is out of range.
      if (this.#exchange.version < 12) return this.#errorResponse(entry, 'OFFSET_OUT_OF_RANGE');
      response.divergingEpoch = { epoch, endOffset };
      return response;
    }
    const { slice } = outcome;
    const counters = this.#services.metrics.topic(entryTopicName(this.#services, entry));
    counters.fetchRequests++;
    counters.bytesOut += slice.bytes;
    if (slice.bytes >= HOLE_BYTES_MIN) {
      const hole = holeOf(slice);
      holes.push(hole);
      response.records = hole.placeholder;
      return response;
    }
    const bytes = read.has(outcome) ? read.get(outcome) : readNow(outcome);
    slice.release();
    if (bytes === undefined) return this.#errorResponse(entry, 'KAFKA_STORAGE_ERROR');
    response.records = bytes;
    return response;
  }

  #errorResponse(
    entry: FetchEntry,
    error: Extract<FetchedPartition, { kind: 'error' }>['error'],
  ): PartitionResponse {
    const response = errorEntry(entry.partition, errorCodeOf(error));
    const stale = error === 'NOT_LEADER_OR_FOLLOWER' || error === 'FENCED_LEADER_EPOCH';
    if (stale && this.#exchange.version >= 12) {
      const leader = leaderOf(
        this.#services.partitions.image,
        { name: entry.topic, topicId: entry.topicId },
        entry.partition,
      );
      if (leader !== undefined) response.currentLeader = leader;
    }
    return response;
  }
}

function abortedOf(outcome: FetchedPartition): { producerId: number; firstOffset: number }[] {
  const aborted = outcome.kind === 'records' ? (outcome.aborted ?? []) : [];
  return aborted.map(({ producerId, firstOffset }) => ({ producerId, firstOffset }));
}

function entryTopicName(services: KafkaServices, entry: FetchEntry): string {
  if (entry.topicId === ZERO_UUID) return entry.topic;
  return services.partitions.image.topicById(entry.topicId)?.kafkaName ?? entry.topic;
}

const NOTHING_READ: ReadonlyMap<FetchedPartition, Uint8Array | undefined> = new Map();

/** Small and hot: cheaper to read at once than to carry along. Undefined if it cannot be read. */
function readNow(outcome: Extract<FetchedPartition, { kind: 'records' }>): Uint8Array | undefined {
  const { slice } = outcome;
  if (slice.bytes === 0) return NO_RECORDS;
  const target = Buffer.allocUnsafe(slice.bytes);
  try {
    slice.readInto(target, 0);
  } catch (error) {
    if (error instanceof DiskError) return undefined;
    throw error;
  }
  return target;
}

/** Reads the small slices that are not in memory; undefined if there are none. Never rejects for the disk's errors. */
function readSmall(
  outcomes: readonly FetchedPartition[],
): Promise<Map<FetchedPartition, Uint8Array | undefined>> | undefined {
  let cold: Extract<FetchedPartition, { kind: 'records' }>[] | undefined;
  for (const outcome of outcomes) {
    if (outcome.kind !== 'records') continue;
    const { bytes, hot } = outcome.slice;
    if (hot || bytes === 0 || bytes >= HOLE_BYTES_MIN) continue;
    cold ??= [];
    cold.push(outcome);
  }
  return cold === undefined ? undefined : readCold(cold);
}

async function readCold(
  cold: readonly Extract<FetchedPartition, { kind: 'records' }>[],
): Promise<Map<FetchedPartition, Uint8Array | undefined>> {
  const read = new Map<FetchedPartition, Uint8Array | undefined>();
  await Promise.all(
    cold.map(async (outcome) => {
      const target = Buffer.allocUnsafe(outcome.slice.bytes);
      try {
        await outcome.slice.readIntoAsync(target, 0);
        read.set(outcome, target);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        read.set(outcome, undefined);
      }
    }),
  );
  return read;
}

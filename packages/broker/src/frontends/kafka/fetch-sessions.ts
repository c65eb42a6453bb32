import type { FetchRequest } from '@polylog/kafka-protocol';

import type { Clock, Random } from '../../platform/clock.ts';
import {
  FETCH_SESSION_ID_NOT_FOUND,
  FETCH_SESSION_TOPIC_ID_ERROR,
  INVALID_FETCH_SESSION_EPOCH,
} from './errors.ts';
import type { KafkaLimits } from './limits.ts';

/*
 * Incremental fetch (KIP-227). What (sessionId, sessionEpoch) of a request mean:
 *
 *   id    epoch
 *   any   -1      a full fetch without a session; ends session `id`
 *   any    0      a full fetch that asks for a session; ends session `id`
 *   id     n > 0  changes against session `id`, whose next epoch must be n; after 2^31-1 comes 1
 *
 * The answer's session id is 0 where no session was given: always legal, the client then sends full fetches.
 */
export const NO_SESSION = 0;
const FINAL_EPOCH = -1;
const INITIAL_EPOCH = 0;
const EPOCH_MAX = 0x7fff_ffff;

type RequestTopic = FetchRequest['topics'][number];
type RequestPartition = RequestTopic['partitions'][number];

/** One partition as a client wants it, and what it was told of it last. */
export interface FetchEntry {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  currentLeaderEpoch: number;
  fetchOffset: number;
  lastFetchedEpoch: number;
  partitionMaxBytes: number;
  /** As last answered in this session; -1: never, or an error. */
  highWatermark: number;
  logStartOffset: number;
}

export type FetchContext =
  | {
      readonly kind: 'full';
      readonly entries: readonly FetchEntry[];
      /** Asked for and granted. */
      readonly session: FetchSession | undefined;
    }
  | { readonly kind: 'incremental'; readonly entries: readonly FetchEntry[]; readonly session: FetchSession }
  | { readonly kind: 'error'; readonly errorCode: number };

export class FetchSession {
  readonly id: number;
  readonly usesTopicIds: boolean;
  /** In the order in which they are read: what gave records moves to the end, so that each gets its turn. */
  readonly entries = new Map<string, FetchEntry>();
  nextEpoch = 1;
  usedMs: number;

  constructor(id: number, usesTopicIds: boolean, usedMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.usedMs = usedMs;
  }

  /** Whether the answer has to name the partition; remembers what it says. */
  noteAnswer(
    entry: FetchEntry,
    answer: { error: boolean; bytes: number; highWatermark: number; logStartOffset: number },
  ): boolean {
    if (answer.error) {
      // It is answered again, whatever comes next.
      entry.highWatermark = -1;
      return true;
    }
    const changed =
      answer.highWatermark !== entry.highWatermark || answer.logStartOffset !== entry.logStartOffset;
    entry.highWatermark = answer.highWatermark;
    entry.logStartOffset = answer.logStartOffset;
    return changed || answer.bytes > 0;
  }

  moveToEnd(entry: FetchEntry): void {
    const key = keyOf(entry, entry.partition);
    if (this.entries.delete(key)) this.entries.set(key, entry);
  }
}

/** The sessions of one broker: bounded in number and in partitions; the one unused for longest makes room. */
export class FetchSessions {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: KafkaLimits;
  /** In the order of their last use. */
  readonly #sessions = new Map<number, FetchSession>();
  #partitions = 0;

  constructor(options: { clock: Clock; random: Random; limits: KafkaLimits }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#limits = options.limits;
  }

  get count(): number {
    return this.#sessions.size;
  }

  get partitionCount(): number {
    return this.#partitions;
  }

  /** Finds or makes what a request refers to, and applies its changes. */
  open(request: FetchRequest, version: number): FetchContext {
    const { sessionId, sessionEpoch } = request;
    const usesTopicIds = version >= 13;
    if (sessionEpoch === FINAL_EPOCH || sessionEpoch === INITIAL_EPOCH) {
      if (sessionId !== NO_SESSION) this.#end(sessionId);
      const entries = entriesOf(request);
      const session =
        sessionEpoch === INITIAL_EPOCH && version >= 7 ? this.#create(entries, usesTopicIds) : undefined;
      return { kind: 'full', entries: [...entries.values()], session };
    }
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return { kind: 'error', errorCode: FETCH_SESSION_ID_NOT_FOUND };
    if (session.nextEpoch !== sessionEpoch) return { kind: 'error', errorCode: INVALID_FETCH_SESSION_EPOCH };
    if (session.usesTopicIds !== usesTopicIds) {
      return { kind: 'error', errorCode: FETCH_SESSION_TOPIC_ID_ERROR };
    }
    this.#touch(session);
    session.nextEpoch = sessionEpoch === EPOCH_MAX ? 1 : sessionEpoch + 1;
    this.#update(session, request);
    if (session.entries.size === 0) {
      this.#end(session.id);
      return { kind: 'full', entries: [], session: undefined };
    }
    return { kind: 'incremental', entries: [...session.entries.values()], session };
  }

  /** The session that a full fetch was granted, which its answer does not name after all. */
  takeBack(session: FetchSession): void {
    this.#end(session.id);
  }

  #touch(session: FetchSession): void {
    session.usedMs = this.#clock.monotonicMs();
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  #end(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#partitions -= session.entries.size;
  }

  #create(entries: Map<string, FetchEntry>, usesTopicIds: boolean): FetchSession | undefined {
    if (entries.size === 0 || !this.#makeRoom(entries.size)) return undefined;
    const session = new FetchSession(this.#freeId(), usesTopicIds, this.#clock.monotonicMs());
    for (const [key, entry] of entries) session.entries.set(key, entry);
    this.#sessions.set(session.id, session);
    this.#partitions += entries.size;
    return session;
  }

  #makeRoom(partitions: number): boolean {
    const { fetchSessionsMax, fetchSessionPartitionsMax, fetchSessionEvictionMs } = this.#limits;
    const usedBeforeMs = this.#clock.monotonicMs() - fetchSessionEvictionMs;
    while (
      this.#sessions.size >= fetchSessionsMax ||
      this.#partitions + partitions > fetchSessionPartitionsMax
    ) {
      const [oldest] = this.#sessions.values();
      if (oldest === undefined || oldest.usedMs > usedBeforeMs) return false;
      this.#end(oldest.id);
    }
    return true;
  }

  #freeId(): number {
    for (;;) {
      const id = 1 + Math.floor(this.#random.fraction() * (EPOCH_MAX - 1));
      if (!this.#sessions.has(id)) return id;
    }
  }

  #update(session: FetchSession, request: FetchRequest): void {
    const before = session.entries.size;
    for (const topic of request.topics) {
      for (const wanted of topic.partitions) {
        const key = keyOf(topic, wanted.partition);
        const entry = session.entries.get(key);
        if (entry !== undefined) Object.assign(entry, wishesOf(wanted));
        else if (this.#partitions + session.entries.size - before < this.#limits.fetchSessionPartitionsMax) {
          session.entries.set(key, entryOf(topic, wanted));
        }
      }
    }
    for (const topic of request.forgottenTopicsData) {
      for (const partition of topic.partitions) session.entries.delete(keyOf(topic, partition));
    }
    this.#partitions += session.entries.size - before;
  }
}

function keyOf(topic: { readonly topic: string; readonly topicId: string }, partition: number): string {
  return `${topic.topicId}/${topic.topic}/${partition}`;
}

function wishesOf(wanted: RequestPartition) {
  const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch, partitionMaxBytes } = wanted;
  return { currentLeaderEpoch, fetchOffset, lastFetchedEpoch, partitionMaxBytes };
}

function entryOf(topic: RequestTopic, wanted: RequestPartition): FetchEntry {
  return {
    topic: topic.topic,
    topicId: topic.topicId,
    partition: wanted.partition,
    ...wishesOf(wanted),
    highWatermark: -1,
    logStartOffset: -1,
  };
}

/** A partition named twice counts once, as it was named last. */
function entriesOf(request: FetchRequest): Map<string, FetchEntry> {
  const entries = new Map<string, FetchEntry>();
  for (const topic of request.topics) {
    for (const wanted of topic.partitions)
      entries.set(keyOf(topic, wanted.partition), entryOf(topic, wanted));
  }
  return entries;
}

import {
  fetch,
  listOffsets,
  OFFSET_EARLIEST,
  OFFSET_LATEST,
  OFFSET_MAX_TIMESTAMP,
  type FetchResponse,
} from '@polylog/kafka-protocol';
import { PollOrder, Violation } from '../invariants/history.ts';
import { Client } from './clients.ts';
import { decodeRecords } from './decode.ts';
import type { PartitionView, TopicView } from './model.ts';

const PAUSE_MS_MAX = 8;
const PARTITIONS_MAX = 3;
const IDS_SINCE = 13;
const SESSIONS_SINCE = 7;
const BYTES_CHOICES = [1, 300, 4000, 60_000];
const WAIT_MS_CHOICES = [0, 0, 5, 80, 400];
const MIN_BYTES_CHOICES = [0, 1, 1, 500];

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number];

interface Assigned {
  readonly view: PartitionView;
  readonly order: PollOrder;
  readonly generation: number;
  /** What the session of the broker believes; undefined: not in it. */
  sessionOffset: number | undefined;
}

/** What was known of a partition when a request left: answers must not fall behind it. */
interface Known {
  readonly generation: number;
  readonly highWatermark: number;
  readonly startMin: number;
  readonly changes: number;
}

/** Reads some partitions in order, by long polls, with and without fetch sessions; jumps now and then. */
export class Consumer extends Client {
  #assigned: Assigned[] = [];
  #session: { readonly version: number; id: number; epoch: number } | undefined;
  #version = fetch.versionMax;

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.host.draining()) return;
    const before = this.#assigned.length;
    this.#assigned = this.#assigned.filter(
      ({ view, generation }) => view.topic.state === 'exists' && view.generation === generation,
    );
    if (this.#assigned.length < before) this.#forgetSession();
    if (this.#assigned.length === 0 || this.random.chance(0.02)) await this.#assign();
    else if (this.random.chance(0.1)) await this.#lookUp(this.random.pick(this.#assigned).view);
    else await this.#poll();
  }

  async #assign(): Promise<void> {
    const targets = this.host.model.targets();
    if (targets.length === 0) return;
    const views = new Set(Array.from({ length: PARTITIONS_MAX }, () => this.random.pick(targets)));
    this.#assigned = [];
    this.#session = undefined;
    this.#version = this.version(fetch);
    for (const view of views) {
      const { generation } = view;
      const offset = await this.#lookUp(view);
      if (offset === undefined) continue;
      const order = new PollOrder();
      order.assign(offset);
      this.#assigned.push({ view, order, generation, sessionOffset: undefined });
    }
  }

  #knownOf(view: PartitionView): Known {
    const { generation, highWatermark, startMin } = view;
    const owner = this.host.model.names.find((name) => name.name === view.topic.name)!;
    return { generation, highWatermark, startMin, changes: owner.changes };
  }

  /** Whether an answer by name, or over a loss that was not promised against, says anything. */
  #isAbout(view: PartitionView, known: Known, byName: boolean): boolean {
    if (view.generation !== known.generation) return false;
    return !byName || this.#knownOf(view).changes === known.changes;
  }

  /** ListOffsets: an offset at which reading may begin; undefined where none was told. */
  async #lookUp(view: PartitionView): Promise<number | undefined> {
    const timestamps = [OFFSET_EARLIEST, OFFSET_LATEST, OFFSET_MAX_TIMESTAMP, this.#someTimestamp()];
    const timestamp = this.random.pick(timestamps);
    const known = this.#knownOf(view);
    const version = this.version(listOffsets, timestamp === OFFSET_MAX_TIMESTAMP ? 7 : 0);
    const { topics } = await this.ask(listOffsets, version, {
      topics: [{ name: view.topic.name, partitions: [{ partitionIndex: view.index, timestamp }] }],
    });
    const answer = topics[0]?.partitions[0];
    if (answer === undefined) throw new Violation('protocol', 'ListOffsets without an answer');
    if (!this.#isAbout(view, known, true)) return undefined;
    if (answer.errorCode !== 0) {
      const error = this.refused(listOffsets, answer.errorCode);
      if (error.startsWith('UNKNOWN_TOPIC')) this.missing(view, 'list offsets');
      return undefined;
    }
    this.count(`list-offsets.${timestamp < 0 ? timestamp : 'timestamp'}`);
    const { offset } = answer;
    if (timestamp === OFFSET_EARLIEST) checkStart(view, offset, known);
    else if (timestamp === OFFSET_LATEST) {
      if (offset < known.highWatermark) {
        throw new Violation(
          'hw-monotonic',
          `${view.history.name}: latest ${offset}, was ${known.highWatermark}`,
        );
      }
      view.highWatermark = Math.max(view.highWatermark, offset);
    } else if (offset >= 0 && timestamp >= 0 && answer.timestamp < timestamp) {
      throw new Violation('timestamp', `asked for ${timestamp}, got ${answer.timestamp}`);
    }
    return offset < 0 ? undefined : offset;
  }

  #someTimestamp(): number {
    const { startMs, nowMs } = this.host.world;
    return startMs + this.random.integer(Math.ceil(nowMs) + 1);
  }

  async #poll(): Promise<void> {
    const version = this.#version;
    const withSession = version >= SESSIONS_SINCE && (this.#session !== undefined || this.random.chance(0.3));
    if (withSession) this.#session ??= { version, id: 0, epoch: 0 };
    const session = this.#session;
    const incremental = session !== undefined && session.epoch > 0;
    const known = new Map(this.#assigned.map((one) => [one, this.#knownOf(one.view)]));
    const sent = this.#assigned.filter((one) => !incremental || one.sessionOffset !== one.order.next);
    for (const one of sent) one.sessionOffset = session === undefined ? undefined : one.order.next;
    const request = {
      maxWaitMs: this.random.pick(WAIT_MS_CHOICES),
      minBytes: this.random.pick(MIN_BYTES_CHOICES),
      maxBytes: this.random.pick(BYTES_CHOICES),
      isolationLevel: this.random.integer(2),
      sessionId: session?.id ?? 0,
      sessionEpoch: session?.epoch ?? -1,
      topics: topicsOf(sent, this.random.pick(BYTES_CHOICES)),
      forgottenTopicsData: [],
    };
    let answer: FetchResponse;
    try {
      answer = await this.ask(fetch, version, request);
    } catch (error) {
      // Nobody knows what the session holds now.
      this.#forgetSession();
      throw error;
    }
    if (version >= SESSIONS_SINCE && answer.errorCode !== 0) {
      this.refused(fetch, answer.errorCode);
      this.#forgetSession();
      return;
    }
    if (session !== undefined) {
      if (incremental) this.count('fetch.incremental');
      if (answer.sessionId === 0) this.#forgetSession();
      else {
        if (incremental && session.id !== answer.sessionId) throw new Violation('session', 'another id');
        session.id = answer.sessionId;
        session.epoch++;
      }
    }
    for (const { topic, topicId, partitions } of answer.responses) {
      for (const partition of partitions) {
        const one = this.#assigned.find(
          ({ view }) =>
            view.index === partition.partitionIndex &&
            (version < IDS_SINCE ? view.topic.name === topic : view.topic.id === topicId),
        );
        // A session by name goes on with the namesake of a deleted topic.
        if (one === undefined && session !== undefined) continue;
        if (one === undefined) throw new Violation('protocol', `answer for ${topic}${topicId} unasked`);
        const about = this.#isAbout(one.view, known.get(one)!, version < IDS_SINCE);
        if (about) this.#received(one, partition, known.get(one)!, version);
        else this.#forgetSession();
      }
    }
  }

  #forgetSession(): void {
    this.#session = undefined;
    for (const one of this.#assigned) one.sessionOffset = undefined;
  }

  #received({ view, order }: Assigned, answer: PartitionAnswer, known: Known, version: number): void {
    const { errorCode, logStartOffset } = answer;
    if (errorCode !== 0) {
      const error = this.refused(fetch, errorCode);
      if (error.startsWith('UNKNOWN_TOPIC') || error === 'INCONSISTENT_TOPIC_ID') this.missing(view, 'fetch');
      if (error === 'OFFSET_OUT_OF_RANGE') {
        // What was read is only ever gone because the start has moved beyond it.
        const deleted = view.startMax > order.next;
        const seesStart = version >= 5 && logStartOffset >= 0;
        if (!deleted || (seesStart && logStartOffset <= order.next)) {
          throw new Violation(
            'lost-read',
            `${view.history.name}: ${order.next} was reached, and is out of range; the mark was ${known.highWatermark}, the log starts at ${logStartOffset}, weak: ${view.topic.weak}`,
          );
        }
      }
      this.#assigned = this.#assigned.filter((one) => one.view !== view);
      this.#forgetSession();
      return;
    }
    if (answer.highWatermark < known.highWatermark) {
      throw new Violation(
        'hw-monotonic',
        `${view.history.name}: ${answer.highWatermark} after ${known.highWatermark}`,
      );
    }
    view.highWatermark = Math.max(view.highWatermark, answer.highWatermark);
    if (version >= 5) checkStart(view, logStartOffset, known);
    let read = 0;
    for (const { offset, value } of decodeRecords(answer.records)) {
      if (offset < order.next) continue;
      order.saw(offset, `${this.name} of ${view.history.name}`);
      this.host.model.read(view, offset, value);
      read++;
    }
    if (read > 0 && order.next > answer.highWatermark) {
      throw new Violation('read-uncommitted', `${view.history.name}: ${order.next - 1} is above the mark`);
    }
    this.count(read > 0 ? 'fetch.records' : 'fetch.empty');
  }
}

/** The log starts where what was asked for lets it. */
export function checkStart(
  view: PartitionView,
  startOffset: number,
  known: { readonly startMin: number },
): void {
  if (startOffset < known.startMin) {
    throw new Violation('undeleted', `${view.history.name} starts at ${startOffset}, not ${known.startMin}`);
  }
  if (startOffset > view.startMax) {
    throw new Violation(
      'deleted-too-much',
      `${view.history.name} starts at ${startOffset}, nobody asked beyond ${view.startMax}`,
    );
  }
}

function topicsOf(assigned: readonly Assigned[], partitionMaxBytes: number) {
  const topics = new Map<TopicView, Assigned[]>();
  for (const one of assigned) topics.set(one.view.topic, [...(topics.get(one.view.topic) ?? []), one]);
  return [...topics].map(([{ name, id }, ones]) => ({
    topic: name,
    topicId: id,
    partitions: ones.map(({ view, order }) => ({
      partition: view.index,
      fetchOffset: order.next,
      partitionMaxBytes,
    })),
  }));
}

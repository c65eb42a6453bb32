import { setTimeout as sleep } from 'node:timers/promises';
import { fetch, kafkaErrors, OFFSET_EARLIEST, type FetchResponse } from '@polylog/kafka-protocol';
import {
  batchBody,
  type BatchHeader,
  checkBatch,
  decodeRecords,
  emptyBatchHeader,
  forEachBatch,
  isControl,
} from '@polylog/record';
import { CliError, isRetriable, protocolError } from '../errors.ts';
import type { ConsumedRecord } from '../output/record-json.ts';
import { isUnreachable, unreachable, type Cluster, type TopicInfo } from './cluster.ts';
import { ConnectionError } from './connection.ts';
import { offsetsAt, partitionKey, type TopicPartition } from './offsets.ts';

const PARTITION_BYTES_MAX = 1024 * 1024;
const RESPONSE_BYTES_MAX = 8 * 1024 * 1024;
/** How long a broker holds a request while there is nothing to read. */
const WAIT_MS = 500;
const RETRY_PAUSE_MS = 100;
/** A batch that claims more, decompressed, is refused. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;
/** Topics by name up to here, by id from v13. */
const FETCH_VERSION_MAX = 12;

/** Where one partition is read, and how far. */
export interface Position extends TopicPartition {
  offset: number;
  /** Not read from here on; Infinity to go on for ever. */
  readonly endOffset: number;
}

export interface FetcherOptions {
  readonly positions: readonly Position[];
  readonly signal: AbortSignal;
  /** Gets records in order within each partition, and is waited for. False ends the reading. */
  onRecords(records: readonly ConsumedRecord[]): Promise<boolean>;
  onRemark(text: string): void;
}

/**
 * Reads partitions from their leaders until each is at its end, one request per broker at a time; memory is bounded by the size of
 * an answer. A leader that moves is found again.
 */
export class Fetcher {
  readonly #cluster: Cluster;
  readonly #options: FetcherOptions;
  #isStopped = false;
  #hasMoved = false;
  #failingSinceMs: number | undefined;

  constructor(cluster: Cluster, options: FetcherOptions) {
    this.#cluster = cluster;
    this.#options = options;
    options.signal.addEventListener('abort', () => (this.#isStopped = true), { once: true });
  }

  /** Throws CliError. */
  async run(): Promise<void> {
    for (let open = this.#open(); open.length > 0; open = this.#open()) {
      const leaders = await this.#leaders(open);
      if (leaders === undefined) continue;
      const led = open.filter((position) => (leaders.get(partitionKey(position)) ?? -1) >= 0);
      this.#hasMoved = led.length < open.length;
      const perLeader = Map.groupBy(led, (position) => leaders.get(partitionKey(position))!);
      await Promise.all([...perLeader].map(([node, positions]) => this.#readFrom(node, positions)));
      if (this.#hasMoved && !this.#isStopped) {
        this.#checkPatience(new CliError('a partition has no leader', { code: 'LEADER_NOT_AVAILABLE' }));
        await sleep(RETRY_PAUSE_MS);
      }
    }
  }

  #open(): Position[] {
    if (this.#isStopped) return [];
    return this.#options.positions.filter(({ offset, endOffset }) => offset < endOffset);
  }

  /** Undefined after a pause while no broker answers. */
  async #leaders(positions: readonly Position[]): Promise<Map<string, number> | undefined> {
    let topics: TopicInfo[];
    try {
      topics = await this.#cluster.topicsNamed([...new Set(positions.map(({ topic }) => topic))]);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      this.#checkPatience(error);
      await sleep(RETRY_PAUSE_MS);
      return undefined;
    }
    return new Map(
      topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partition, leader }) => [partitionKey({ topic: name, partition }), leader]),
      ),
    );
  }

  /** Until its partitions are read, or one of them has another leader. */
  async #readFrom(node: number, positions: readonly Position[]): Promise<void> {
    const isOpen = ({ offset, endOffset }: Position): boolean => offset < endOffset;
    for (let open = positions; open.length > 0; open = open.filter(isOpen)) {
      if (this.#isStopped || this.#hasMoved) return;
      let answer: FetchResponse;
      try {
        answer = await this.#fetch(node, open);
      } catch (error) {
        if (this.#isStopped) return;
        if (!(error instanceof ConnectionError)) throw error;
        this.#checkPatience(unreachable([error]));
        this.#hasMoved = true;
        return;
      }
      await this.#take(answer, open);
    }
  }

  async #fetch(node: number, open: readonly Position[]): Promise<FetchResponse> {
    const connection = await this.#cluster.connection(node);
    const topics = [...Map.groupBy(open, ({ topic }) => topic)].map(([topic, positions]) => ({
      topic,
      partitions: positions.map(({ partition, offset }) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: PARTITION_BYTES_MAX,
      })),
    }));
    const body = {
      maxWaitMs: WAIT_MS,
      minBytes: 1,
      maxBytes: RESPONSE_BYTES_MAX,
      replicaState: {},
      topics,
      forgottenTopicsData: [],
    };
    const answering = connection.request(fetch, body, {
      versionMax: FETCH_VERSION_MAX,
      timeoutMs: this.#cluster.timeoutMs + WAIT_MS,
    });
    return untilAborted(answering, this.#options.signal);
  }

  async #take(answer: FetchResponse, open: readonly Position[]): Promise<void> {
    const found = new Map(open.map((position) => [partitionKey(position), position]));
    for (const { topic, partitions } of answer.responses) {
      for (const part of partitions) {
        const position = found.get(partitionKey({ topic, partition: part.partitionIndex }));
        if (position === undefined || this.#isStopped) continue;
        if (part.errorCode !== 0) {
          await this.#onError(part.errorCode, position);
          continue;
        }
        this.#failingSinceMs = undefined;
        await this.#deliver(part.records ?? new Uint8Array(0), position);
      }
    }
  }

  async #deliver(bytes: Uint8Array, position: Position): Promise<void> {
    const starts: number[] = [];
    const end = forEachBatch(bytes, 0, bytes.length, (_, at) => {
      starts.push(at);
    });
    const header = emptyBatchHeader();
    // Batch by batch, so that the records of one are gone before those of the next are made.
    for (const at of starts) {
      const verdict = checkBatch(bytes, at, end, header);
      if (verdict !== 'ok') throw damaged(position, Math.max(position.offset, header.baseOffset), verdict);
      const next = header.baseOffset + header.lastOffsetDelta + 1;
      if (next <= position.offset) continue;
      const records = isControl(header.attributes) ? [] : recordsOf(bytes.subarray(at), header, position);
      if (records.length > 0 && !(await this.#options.onRecords(records))) this.#isStopped = true;
      if (this.#isStopped) return;
      position.offset = next;
    }
  }

  async #onError(errorCode: number, position: Position): Promise<void> {
    const where = partitionKey(position);
    if (errorCode === kafkaErrors.OFFSET_OUT_OF_RANGE.code) {
      const starts = await offsetsAt(this.#cluster, [{ ...position, timestamp: OFFSET_EARLIEST }]);
      const start = starts.get(where)!;
      if (start <= position.offset) throw protocolError(errorCode, `${where} at offset ${position.offset}`);
      this.#options.onRemark(
        `${where}: offsets ${position.offset} to ${start - 1} are deleted; going on at ${start}.`,
      );
      position.offset = start;
      return;
    }
    if (errorCode === kafkaErrors.KAFKA_STORAGE_ERROR.code) {
      throw damaged(position, position.offset, 'the broker cannot read it');
    }
    const failure = protocolError(errorCode, where);
    if (!isRetriable(errorCode)) throw failure;
    this.#checkPatience(failure);
    this.#hasMoved = true;
  }

  /** Throws the failure once nothing has worked for the cluster's time-out. */
  #checkPatience(failure: CliError): void {
    const nowMs = performance.now();
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failingSinceMs > this.#cluster.timeoutMs) throw failure;
  }
}

/** Of the batch at the start of the bytes: a fetch gives whole batches, though only a part of one was wanted. */
function recordsOf(bytes: Uint8Array, header: BatchHeader, position: Position): ConsumedRecord[] {
  const { topic, partition, offset, endOffset } = position;
  const body = batchBody(bytes, header, { maxBytes: DECOMPRESSED_BYTES_MAX });
  return decodeRecords(body, header)
    .filter((record) => record.offset >= offset && record.offset < endOffset)
    .map((record) => Object.assign(record, { topic, partition }));
}

function damaged(position: Position, offset: number, detail: string): CliError {
  return new CliError(`${partitionKey(position)} is damaged at offset ${offset}: ${detail}`, {
    code: 'DAMAGED',
    hint: `\`--partition ${position.partition} --offset N\` reads on behind it; \`polylog dump-log\` shows what is lost.`,
  });
}

/** A long poll must not hold up a Ctrl-C. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new Error('stopped'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    promise.catch(() => undefined);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { OFFSET_LATEST } from '@polylog/kafka-protocol';
import {
  Consumer,
  MessagesStreamFallbackModes,
  MessagesStreamModes,
  MultipleErrors,
  type ConsumerOptions,
  type Message,
  type MessagesStream,
} from '@platformatic/kafka';
import { CliError } from '../errors.ts';
import type { ConsumedRecord } from '../output/record-json.ts';
import type { Cluster } from './cluster.ts';
import type { ClientSecurity } from './security.ts';
import { offsetsAt, partitionKey } from './offsets.ts';

const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const PARTITION_BYTES_MAX = 1024 * 1024;
const FETCH_WAIT_MS = 500;
const SESSION_TIMEOUT_MS = 30_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_MS = 3000;
/** Printed messages are committed so often, and at the end. */
const COMMIT_INTERVAL_MS = 1000;
/** Messages printed at once. */
const BATCH_MESSAGES = 1000;
/** The client library stops fetching while so many messages wait. */
const WAITING_MESSAGES_MAX = 4096;
/** How often it looks whether everything is read. */
const LOOK_MS = 50;

export interface GroupReaderOptions {
  /** HOST:PORT, with commas between. */
  readonly bootstrap: string;
  readonly security: ClientSecurity;
  readonly group: string;
  readonly topics: readonly string[];
  /** Where to start without a committed offset. */
  readonly fromEnd: boolean;
  /** Go on for ever, instead of up to the end as of now. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  /** Prints records; false if they may not have reached anyone, so that they are not committed. */
  onRecords(records: readonly ConsumedRecord[]): Promise<boolean>;
  /** How many more records are wanted. */
  remaining(): number;
  onRemark(text: string): void;
}

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/** Reads as a member of a classic consumer group; commits what was printed, so that nothing is skipped if it ends badly. */
export class GroupReader {
  readonly #cluster: Cluster;
  readonly #options: GroupReaderOptions;
  /** The last printed message of each partition whose offset is not committed. */
  readonly #uncommitted = new Map<string, Message>();
  #committedMs = performance.now();
  #failure: Error | undefined;

  constructor(cluster: Cluster, options: GroupReaderOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Throws CliError. */
  async run(): Promise<void> {
    const ends = this.#options.follow ? undefined : await this.#ends();
    const consumer = this.#newConsumer();
    let stream: Stream | undefined;
    try {
      stream = await consumer.consume({
        topics: [...this.#options.topics],
        mode: MessagesStreamModes.COMMITTED,
        fallbackMode: this.#options.fromEnd
          ? MessagesStreamFallbackModes.LATEST
          : MessagesStreamFallbackModes.EARLIEST,
      });
      stream.on('error', (error) => {
        this.#failure ??= error;
      });
      await this.#read(consumer, stream, ends);
      await this.#commit();
    } catch (error) {
      throw explained(error, this.#options.group);
    } finally {
      await leave(consumer, stream);
    }
  }

  /** Leaves reading to a look every {@link LOOK_MS}: a stream that ends with its group's rebalance has no event of its own. */
  async #read(consumer: Consumer, stream: Stream, ends: Map<string, number> | undefined): Promise<void> {
    const { signal } = this.#options;
    let wake = Promise.withResolvers<void>();
    stream.on('readable', () => wake.resolve());
    while (!signal.aborted && this.#options.remaining() > 0) {
      if (this.#failure !== undefined) throw this.#failure;
      const messages = take(stream, Math.min(BATCH_MESSAGES, this.#options.remaining()));
      if (messages.length > 0) await this.#print(messages);
      else if (ends !== undefined && isAtEnd(consumer, stream, ends)) return;
      else {
        await Promise.race([wake.promise, sleep(LOOK_MS)]);
        wake = Promise.withResolvers<void>();
      }
      if (performance.now() - this.#committedMs > COMMIT_INTERVAL_MS) await this.#commit();
    }
  }

  async #print(messages: readonly Message[]): Promise<void> {
    const arePrinted = await this.#options.onRecords(messages.map(recordOf));
    if (!arePrinted) return;
    for (const message of messages) this.#uncommitted.set(partitionKey(message), message);
  }

  async #commit(): Promise<void> {
    const messages = [...this.#uncommitted.values()];
    this.#uncommitted.clear();
    this.#committedMs = performance.now();
    try {
      await Promise.all(messages.map(async (message) => message.commit()));
    } catch (error) {
      // After a rebalance the partition belongs to another member, which reads these messages again.
      this.#options.onRemark(`Could not commit: ${messageOf(error)}. The group may get some messages again.`);
    }
  }

  async #ends(): Promise<Map<string, number>> {
    const topics = await this.#cluster.topicsNamed(this.#options.topics);
    const queries = topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partition }) => ({ topic: name, partition, timestamp: OFFSET_LATEST })),
    );
    return offsetsAt(this.#cluster, queries);
  }

  #newConsumer(): Consumer {
    return new Consumer({
      clientId: 'polylog-cli',
      groupId: this.#options.group,
      bootstrapBrokers: this.#options.bootstrap.split(','),
      ...securityOf(this.#options.security),
      autocommit: false,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      maxBytesPerPartition: PARTITION_BYTES_MAX,
      maxWaitTime: FETCH_WAIT_MS,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      highWaterMark: WAITING_MESSAGES_MAX,
      // The names that other clients offer too; the assignment itself is made by this library either way.
      protocols: [
        { name: 'range', version: 1 },
        { name: 'roundrobin', version: 1 },
      ],
    });
  }
}

/** What is in the stream's buffer, up to so many. */
function take(stream: Stream, max: number): Message[] {
  const messages: Message[] = [];
  while (messages.length < max) {
    const message = stream.read() as Message | null;
    if (message === null) break;
    messages.push(message);
  }
  return messages;
}

function isAtEnd(consumer: Consumer, stream: Stream, ends: Map<string, number>): boolean {
  if (consumer.assignments === null || stream.readableLength > 0) return false;
  return consumer.assignments.every(({ topic, partitions }) =>
    partitions.every((partition) => {
      // The library's own key, with a colon.
      const next = stream.offsetsToFetch.get(`${topic}:${partition}`);
      return next !== undefined && next >= BigInt(ends.get(partitionKey({ topic, partition })) ?? 0);
    }),
  );
}

function recordOf(message: Message): ConsumedRecord {
  return {
    topic: message.topic,
    partition: message.partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: orNull(message.key),
    value: orNull(message.value),
    headers: message.headerEntries.map(([name, value]) => ({
      key: name.toString('utf8'),
      value: orNull(value),
    })),
  };
}

/** Null comes as undefined, whatever the library's types say. */
function orNull(bytes: Buffer | undefined): Buffer | null {
  return bytes ?? null;
}

/** Leaves the group, so that the others get the partitions at once. */
async function leave(consumer: Consumer, stream: Stream | undefined): Promise<void> {
  try {
    await stream?.close();
    await consumer.close(true);
  } catch {
    // The session of a member that cannot say goodbye times out; what it was about to report is more useful than that.
  }
}

function explained(error: unknown, group: string): CliError {
  if (error instanceof CliError) return error;
  return new CliError(`group ${group}: ${messageOf(error)}`, { code: 'GROUP_FAILED', cause: error });
}

/** The innermost messages: what lies around them says only that something failed. */
function messageOf(error: unknown): string {
  if (error instanceof MultipleErrors) return [...new Set(error.errors.map(messageOf))].join('; ');
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? messageOf(error.cause) : error.message.replace(/\.$/, '');
}

/** The same in the words of the client library. */
function securityOf({
  tls,
  login,
}: ClientSecurity): Pick<ConsumerOptions<Buffer, Buffer, Buffer, Buffer>, 'tls' | 'sasl'> {
  return {
    ...(tls === undefined ? {} : { tls }),
    ...(login === undefined
      ? {}
      : { sasl: { mechanism: login.mechanism, username: login.user, password: login.password } }),
  };
}

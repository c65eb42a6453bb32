import { type TopicPartition, topicPartitionKey } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';
import type {
  TxnMarker,
  TxnMarkerWriter,
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from '../peer/types.ts';
import type { Clock } from '../platform/clock.ts';
import type { TransactionEnd } from '../replication/types.ts';
import { lookUpByName } from './lookup.ts';
import type { HostedPartitions } from './types.ts';

/**
 * Who keeps a state over the partitions of a topic that markers change: it has to know of them in the turn in which they are appended, and so
 * appends them itself. `done` gets the error, or undefined once the marker is committed.
 */
export interface MarkerAppender {
  endTransaction(partition: number, end: TransactionEnd, done: (error: ErrorName | undefined) => void): void;
}

/** Writes the ends of transactions to the partitions that this broker leads, for its own coordinator and for those of other brokers. */
export class TransactionMarkers implements TxnMarkerWriter {
  readonly #partitions: HostedPartitions;
  readonly #clock: Clock;
  /** By topic. */
  readonly #appenders = new Map<string, MarkerAppender>();

  constructor(options: { readonly partitions: HostedPartitions; readonly clock: Clock }) {
    this.#partitions = options.partitions;
    this.#clock = options.clock;
  }

  /** From now on the markers of this topic go through it. */
  route(topic: string, appender: MarkerAppender): void {
    this.#appenders.set(topic, appender);
  }

  writeTxnMarkers({ markers }: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse> {
    return Promise.all(markers.map((marker) => this.#writeAll(marker)));
  }

  async #writeAll(marker: TxnMarker): Promise<ReadonlyMap<string, ErrorName>> {
    const failures = new Map<string, ErrorName>();
    await Promise.all(
      marker.partitions.map(async (partition) => {
        const error = await this.#write(marker, partition);
        if (error !== undefined) failures.set(topicPartitionKey(partition), error);
      }),
    );
    return failures;
  }

  #write(marker: TxnMarker, at: TopicPartition): Promise<ErrorName | undefined> {
    const { partition, error } = lookUpByName(this.#partitions, at.topic, at.partition);
    if (partition === undefined) return Promise.resolve(error);
    const appender = this.#appenders.get(at.topic);
    return new Promise((resolve) => {
      if (appender !== undefined) appender.endTransaction(at.partition, marker, resolve);
      else partition.appendMarker(marker, this.#clock.nowMs(), (result) => resolve(result.error));
    });
  }
}

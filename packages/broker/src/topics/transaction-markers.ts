import { type TopicPartition, topicPartitionKey } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';
import type {
  TxnMarker,
  TxnMarkerWriter,
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from '../peer/types.ts';
import type { Clock } from '../platform/clock.ts';
import { lookUpByName } from './lookup.ts';
import type { HostedPartitions } from './types.ts';

/** Writes the ends of transactions to the partitions that this broker leads, for its own coordinator and for those of other brokers. */
export class TransactionMarkers implements TxnMarkerWriter {
  readonly #partitions: HostedPartitions;
  readonly #clock: Clock;

  constructor(options: { readonly partitions: HostedPartitions; readonly clock: Clock }) {
    this.#partitions = options.partitions;
    this.#clock = options.clock;
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
    return new Promise((resolve) => {
      partition.appendMarker(marker, this.#clock.nowMs(), (result) => resolve(result.error));
    });
  }
}

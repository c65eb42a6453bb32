import { fetch, listOffsets, OFFSET_EARLIEST, OFFSET_LATEST } from '@polylog/kafka-protocol';
import { PollOrder, Violation } from '../invariants/history.ts';
import type { ClientHost } from './clients.ts';
import { KafkaConnection } from './connection.ts';
import { decodeRecords } from './decode.ts';
import type { PartitionView } from './model.ts';

const FETCH_BYTES = 100_000;

/** Reads every partition from its start to its end, once all is quiet, and holds it against what was promised. */
export class FinalReader {
  readonly #host: ClientHost;

  constructor(host: ClientHost) {
    this.#host = host;
  }

  async readAll(): Promise<void> {
    const { platform, address, model, fail } = this.#host;
    const connection = await KafkaConnection.open(platform, address, fail);
    for (const view of model.targets()) await this.#readPartition(connection, view);
    connection.close();
  }

  async #readPartition(connection: KafkaConnection, view: PartitionView): Promise<void> {
    const start = await this.#offset(connection, view, OFFSET_EARLIEST);
    const end = await this.#offset(connection, view, OFFSET_LATEST);
    if (start < view.startMin || start > view.startMax || end < view.highWatermark) {
      throw new Violation('drain', `${view.history.name} holds [${start}, ${end})`);
    }
    const order = new PollOrder();
    order.assign(start);
    while (order.next < end) {
      const before = order.next;
      const answer = await connection.request(fetch, fetch.versionMax, {
        maxWaitMs: 0,
        minBytes: 0,
        topics: [
          {
            topicId: view.topic.id,
            partitions: [{ partition: view.index, fetchOffset: order.next, partitionMaxBytes: FETCH_BYTES }],
          },
        ],
        forgottenTopicsData: [],
      });
      const partition = answer.responses[0]?.partitions[0];
      if (partition === undefined || partition.errorCode !== 0) {
        throw new Violation('drain', `${view.history.name}: error ${partition?.errorCode} at ${before}`);
      }
      for (const { offset, value } of decodeRecords(partition.records)) {
        if (offset < before) continue;
        order.saw(offset, view.history.name);
        this.#host.model.read(view, offset, value);
      }
      if (order.next === before)
        throw new Violation('drain', `${view.history.name} ends at ${before}, not ${end}`);
    }
    view.history.checkComplete(start, end);
    this.#host.world.count('drain.partitions');
  }

  async #offset(connection: KafkaConnection, view: PartitionView, timestamp: number): Promise<number> {
    const { topics } = await connection.request(listOffsets, listOffsets.versionMax, {
      topics: [{ name: view.topic.name, partitions: [{ partitionIndex: view.index, timestamp }] }],
    });
    const answer = topics[0]!.partitions[0]!;
    if (answer.errorCode !== 0)
      throw new Violation('drain', `${view.history.name}: error ${answer.errorCode}`);
    return answer.offset;
  }
}

import { describeLogDirs, type DescribeLogDirsRequest } from '@polylog/kafka-protocol';

import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * DescribeLogDirs v1-v5.
 *
 * - One folder, with the size of every partition that is asked for and hosted here; v4+ with the size and free space of its volume
 *   (KIP-827). No topics asks for all; what is not hosted here is left out.
 *
 * Gaps: a leader does not show its followers' lag (offsetLag is 0); folders cannot be cordoned (v5).
 */
export function describeLogDirsHandler(services: KafkaServices): KafkaHandler {
  const { dataFolder } = services;
  return defineHandler({
    api: describeLogDirs,
    versions: [1, 5],
    handle(request) {
      const { freeBytes, totalBytes } = dataFolder.freeSpace();
      const topics = [];
      for (const [name, indexes] of wantedOf(services, request)) {
        const partitions = [];
        for (const partitionIndex of indexes) {
          const partitionSize = dataFolder.sizeOf(name, partitionIndex);
          if (partitionSize === undefined) continue;
          partitions.push({ partitionIndex, partitionSize, offsetLag: 0, isFutureKey: false });
        }
        if (partitions.length > 0) topics.push({ name, partitions });
      }
      return {
        errorCode: NONE,
        results: [
          {
            errorCode: NONE,
            logDir: dataFolder.path,
            topics,
            totalBytes,
            usableBytes: freeBytes,
            isCordoned: false,
          },
        ],
      };
    },
    failure: (_request, errorCode) => ({ errorCode, results: [] }),
  });
}

function wantedOf(
  services: KafkaServices,
  { topics }: DescribeLogDirsRequest,
): ReadonlyMap<string, Iterable<number>> {
  const wanted = new Map<string, Set<number>>();
  if (topics === null) {
    for (const topic of services.partitions.image.topics()) {
      wanted.set(topic.kafkaName, new Set(topic.partitions.keys()));
    }
    return wanted;
  }
  for (const { topic, partitions } of topics) {
    wanted.set(topic, new Set([...(wanted.get(topic) ?? []), ...partitions]));
  }
  return wanted;
}

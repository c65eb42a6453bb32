import { alterReplicaLogDirs, kafkaErrors } from '@polylog/kafka-protocol';

import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * AlterReplicaLogDirs v1-v2 (KIP-113).
 *
 * - A broker has one data folder. A replica that is to be moved there is there already; any other folder is 57.
 * - A partition that does not exist is 3, one that is not hosted here is 9.
 */
export function alterReplicaLogDirsHandler({ dataFolder, partitions }: KafkaServices): KafkaHandler {
  const errorOf = (path: string, topic: string, index: number): number => {
    if (path !== dataFolder.path) return kafkaErrors.LOG_DIR_NOT_FOUND.code;
    if (dataFolder.sizeOf(topic, index) !== undefined) return NONE;
    const exists = partitions.image.topicByName(topic)?.partitions[index] !== undefined;
    return exists ? kafkaErrors.REPLICA_NOT_AVAILABLE.code : errorCodeOf('UNKNOWN_TOPIC_OR_PARTITION');
  };
  return defineHandler({
    api: alterReplicaLogDirs,
    versions: [1, 2],
    isAdmin: true,
    handle: ({ dirs }) => resultsOf(dirs, errorOf),
    failure: ({ dirs }, errorCode) => resultsOf(dirs, () => errorCode),
  });
}

interface Dir {
  readonly path: string;
  readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[];
}

/** One entry per topic, though it may come under several folders. */
function resultsOf(
  dirs: readonly Dir[],
  errorOf: (path: string, topic: string, index: number) => number,
): { results: { topicName: string; partitions: { partitionIndex: number; errorCode: number }[] }[] } {
  const byTopic = new Map<string, { partitionIndex: number; errorCode: number }[]>();
  for (const { path, topics } of dirs) {
    for (const { name, partitions } of topics) {
      const results = byTopic.get(name) ?? [];
      byTopic.set(name, results);
      for (const index of partitions) {
        results.push({ partitionIndex: index, errorCode: errorOf(path, name, index) });
      }
    }
  }
  return { results: [...byTopic].map(([topicName, partitions]) => ({ topicName, partitions })) };
}

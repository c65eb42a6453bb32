import { ZERO_UUID } from '@polylog/kafka-protocol';

import type { ClusterImage } from '../../cluster/image.ts';
import type { KafkaServices } from './handler.ts';

export interface LeaderIdAndEpoch {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

export interface NodeEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** The leader of a partition as the cluster image knows it, for a client that turned to the wrong broker (KIP-951). */
export function leaderOf(
  image: ClusterImage,
  topic: { readonly name: string; readonly topicId: string },
  partition: number,
): LeaderIdAndEpoch | undefined {
  const found = topic.topicId === ZERO_UUID ? image.topicByName(topic.name) : image.topicById(topic.topicId);
  const state = found?.partitions[partition];
  return state === undefined ? undefined : { leaderId: state.leader, leaderEpoch: state.leaderEpoch };
}

interface WithLeader {
  readonly currentLeader?:
    | { readonly leaderId?: number | undefined; readonly leaderEpoch?: number | undefined }
    | undefined;
}

const NO_HINTS: { nodeEndpoints?: NodeEndpoint[] } = {};

/** The addresses, at the listener that the client came through, of all leaders that a response names; nothing if it names none. */
export function leaderHints<T>(
  services: KafkaServices,
  listener: string,
  inVersion: boolean,
  topics: readonly T[],
  partitionsOf: (topic: T) => readonly WithLeader[],
): { nodeEndpoints?: NodeEndpoint[] } {
  if (!inVersion) return NO_HINTS;
  let endpoints: Map<number, NodeEndpoint> | undefined;
  for (const topic of topics) {
    for (const { currentLeader } of partitionsOf(topic)) {
      const leaderId = currentLeader?.leaderId ?? -1;
      if (leaderId === -1) continue;
      const broker = services.partitions.image.brokers.get(leaderId);
      const endpoint = broker?.endpoints.get(listener);
      if (broker === undefined || endpoint === undefined) continue;
      endpoints ??= new Map();
      endpoints.set(leaderId, {
        nodeId: leaderId,
        host: endpoint.host,
        port: endpoint.port,
        rack: broker.rack ?? null,
      });
    }
  }
  return endpoints === undefined ? NO_HINTS : { nodeEndpoints: [...endpoints.values()] };
}

import type { ClusterImage, TopicImage } from '../cluster/image.ts';
import type { KnownTopic, TopicView } from './consumer/types.ts';

/** The topics of the image that is the newest when they are asked for. */
export function topicViewOf(of: { readonly image: ClusterImage }): TopicView {
  return {
    get version() {
      return of.image.version;
    },
    byName: (name) => known(of.image.topicByName(name)),
    byId: (topicId) => known(of.image.topicById(topicId)),
    *names() {
      for (const { kafkaName } of of.image.topics()) yield kafkaName;
    },
  };
}

function known(topic: TopicImage | undefined): KnownTopic | undefined {
  if (topic === undefined) return undefined;
  return { id: topic.id, name: topic.kafkaName, partitions: topic.partitions.length };
}

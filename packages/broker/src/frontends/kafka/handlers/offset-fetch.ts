import { offsetFetch, type OffsetFetchRequest, type OffsetFetchResponseInit } from '@polylog/kafka-protocol';

import { topicPartitionKey, type TopicPartition } from '../../../cluster/topic-partition.core.ts';
import type { FetchedOffset, FetchOffsetsRequest, FetchOffsetsResponse } from '../../../groups/types.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** Many groups in one request (KIP-709). */
const MANY_SINCE = 8;
/** The last group may take an answer beyond it. */
const OFFSETS_PER_ANSWER_MAX = 200_000;
/** Topics by id (KIP-848). */
const TOPIC_IDS_SINCE = 10;
/** The first version with an error for the whole group; before it every partition carries it. */
const GROUP_ERROR_SINCE = 2;

type Fetched = Extract<FetchOffsetsResponse, { readonly error: undefined }>;
type GroupAnswer = NonNullable<OffsetFetchResponseInit['groups']>[number];
type TopicAnswer = GroupAnswer['topics'][number];
type PartitionAnswer = TopicAnswer['partitions'][number];

interface TopicAsked {
  readonly name: string;
  /** Meant from v10 on. */
  readonly topicId: string;
  readonly partitionIndexes: readonly number[];
}

/**
 * OffsetFetch v1-v10: what groups have committed; all of it where no topics are named (v2).
 *
 * - What was not committed is offset -1 without an error, and so is everything of a group that does not exist.
 * - A topic id that does not exist is answered 100 (v10).
 * - Groups beyond the first 200,000 offsets of one answer are answered 42.
 * - With `requireStable` (v7, KIP-447) partitions whose offset an open transaction may still change are answered 88; clients ask again.
 * - A member of a group of KIP-848 may say who it is (v9): 113 where its epoch is another one by now, 25 where it is none any more.
 */
export function offsetFetchHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: offsetFetch,
    versions: [1, 10],
    async handle(request, { version }) {
      if (version >= MANY_SINCE) {
        return { groups: await fetchMany(services, request, version) };
      }
      const { groupId, requireStable } = request;
      const topics = request.topics?.map((topic) => ({ ...topic, topicId: '' })) ?? null;
      const asked = { groupId, topics, requireStable, member: undefined };
      const { topics: answers, errorCode } = await fetch(services, asked, version);
      return ofOneGroup(request, answers, errorCode ?? NONE, version);
    },
    failure: (request, errorCode, _message, version) =>
      version >= MANY_SINCE
        ? { groups: request.groups.map(({ groupId }) => ({ groupId, topics: [], errorCode })) }
        : ofOneGroup(request, [], errorCode, version),
  });
}

/**
 * Each group once, however often it is asked for, and no more offsets than {@link OFFSETS_PER_ANSWER_MAX}: an answer can be very much longer than
 * what asks for it.
 */
async function fetchMany(
  services: KafkaServices,
  { groups, requireStable }: OffsetFetchRequest,
  version: number,
): Promise<GroupAnswer[]> {
  const answers = new Map<string, GroupAnswer>();
  let offsets = 0;
  for (const group of groups) {
    const { groupId, topics } = group;
    if (answers.has(groupId)) continue;
    const isTooMuch = offsets > OFFSETS_PER_ANSWER_MAX;
    const answer = isTooMuch
      ? { groupId, topics: [], errorCode: codeOf('INVALID_REQUEST') }
      : await fetch(services, { groupId, topics, requireStable, member: memberOf(group) }, version);
    for (const { partitions } of answer.topics) offsets += partitions.length;
    answers.set(groupId, answer);
  }
  return [...answers.values()];
}

/** Administrators, and classic members, do not say who they are. */
function memberOf({
  memberId,
  memberEpoch,
}: OffsetFetchRequest['groups'][number]): FetchOffsetsRequest['member'] {
  return memberId === null && memberEpoch < 0 ? undefined : { memberId: memberId ?? '', memberEpoch };
}

async function fetch(
  services: KafkaServices,
  asked: {
    readonly groupId: string;
    readonly topics: readonly TopicAsked[] | null;
    readonly requireStable: boolean;
    readonly member: FetchOffsetsRequest['member'];
  },
  version: number,
): Promise<GroupAnswer> {
  const { groupId, topics, requireStable, member } = asked;
  const named = topics?.map((topic) => namedBy(services, topic, version));
  const partitions = named && partitionsOf(named);
  const fetched = await services.groups.fetchOffsets({ groupId, partitions, requireStable, member });
  if (fetched.error !== undefined) return { groupId, topics: [], errorCode: codeOf(fetched.error) };
  const answers = named?.map((topic) => answerOf(topic, fetched)) ?? allOf(services, fetched, version);
  return { groupId, topics: answers, errorCode: NONE };
}

type Named = Omit<TopicAsked, 'name'> & { readonly name: string | undefined };

function namedBy({ partitions }: KafkaServices, topic: TopicAsked, version: number): Named {
  if (version < TOPIC_IDS_SINCE) return topic;
  return { ...topic, name: partitions.image.topicById(topic.topicId)?.kafkaName };
}

function partitionsOf(topics: readonly Named[]): TopicPartition[] {
  return topics.flatMap(({ name, partitionIndexes }) =>
    name === undefined ? [] : partitionIndexes.map((partition) => ({ topic: name, partition })),
  );
}

function answerOf({ name, topicId, partitionIndexes }: Named, fetched: Fetched): TopicAnswer {
  if (name === undefined) {
    const errorCode = codeOf('UNKNOWN_TOPIC_ID');
    return {
      name: '',
      topicId,
      partitions: partitionIndexes.map((index) => shown(index, undefined, errorCode)),
    };
  }
  const committed = fetched.offsets.get(name);
  return {
    name,
    topicId,
    partitions: partitionIndexes.map((index) => ofPartition(fetched, name, index, committed?.get(index))),
  };
}

/** What is committed for topics that are gone has no id to be told by. */
function allOf({ partitions }: KafkaServices, fetched: Fetched, version: number): TopicAnswer[] {
  return [...fetched.offsets].flatMap(([name, committed]) => {
    const topicId = partitions.image.topicByName(name)?.id;
    if (topicId === undefined && version >= TOPIC_IDS_SINCE) return [];
    const answers = [...committed].map(([index, offset]) => ofPartition(fetched, name, index, offset));
    return [{ name, ...(topicId === undefined ? {} : { topicId }), partitions: answers }];
  });
}

function ofPartition(
  { unstable }: Fetched,
  topic: string,
  partition: number,
  committed: FetchedOffset | undefined,
): PartitionAnswer {
  return unstable.has(topicPartitionKey({ topic, partition }))
    ? shown(partition, undefined, codeOf('UNSTABLE_OFFSET_COMMIT'))
    : shown(partition, committed, NONE);
}

function shown(
  partitionIndex: number,
  committed: FetchedOffset | undefined,
  errorCode: number,
): PartitionAnswer {
  return {
    partitionIndex,
    committedOffset: committed?.offset ?? -1,
    committedLeaderEpoch: committed?.leaderEpoch ?? -1,
    metadata: committed?.metadata ?? '',
    errorCode,
  };
}

function ofOneGroup(
  request: OffsetFetchRequest,
  topics: readonly TopicAnswer[],
  errorCode: number,
  version: number,
): OffsetFetchResponseInit {
  const shownTopics = topics.map(({ name, partitions }) => ({ name: name!, partitions }));
  if (version >= GROUP_ERROR_SINCE) return { topics: shownTopics, errorCode };
  if (errorCode === NONE) return { topics: shownTopics };
  return {
    topics: (request.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => shown(index, undefined, errorCode)),
    })),
  };
}

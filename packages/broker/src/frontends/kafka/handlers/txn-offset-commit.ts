import {
  txnOffsetCommit,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponseInit,
} from '@polylog/kafka-protocol';

import type { ErrorName } from '../../../errors.ts';
import type { OffsetToCommit } from '../../../groups/types.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';
import { offsetOf, refusalOf } from './offsets-to-commit.ts';

/** KAFKA-7296: clients before it end when they are told that the coordinator is loading. */
const LOADING_SINCE = 2;
/** TRANSACTION_ABORTABLE (KIP-890). */
const ABORTABLE_SINCE = 4;
/** The broker adds the group to the transaction; before, the client has done so by AddOffsetsToTxn (KIP-890 part 2). */
const ADDS_SINCE = 5;

/**
 * TxnOffsetCommit v0-v5: stores what a group has consumed as part of a transaction, and answers when that is durable; it counts when the
 * transaction is committed (KIP-98).
 *
 * - The coordinator of the transaction is asked first (KIP-890): to v4 whether the group was added to it, from v5 on to add it.
 * - Members say who they are from v3 on (KIP-447): 22, 25 and 82 for one that is not in the present generation. Who says nothing is believed.
 * - Partitions that do not exist are answered 3, metadata above `offset.metadata.max.bytes` 12; the others are stored.
 * - While the group is being loaded v0 and v1 are told 15 instead of 14.
 */
export function txnOffsetCommitHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: txnOffsetCommit,
    versions: [0, 5],
    async handle(request, { version }) {
      const accepted: OffsetToCommit[] = [];
      const refusals = new Map<Asked, number>();
      for (const { name, partitions } of request.topics) {
        const image = services.partitions.image.topicByName(name);
        for (const asked of partitions) {
          const refusal = refusalOf(services, image, asked);
          if (refusal === undefined) accepted.push(offsetOf(name, asked));
          else refusals.set(asked, codeOf(refusal));
        }
      }
      const failure = await commit(services, request, accepted, version);
      return responseOf(request, (asked) => refusals.get(asked) ?? codeOf(failure));
    },
    failure: (request, errorCode) => responseOf(request, () => errorCode),
  });
}

type Asked = TxnOffsetCommitRequest['topics'][number]['partitions'][number];

async function commit(
  { groups }: KafkaServices,
  request: TxnOffsetCommitRequest,
  offsets: readonly OffsetToCommit[],
  version: number,
): Promise<ErrorName | undefined> {
  const { transactionalId, producerId, producerEpoch } = request;
  const { groupId, generationId, memberId, groupInstanceId } = request;
  if (groupId === '') return 'INVALID_GROUP_ID';
  if (offsets.length === 0) return undefined;
  const failure = await groups.commitInTransaction({
    groupId,
    generationId,
    memberId,
    groupInstanceId,
    transactionalId,
    producerId,
    producerEpoch,
    offsets,
    mode: version >= ADDS_SINCE ? 'add' : 'verify',
    knowsAbortable: version >= ABORTABLE_SINCE,
  });
  const isLoading = failure === 'COORDINATOR_LOAD_IN_PROGRESS';
  return isLoading && version < LOADING_SINCE ? 'COORDINATOR_NOT_AVAILABLE' : failure;
}

function responseOf(
  { topics }: TxnOffsetCommitRequest,
  codeFor: (asked: Asked) => number,
): TxnOffsetCommitResponseInit {
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((asked) => ({
        partitionIndex: asked.partitionIndex,
        errorCode: codeFor(asked),
      })),
    })),
  };
}

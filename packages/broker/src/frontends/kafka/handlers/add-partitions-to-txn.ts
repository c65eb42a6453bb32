import {
  addPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponseInit,
} from '@polylog/kafka-protocol';

import { topicPartitionKey, type TopicPartition } from '../../../cluster/topic-partition.core.ts';
import type { ErrorName } from '../../../errors.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { transactionCodeOf, type KnownErrors } from './transaction-requests.ts';

/** From then on brokers send it, for many transactions. */
const BETWEEN_BROKERS_SINCE = 4;
const PRODUCER_FENCED_SINCE = 2;
const TRANSACTION_ABORTABLE_SINCE = 5;

type Transaction = AddPartitionsToTxnRequest['transactions'][number];
type Topics = Transaction['topics'];
type TopicResults = NonNullable<AddPartitionsToTxnResponseInit['resultsByTopicV3AndBelow']>;

/**
 * AddPartitionsToTxn v0-v3 of clients and v4-v5 between brokers (KIP-98, KIP-890).
 *
 * - All or none of a transaction's partitions are added: where some do not exist they are answered 3, and the others 55. Clients do not write to internal
 *   topics: 29.
 * - From v4 on a request has many transactions, and may ask only whether the partitions belong to them: those that do not are answered 120,
 *   in v4 48.
 * - A producer that was fenced is answered 90, before v2 47; while its last transaction is being completed 51.
 */
export function addPartitionsToTxnHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: addPartitionsToTxn,
    versions: [0, 5],
    isAdmin: true,
    async handle(request, { version }) {
      if (version < BETWEEN_BROKERS_SINCE) {
        return { resultsByTopicV3AndBelow: await resultsOf(services, ofClient(request), version) };
      }
      const resultsByTransaction = await Promise.all(
        request.transactions.map(async (transaction) => ({
          transactionalId: transaction.transactionalId,
          topicResults: await resultsOf(services, transaction, version),
        })),
      );
      return { errorCode: NONE, resultsByTransaction };
    },
    failure: (request, errorCode, _message, version) =>
      version < BETWEEN_BROKERS_SINCE
        ? { resultsByTopicV3AndBelow: topicResults(request.v3AndBelowTopics, () => errorCode) }
        : { errorCode, resultsByTransaction: [] },
  });
}

function ofClient(request: AddPartitionsToTxnRequest): Transaction {
  return {
    transactionalId: request.v3AndBelowTransactionalId,
    producerId: request.v3AndBelowProducerId,
    producerEpoch: request.v3AndBelowProducerEpoch,
    verifyOnly: false,
    topics: request.v3AndBelowTopics,
  };
}

async function resultsOf(
  services: KafkaServices,
  transaction: Transaction,
  version: number,
): Promise<TopicResults> {
  const known: KnownErrors = {
    producerFenced: version >= PRODUCER_FENCED_SINCE,
    transactionAbortable: version >= TRANSACTION_ABORTABLE_SINCE,
  };
  const refusals =
    refusedPartitions(services, transaction, version) ??
    (await askCoordinator(services, transaction, version));
  return topicResults(transaction.topics, (partition) =>
    transactionCodeOf(refusals.get(topicPartitionKey(partition)), known),
  );
}

/** Undefined if all of them may be written to. */
function refusedPartitions(
  { partitions: { image } }: KafkaServices,
  { topics }: Transaction,
  version: number,
): ReadonlyMap<string, ErrorName> | undefined {
  const errors = new Map<string, ErrorName>();
  let isAny = false;
  for (const place of partitionsOf(topics)) {
    const topic = image.topicByName(place.topic);
    let error: ErrorName | undefined;
    if (topic?.partitions[place.partition] === undefined) error = 'UNKNOWN_TOPIC_OR_PARTITION';
    else if (topic.kind === 'internal' && version < BETWEEN_BROKERS_SINCE)
      error = 'TOPIC_AUTHORIZATION_FAILED';
    isAny ||= error !== undefined;
    errors.set(topicPartitionKey(place), error ?? 'OPERATION_NOT_ATTEMPTED');
  }
  return isAny ? errors : undefined;
}

async function askCoordinator(
  { transactions }: KafkaServices,
  { transactionalId, producerId, producerEpoch, verifyOnly, topics }: Transaction,
  version: number,
): Promise<ReadonlyMap<string, ErrorName>> {
  const request = { transactionalId, producerId, producerEpoch, partitions: partitionsOf(topics) };
  if (version >= BETWEEN_BROKERS_SINCE) {
    return transactions.addPartitions({ ...request, mode: verifyOnly ? 'verify' : 'add' });
  }
  const error = await transactions.addToTransaction({ ...request, transactionVersion: 0 });
  if (error === undefined) return new Map();
  return new Map(request.partitions.map((partition) => [topicPartitionKey(partition), error]));
}

function partitionsOf(topics: Topics): TopicPartition[] {
  return topics.flatMap(({ name, partitions }) =>
    partitions.map((partition) => ({ topic: name, partition })),
  );
}

function topicResults(topics: Topics, codeFor: (partition: TopicPartition) => number): TopicResults {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partition) => ({
      partitionIndex: partition,
      partitionErrorCode: codeFor({ topic: name, partition }),
    })),
  }));
}

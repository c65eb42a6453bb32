import { findCoordinator, type FindCoordinatorResponseInit } from '@polylog/kafka-protocol';

import type { ErrorName } from '../../../errors.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

const KEY_TYPE_GROUP = 0;
const KEY_TYPE_TRANSACTION = 1;
const NO_NODE = { nodeId: -1, host: '', port: -1 };

type Coordinator = NonNullable<FindCoordinatorResponseInit['coordinators']>[number];

/**
 * FindCoordinator v0-v6, from v4 for many keys (KIP-699).
 *
 * - Key type 0, groups: the leader of the group's partition of `__consumer_offsets`, which is made with the first one who asks.
 * - Key type 1, transactional ids: the same of `__transaction_state`.
 *
 * Gaps: share groups (key type 2) are answered 42.
 */
export function findCoordinatorHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: findCoordinator,
    versions: [0, 6],
    isAdmin: true,
    async handle({ key, keyType, coordinatorKeys }, { version, connection: { listener } }) {
      const keys = version >= 4 ? coordinatorKeys : [key];
      const coordinators = await Promise.all(keys.map((wanted) => find(services, listener, wanted, keyType)));
      if (version >= 4) return { coordinators };
      const { key: _key, ...only } = coordinators[0]!;
      return only;
    },
    failure: (request, errorCode, errorMessage, version) => {
      const failed = { errorCode, errorMessage, ...NO_NODE };
      if (version < 4) return failed;
      return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...failed })) };
    },
  });
}

async function find(
  services: KafkaServices,
  listener: string,
  key: string,
  keyType: number,
): Promise<Coordinator> {
  const refuse = (error: ErrorName, errorMessage: string): Coordinator => ({
    key,
    errorCode: errorCodeOf(error),
    errorMessage,
    ...NO_NODE,
  });
  if (keyType !== KEY_TYPE_GROUP && keyType !== KEY_TYPE_TRANSACTION) {
    return refuse(
      'INVALID_REQUEST',
      `This release coordinates groups and transactions, not keys of type ${keyType}`,
    );
  }
  const coordinators = keyType === KEY_TYPE_GROUP ? services.groups : services.transactions;
  const found = await coordinators.coordinatorOf(key);
  if (found.error !== undefined) return refuse(found.error, 'There is no coordinator at present');
  const endpoint = services.partitions.image.brokers.get(found.brokerId)?.endpoints.get(listener);
  if (endpoint === undefined) return refuse('COORDINATOR_NOT_AVAILABLE', 'The coordinator has no listener');
  const { host, port } = endpoint;
  return { key, errorCode: NONE, errorMessage: null, nodeId: found.brokerId, host, port };
}

import { kafkaErrors, type aclOperations, type aclResourceTypes } from '@polylog/kafka-protocol';
import type { KafkaClient } from '../longrun/fuzz/client.ts';

export interface Permission {
  readonly operation: keyof typeof aclOperations;
  readonly type: keyof typeof aclResourceTypes;
  readonly name: string;
}

/** The resources of one cell of the matrix: those that exist, or names and ids of which nothing is known. */
export interface Resources {
  readonly exist: boolean;
  readonly topic: string;
  readonly topicId: string;
  /** A topic that always exists, for what the cell is not about. */
  readonly otherTopic: string;
  readonly otherTopicId: string;
  /** A group without members that has committed offsets of `otherTopic`. */
  readonly group: string;
  readonly otherGroup: string;
  readonly transactionalId: string;
  /** Of the last transactional id that there is; made up for one that there is not. */
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Passes whatever is not an error of authorization: what comes after the decision is tested elsewhere. */
export const PASSED = 'passed';

export interface Expected {
  readonly none: string;
  readonly deny: string;
  readonly allow: string;
}

/** What an API answers with no rule, with one that denies beside one that allows, and with one that allows. */
export interface AuthorizationCase {
  /** What of the API it is about, beside its version. */
  readonly about: string;
  readonly version: number;
  readonly needs: (resources: Resources) => readonly Permission[];
  /** What is allowed in all cells, as other permissions are not what it is about. */
  readonly beside?: (resources: Resources) => readonly Permission[];
  /** What somebody else, who may do everything, has done before. */
  readonly prepare?: (admin: KafkaClient, resources: Resources) => Promise<void>;
  /** It takes away what exists. */
  readonly destroys?: boolean;
  readonly ask: (client: KafkaClient, resources: Resources, version: number) => Promise<string>;
  readonly existing: Expected;
  /** Left out where nothing can be missing. */
  readonly missing?: Expected;
}

export function errorName(code: number | undefined): string {
  const found = Object.entries(kafkaErrors).find(([, error]) => error.code === code);
  return found?.[0] ?? `error ${code}`;
}

export function expecting(none: string, allow: string, deny = none): Expected {
  return { none, deny, allow };
}

export const TOPIC_FAILED = 'TOPIC_AUTHORIZATION_FAILED';
export const GROUP_FAILED = 'GROUP_AUTHORIZATION_FAILED';
export const CLUSTER_FAILED = 'CLUSTER_AUTHORIZATION_FAILED';
export const TRANSACTION_FAILED = 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED';

type Operation = Permission['operation'];

export const onTopic =
  (...operations: Operation[]) =>
  ({ topic }: Resources): Permission[] =>
    operations.map((operation) => ({ operation, type: 'TOPIC', name: topic }));
export const onOtherTopic =
  (operation: Operation) =>
  ({ otherTopic }: Resources): Permission[] => [{ operation, type: 'TOPIC', name: otherTopic }];
export const onGroup =
  (operation: Operation) =>
  ({ group }: Resources): Permission[] => [{ operation, type: 'GROUP', name: group }];
export const onOtherGroup =
  (operation: Operation) =>
  ({ otherGroup }: Resources): Permission[] => [{ operation, type: 'GROUP', name: otherGroup }];
export const onTransaction =
  (operation: Operation) =>
  ({ transactionalId }: Resources): Permission[] => [
    { operation, type: 'TRANSACTIONAL_ID', name: transactionalId },
  ];
export const onCluster =
  (...operations: Operation[]) =>
  (): Permission[] =>
    operations.map((operation) => ({ operation, type: 'CLUSTER', name: 'kafka-cluster' }));

export const both =
  (...all: ((resources: Resources) => readonly Permission[])[]) =>
  (resources: Resources): Permission[] =>
    all.flatMap((one) => one(resources));

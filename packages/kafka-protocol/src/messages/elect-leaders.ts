import {
  api,
  array,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Elects leaders of partitions anew: the preferred one, or from v1 any that is left (KIP-183, KIP-460). */
export const electLeaders = api({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexibleSince: 2,
  request: {
    /** 0: the preferred leader, 1: any, even one that has lost records. */
    electionType: field(int8, since(1)),
    /** null: all. */
    topicPartitions: field(
      nullable(
        array(
          struct({
            topic: field(string),
            partitions: field(array(int32)),
          }),
        ),
      ),
    ),
    timeoutMs: field(int32, { default: 60_000 }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16, since(1), { ignorable: true }),
    replicaElectionResults: field(
      array(
        struct({
          topic: field(string),
          partitionResult: field(
            array(
              struct({
                partitionId: field(int32),
                errorCode: field(int16),
                errorMessage: field(nullable(string), { default: null }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type ElectLeadersRequest = MessageOf<typeof electLeaders.request>;
export type ElectLeadersResponse = MessageOf<typeof electLeaders.response>;
export type ElectLeadersRequestInit = InitOf<typeof electLeaders.request>;
export type ElectLeadersResponseInit = InitOf<typeof electLeaders.response>;

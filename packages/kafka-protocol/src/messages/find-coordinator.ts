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
  between,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The broker that coordinates a group (key type 0), transaction (1) or share group (2); from v4 many keys (KIP-699). */
export const findCoordinator = api({
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 6],
  flexibleSince: 3,
  request: {
    key: field(string, until(3)),
    keyType: field(int8, since(1)),
    coordinatorKeys: field(array(string), since(4)),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    errorCode: field(int16, until(3)),
    errorMessage: field(nullable(string), between(1, 3), { default: null, ignorable: true }),
    nodeId: field(int32, until(3)),
    host: field(string, until(3)),
    port: field(int32, until(3)),
    coordinators: field(
      array(
        struct({
          key: field(string),
          nodeId: field(int32),
          host: field(string),
          port: field(int32),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
        }),
      ),
      since(4),
    ),
  },
});

export type FindCoordinatorRequest = MessageOf<typeof findCoordinator.request>;
export type FindCoordinatorResponse = MessageOf<typeof findCoordinator.response>;
export type FindCoordinatorRequestInit = InitOf<typeof findCoordinator.request>;
export type FindCoordinatorResponseInit = InitOf<typeof findCoordinator.response>;

import {
  api,
  array,
  boolean,
  bytes,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  text,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** A member enters a classic consumer group, and waits for the others. Metadata passes through the broker untouched. */
export const joinGroup = api({
  key: 11,
  name: 'JoinGroup',
  versions: [0, 9],
  flexibleSince: 6,
  request: {
    groupId: field(string),
    sessionTimeoutMs: field(int32),
    rebalanceTimeoutMs: field(int32, since(1), { default: -1, ignorable: true }),
    memberId: field(string),
    groupInstanceId: field(nullable(string), since(5), { default: null }),
    protocolType: field(string),
    protocols: field(
      array(
        struct({
          name: field(string),
          metadata: field(bytes),
        }),
      ),
    ),
    reason: field(nullable(text), since(8), { default: null, ignorable: true }),
  },
  response: {
    throttleTimeMs: field(int32, since(2), { ignorable: true }),
    errorCode: field(int16),
    generationId: field(int32, { default: -1 }),
    protocolType: field(nullable(string), since(7), { default: null, ignorable: true }),
    protocolName: field(nullable(string, since(7))),
    leader: field(string),
    skipAssignment: field(boolean, since(9)),
    memberId: field(string),
    members: field(
      array(
        struct({
          memberId: field(string),
          groupInstanceId: field(nullable(string), since(5), { default: null, ignorable: true }),
          metadata: field(bytes),
        }),
      ),
    ),
  },
});

export type JoinGroupRequest = MessageOf<typeof joinGroup.request>;
export type JoinGroupResponse = MessageOf<typeof joinGroup.response>;
export type JoinGroupRequestInit = InitOf<typeof joinGroup.request>;
export type JoinGroupResponseInit = InitOf<typeof joinGroup.response>;

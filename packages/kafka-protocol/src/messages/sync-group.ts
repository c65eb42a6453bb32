import {
  api,
  array,
  bytes,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The leader of a classic group hands in the assignments, and each member takes its own. */
export const syncGroup = api({
  key: 14,
  name: 'SyncGroup',
  versions: [0, 5],
  flexibleSince: 4,
  request: {
    groupId: field(string),
    generationId: field(int32),
    memberId: field(string),
    groupInstanceId: field(nullable(string), since(3), { default: null }),
    protocolType: field(nullable(string), since(5), { default: null, ignorable: true }),
    protocolName: field(nullable(string), since(5), { default: null, ignorable: true }),
    assignments: field(
      array(
        struct({
          memberId: field(string),
          assignment: field(bytes),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    errorCode: field(int16),
    protocolType: field(nullable(string), since(5), { default: null, ignorable: true }),
    protocolName: field(nullable(string), since(5), { default: null, ignorable: true }),
    assignment: field(bytes),
  },
});

export type SyncGroupRequest = MessageOf<typeof syncGroup.request>;
export type SyncGroupResponse = MessageOf<typeof syncGroup.response>;
export type SyncGroupRequestInit = InitOf<typeof syncGroup.request>;
export type SyncGroupResponseInit = InitOf<typeof syncGroup.response>;

import {
  api,
  array,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  text,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Members leave a classic group: one until v2, many from v3 (KIP-345). */
export const leaveGroup = api({
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 5],
  flexibleSince: 4,
  request: {
    groupId: field(string),
    memberId: field(string, until(2)),
    members: field(
      array(
        struct({
          memberId: field(string),
          groupInstanceId: field(nullable(string), { default: null }),
          reason: field(nullable(text), since(5), { default: null, ignorable: true }),
        }),
      ),
      since(3),
    ),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    errorCode: field(int16),
    members: field(
      array(
        struct({
          memberId: field(string),
          groupInstanceId: field(nullable(string)),
          errorCode: field(int16),
        }),
      ),
      since(3),
    ),
  },
});

export type LeaveGroupRequest = MessageOf<typeof leaveGroup.request>;
export type LeaveGroupResponse = MessageOf<typeof leaveGroup.response>;
export type LeaveGroupRequestInit = InitOf<typeof leaveGroup.request>;
export type LeaveGroupResponseInit = InitOf<typeof leaveGroup.response>;

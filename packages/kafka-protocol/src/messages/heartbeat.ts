import {
  api,
  field,
  int16,
  int32,
  nullable,
  string,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** A member of a classic group is alive, and learns of a rebalance. */
export const heartbeat = api({
  key: 12,
  name: 'Heartbeat',
  versions: [0, 4],
  flexibleSince: 4,
  request: {
    groupId: field(string),
    generationId: field(int32),
    memberId: field(string),
    groupInstanceId: field(nullable(string), since(3), { default: null }),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    errorCode: field(int16),
  },
});

export type HeartbeatRequest = MessageOf<typeof heartbeat.request>;
export type HeartbeatResponse = MessageOf<typeof heartbeat.response>;
export type HeartbeatRequestInit = InitOf<typeof heartbeat.request>;
export type HeartbeatResponseInit = InitOf<typeof heartbeat.response>;

import {
  api,
  array,
  field,
  int16,
  int32,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Deletes groups without members, with their offsets. */
export const deleteGroups = api({
  key: 42,
  name: 'DeleteGroups',
  versions: [0, 2],
  flexibleSince: 2,
  request: {
    groupsNames: field(array(string)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          groupId: field(string),
          errorCode: field(int16),
        }),
      ),
    ),
  },
});

export type DeleteGroupsRequest = MessageOf<typeof deleteGroups.request>;
export type DeleteGroupsResponse = MessageOf<typeof deleteGroups.response>;
export type DeleteGroupsRequestInit = InitOf<typeof deleteGroups.request>;
export type DeleteGroupsResponseInit = InitOf<typeof deleteGroups.response>;

import {
  api,
  array,
  field,
  int16,
  int32,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The groups that a broker coordinates; filtered by state from v4 (KIP-518), by type from v5 (KIP-848). */
export const listGroups = api({
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexibleSince: 3,
  request: {
    statesFilter: field(array(string), since(4)),
    typesFilter: field(array(string), since(5)),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    errorCode: field(int16),
    groups: field(
      array(
        struct({
          groupId: field(string),
          protocolType: field(string),
          groupState: field(string, since(4), { ignorable: true }),
          groupType: field(string, since(5), { ignorable: true }),
        }),
      ),
    ),
  },
});

export type ListGroupsRequest = MessageOf<typeof listGroups.request>;
export type ListGroupsResponse = MessageOf<typeof listGroups.response>;
export type ListGroupsRequestInit = InitOf<typeof listGroups.request>;
export type ListGroupsResponseInit = InitOf<typeof listGroups.response>;

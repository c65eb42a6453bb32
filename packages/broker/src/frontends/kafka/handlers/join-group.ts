import { joinGroup } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { clientHostOf, codeOf, kept } from './group-requests.ts';

/** The first version whose new members are told their ids before they join (KIP-394). */
const KNOWN_MEMBER_ID_SINCE = 4;
/** KIP-814. */
const SKIP_ASSIGNMENT_SINCE = 9;
/** Before it the name of the protocol could not be null. */
const NULL_PROTOCOL_SINCE = 7;

/**
 * JoinGroup v0-v9: a member enters a classic group, or says that it is there still, and is answered when all are (KIP-62).
 *
 * - New dynamic members get 79 with their id first (v4, KIP-394); static ones take their place back without a rebalance (v5, KIP-345), and need
 *   not assign anew if they lead (v9, KIP-814).
 * - A group that was empty waits `group.initial.rebalance.delay.ms` for more members (KIP-134).
 * - More metadata than 1 MiB from one member is answered 42.
 *
 * Gaps: the `reason` (v8, KIP-800) is not logged.
 */
export function joinGroupHandler({ groups }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: joinGroup,
    versions: [0, 9],
    async handle(request, { version, clientId, connection }) {
      const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
      const { error, protocolName, ...joined } = await groups.join({
        groupId: request.groupId,
        memberId: request.memberId,
        groupInstanceId: request.groupInstanceId,
        clientId,
        clientHost: clientHostOf(connection),
        protocolType: request.protocolType,
        protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: kept(metadata) })),
        sessionTimeoutMs,
        // v0 had one time-out for both.
        rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
        requiresKnownMemberId: version >= KNOWN_MEMBER_ID_SINCE,
        canSkipAssignment: version >= SKIP_ASSIGNMENT_SINCE,
      });
      return {
        ...joined,
        errorCode: codeOf(error),
        protocolName: protocolName ?? (version < NULL_PROTOCOL_SINCE ? '' : null),
      };
    },
    failure: ({ memberId }, errorCode, _message, version) => ({
      errorCode,
      protocolName: version < NULL_PROTOCOL_SINCE ? '' : null,
      leader: '',
      memberId,
      members: [],
    }),
  });
}

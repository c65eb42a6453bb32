import type { ErrorName } from '../errors.ts';
import { type ClassicGroup, type Member, NO_ASSIGNMENT } from './classic-group.core.ts';
import type { JoinedMember, JoinResponse, MemberIdentity, SyncResponse } from './types.ts';

const NO_MEMBERS: readonly JoinedMember[] = [];

/** The member that a request comes from, or why it is none. */
export function memberOf(
  group: ClassicGroup,
  { memberId, groupInstanceId }: MemberIdentity,
): Member | ErrorName {
  if (groupInstanceId !== null) {
    const known = group.instances.get(groupInstanceId);
    if (known === undefined) return 'UNKNOWN_MEMBER_ID';
    if (known !== memberId) return 'FENCED_INSTANCE_ID';
  }
  return group.members.get(memberId) ?? 'UNKNOWN_MEMBER_ID';
}

export function joinRefusal(error: ErrorName, memberId: string): JoinResponse {
  return {
    error,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: NO_MEMBERS,
  };
}

export function syncRefusal(error: ErrorName): SyncResponse {
  return { error, protocolType: null, protocolName: null, assignment: NO_ASSIGNMENT };
}

export function assigned(group: ClassicGroup, member: Member): SyncResponse {
  const { protocolType, protocol } = group;
  return { error: undefined, protocolType, protocolName: protocol, assignment: member.assignment };
}

/** What a member is told of the present generation; the leader is told of all members. */
export function joined(group: ClassicGroup, member: Member): JoinResponse {
  const isLeader = group.leader === member.memberId;
  return {
    error: undefined,
    memberId: member.memberId,
    generationId: group.generation,
    protocolType: group.protocolType,
    protocolName: group.protocol,
    leader: group.leader ?? '',
    skipAssignment: false,
    members: isLeader ? membersOf(group) : NO_MEMBERS,
  };
}

function membersOf(group: ClassicGroup): JoinedMember[] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: group.metadataOf(member),
  }));
}

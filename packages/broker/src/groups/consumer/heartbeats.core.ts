import type { Instant, StateRecord } from '../../coordinator/types.ts';
import type { ErrorName } from '../../errors.ts';
import type { ExpressionCompiler } from '../../expressions/types.ts';
import { isSameAssignment, isSubset, NOTHING_ASSIGNED } from './assignment.core.ts';
import {
  type ConsumerGroup,
  type ConsumerMember,
  type MemberMetadata,
  NO_METADATA,
} from './consumer-group.core.ts';
import type { ConsumerGroupDriver } from './driver.core.ts';
import { JOINING } from './reconcile.core.ts';
import { distinctNames } from './subscriptions.core.ts';
import {
  type ConsumerGroupSettings,
  type ConsumerHeartbeatRequest,
  type ConsumerHeartbeatResponse,
  JOIN_EPOCH,
  LEAVE_EPOCH,
  type RefusedHeartbeat,
  STATIC_LEAVE_EPOCH,
} from './types.ts';

/** What is wrong with a request whatever the group is; undefined: nothing. */
export function heartbeatFault(
  request: ConsumerHeartbeatRequest,
  settings: ConsumerGroupSettings,
  compileRegex: ExpressionCompiler,
): RefusedHeartbeat | undefined {
  const invalid = formFault(request);
  if (invalid !== undefined) return { error: 'INVALID_REQUEST', message: invalid };
  const { serverAssignor, subscribedRegex } = request;
  const known: readonly string[] = settings.assignors;
  if (serverAssignor !== null && serverAssignor !== '' && !known.includes(serverAssignor)) {
    const message = `The assignor ${serverAssignor} is not known. Known are: ${known.join(', ')}.`;
    return { error: 'UNSUPPORTED_ASSIGNOR', message };
  }
  if (subscribedRegex === null || subscribedRegex === '') return undefined;
  const { fault } = compileRegex(subscribedRegex);
  if (fault === undefined) return undefined;
  return {
    error: 'INVALID_REGULAR_EXPRESSION',
    message: `SubscribedTopicRegex is not a regular expression of RE2 that is taken: ${fault}`,
  };
}

function formFault(request: ConsumerHeartbeatRequest): string | undefined {
  const { memberEpoch, instanceId } = request;
  const needsMemberId = request.makesMemberId || memberEpoch !== JOIN_EPOCH;
  if (request.groupId === '') return 'GroupId must not be empty.';
  if (needsMemberId && request.memberId === '') return 'MemberId must not be empty.';
  if (instanceId === '') return 'InstanceId must not be empty.';
  if (request.rackId === '') return 'RackId must not be empty.';
  if (memberEpoch < STATIC_LEAVE_EPOCH) return `MemberEpoch ${memberEpoch} is not valid.`;
  if (memberEpoch === STATIC_LEAVE_EPOCH && instanceId === null) {
    return 'Only a static member leaves with MemberEpoch -2: InstanceId must not be null.';
  }
  if (memberEpoch !== JOIN_EPOCH) return undefined;
  if (request.rebalanceTimeoutMs < 0) return 'RebalanceTimeoutMs must be set by a member that joins.';
  if (request.owned?.size !== 0) return 'TopicPartitions must be empty, not null, for a member that joins.';
  if (request.subscribedTopics === null && request.subscribedRegex === null) {
    return 'SubscribedTopicNames or SubscribedTopicRegex must be set by a member that joins.';
  }
  return undefined;
}

interface Heartbeat {
  readonly request: ConsumerHeartbeatRequest;
  readonly now: Instant;
  /** Those of what has been changed already for this request; the rest is added. */
  readonly records: StateRecord[];
  readonly respond: (response: ConsumerHeartbeatResponse) => void;
}

/** Answers ConsumerGroupHeartbeat (KIP-848) in groups that there are. */
export class ConsumerHeartbeats {
  readonly #driver: ConsumerGroupDriver;

  constructor(driver: ConsumerGroupDriver) {
    this.#driver = driver;
  }

  /** Why a member may not join, or is not in the group as it believes; undefined: {@link heartbeat} will take it. Changes nothing. */
  refusalOf(group: ConsumerGroup, request: ConsumerHeartbeatRequest): RefusedHeartbeat | undefined {
    const { memberId, memberEpoch, instanceId } = request;
    const found = instanceId === null ? group.members.get(memberId) : group.staticMember(instanceId);
    if (found === undefined) {
      if (memberEpoch !== JOIN_EPOCH) return unknownMember(group, request);
      const isFull = group.members.size >= this.#driver.settings.membersMax && !group.members.has(memberId);
      if (!isFull) return undefined;
      return refused('GROUP_MAX_SIZE_REACHED', `The group has ${group.members.size} members already.`);
    }
    if (found.memberId !== memberId) {
      if (memberEpoch !== JOIN_EPOCH) return fencedInstance(found, request);
      if (group.members.has(memberId)) {
        const message = `The member ${memberId} is in the group already, and cannot be the instance ${instanceId} as well.`;
        return refused('INVALID_REQUEST', message);
      }
      // Members of the classic protocol do not say that they leave for a while.
      const isReleased = found.metadata.classic !== undefined || found.current.epoch === STATIC_LEAVE_EPOCH;
      if (isReleased) return undefined;
      const message = `The instance id ${instanceId} is still held by member ${found.memberId}.`;
      return refused('UNRELEASED_INSTANCE_ID', message);
    }
    return memberEpoch === JOIN_EPOCH ? undefined : epochRefusal(found, request);
  }

  /** A member joins or stays: it is answered once what it is told is durable. */
  heartbeat(group: ConsumerGroup, { request, now, records, respond }: Heartbeat, newId: () => string): void {
    const { member, isNew } = this.#memberFor(group, request, records, newId);
    const { assigned } = member.current;
    const metadata = metadataOf(request, member.metadata);
    const hasChanged = this.#driver.update(group, member, metadata, records);
    if (isNew && !hasChanged) this.#driver.introduce(group, member, records);
    const { maySee, memberEpoch: saidEpoch } = request;
    const step = {
      owned: request.owned ?? undefined,
      needsAssignment: isNew || hasChanged,
      isUrgent: false,
      saidEpoch,
      maySee,
    };
    this.#driver.advance(group, member, step, records, now);
    this.#driver.touch(group, member, now);
    const isTold =
      asksForAll(request) || !isSameAssignment(request.owned ?? assigned, member.current.assigned);
    const { memberId, current } = member;
    const heartbeatIntervalMs = this.#driver.heartbeatIntervalMs(group, now);
    this.#driver.commit(records, (failure) =>
      respond(
        failure === undefined
          ? {
              error: undefined,
              memberId,
              memberEpoch: current.epoch,
              heartbeatIntervalMs,
              assignment: isTold ? current.assigned : null,
            }
          : refused(failure, 'The group could not be written.'),
      ),
    );
  }

  #memberFor(
    group: ConsumerGroup,
    { memberId: given, memberEpoch, instanceId }: ConsumerHeartbeatRequest,
    records: StateRecord[],
    newId: () => string,
  ): { readonly member: ConsumerMember; readonly isNew: boolean } {
    const memberId = given === '' ? newId() : given;
    const found = instanceId === null ? undefined : group.staticMember(instanceId);
    if (found !== undefined && found.memberId !== memberId) {
      return { member: this.#driver.replace(group, found, memberId, records), isNew: false };
    }
    const known = found ?? group.members.get(memberId);
    if (known === undefined) {
      const fields = { memberId, metadata: NO_METADATA, current: JOINING };
      return { member: this.#driver.addMember(group, fields), isNew: true };
    }
    if (memberEpoch === JOIN_EPOCH && known.current.epoch === STATIC_LEAVE_EPOCH) {
      group.setCurrent(known, { ...known.current, epoch: JOIN_EPOCH, previousEpoch: JOIN_EPOCH });
    }
    return { member: known, isNew: false };
  }

  /** A member leaves: for good, or, as a static one may, for no longer than its session lasts. */
  leave(group: ConsumerGroup, { request, now, records, respond }: Heartbeat): void {
    const { memberEpoch, instanceId, memberId } = request;
    const found = instanceId === null ? group.members.get(memberId) : group.staticMember(instanceId);
    if (found === undefined) {
      respond(unknownMember(group, request));
      return;
    }
    if (found.memberId !== memberId) {
      respond(fencedInstance(found, request));
      return;
    }
    if (memberEpoch === LEAVE_EPOCH) this.#driver.removeMembers(group, [found], records, now);
    else {
      // Its partitions stay its own. What it was giving up is given up.
      const current = {
        ...found.current,
        epoch: STATIC_LEAVE_EPOCH,
        state: 'stable',
        revoking: NOTHING_ASSIGNED,
      } as const;
      found.patience.clear();
      this.#driver.setCurrent(group, found, current, records);
    }
    this.#driver.commit(records, (failure) =>
      respond(
        failure === undefined
          ? { error: undefined, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
          : refused(failure, 'The group could not be written.'),
      ),
    );
  }
}

/** Whether a member tells everything that it can tell: then it is told everything, too. */
function asksForAll(request: ConsumerHeartbeatRequest): boolean {
  const { memberEpoch, rebalanceTimeoutMs, subscribedTopics, subscribedRegex, owned } = request;
  if (memberEpoch === JOIN_EPOCH) return true;
  return rebalanceTimeoutMs >= 0 && (subscribedTopics ?? subscribedRegex) !== null && owned !== null;
}

/** What a member tells, on top of what it has told before. */
export function metadataOf(
  request: ConsumerHeartbeatRequest,
  before: MemberMetadata = NO_METADATA,
): MemberMetadata {
  const { subscribedTopics, serverAssignor, rebalanceTimeoutMs } = request;
  const isSame = subscribedTopics === null;
  return {
    instanceId: request.instanceId ?? before.instanceId,
    rackId: request.rackId ?? before.rackId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    topics: isSame ? before.topics : distinctNames(subscribedTopics),
    regex: request.subscribedRegex ?? before.regex,
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? before.rebalanceTimeoutMs : rebalanceTimeoutMs,
    assignor: (serverAssignor === '' ? null : serverAssignor) ?? before.assignor,
    classic: undefined,
  };
}

/**
 * A member has to be in the epoch that the coordinator knows; or in the one before, when the answer that told it of the newer one was lost: then it
 * can have nothing that it does not have in the newer one too.
 */
function epochRefusal(
  { current }: ConsumerMember,
  { memberEpoch, owned }: ConsumerHeartbeatRequest,
): RefusedHeartbeat | undefined {
  if (memberEpoch === current.epoch) return undefined;
  const isRepeated = memberEpoch < current.epoch && memberEpoch === current.previousEpoch;
  if (isRepeated && owned !== null && isSubset(owned, current.assigned)) return undefined;
  const message = `The member is in epoch ${current.epoch}, not ${memberEpoch}: it has to give up its partitions and join again.`;
  return refused('FENCED_MEMBER_EPOCH', message);
}

function unknownMember(
  { groupId }: ConsumerGroup,
  { memberId, instanceId }: ConsumerHeartbeatRequest,
): RefusedHeartbeat {
  const name = instanceId === null ? `member ${memberId}` : `instance id ${instanceId}`;
  return refused('UNKNOWN_MEMBER_ID', `The group ${groupId} has no ${name}.`);
}

function fencedInstance(
  found: ConsumerMember,
  { instanceId, memberId }: ConsumerHeartbeatRequest,
): RefusedHeartbeat {
  const message = `The instance id ${instanceId} belongs to member ${found.memberId}, not to ${memberId}.`;
  return refused('FENCED_INSTANCE_ID', message);
}

export function refused(error: ErrorName, message: string): RefusedHeartbeat {
  return { error, message };
}

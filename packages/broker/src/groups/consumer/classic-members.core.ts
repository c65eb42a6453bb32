import type { Instant, StateRecord } from '../../coordinator/types.ts';
import type { ErrorName } from '../../errors.ts';
import { joinRefusal, syncRefusal } from '../answers.core.ts';
import {
  CONSUMER_PROTOCOL_TYPE,
  encodeAssignment,
  type NamedPartitions,
  parseSubscription,
  type Subscription,
} from '../subscription.core.ts';
import type {
  JoinRequest,
  JoinResponse,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResponse,
} from '../types.ts';
import { type Assignment, normalized, NOTHING_ASSIGNED, splitBy } from './assignment.core.ts';
import type { ConsumerGroup, ConsumerMember, MemberMetadata } from './consumer-group.core.ts';
import type { ConsumerGroupDriver } from './driver.core.ts';
import { JOINING } from './reconcile.core.ts';
import { distinctNames } from './subscriptions.core.ts';
import type { TopicView } from './types.ts';

/** Every member gets what the server assigns: none of them is asked to. */
const NO_LEADER = '';

/**
 * Members that speak the classic protocol in a group of KIP-848, while a group changes from one protocol to the other: JoinGroup tells what they want
 * and have, SyncGroup what they get, Heartbeat that they have to join again. Their generation is their member epoch.
 */
export class ClassicMembers {
  readonly #driver: ConsumerGroupDriver;
  readonly #uuid: () => string;

  constructor(driver: ConsumerGroupDriver, uuid: () => string) {
    this.#driver = driver;
    this.#uuid = uuid;
  }

  /** Why a member may not join; undefined: {@link join} will take it. */
  #joinRefusalOf(group: ConsumerGroup, request: JoinRequest): ErrorName | undefined {
    const { memberId, groupInstanceId } = request;
    const { migrationPolicy, membersMax } = this.#driver.settings;
    if (migrationPolicy === 'disabled') return 'INCONSISTENT_GROUP_PROTOCOL';
    const found =
      groupInstanceId === null ? group.members.get(memberId) : group.staticMember(groupInstanceId);
    if (found === undefined && group.members.size >= membersMax) return 'GROUP_MAX_SIZE_REACHED';
    if (groupInstanceId !== null && memberId !== '') {
      if (found === undefined) return 'UNKNOWN_MEMBER_ID';
      if (found.memberId !== memberId) return 'FENCED_INSTANCE_ID';
    }
    const { protocolType, protocols } = request;
    const isSupported = group.supportsClassic(protocolType, protocols, found?.memberId ?? '');
    return isSupported ? undefined : 'INCONSISTENT_GROUP_PROTOCOL';
  }

  join(
    group: ConsumerGroup,
    request: JoinRequest,
    now: Instant,
    respond: (response: JoinResponse) => void,
  ): void {
    const { memberId, groupInstanceId } = request;
    const refusal = this.#joinRefusalOf(group, request);
    const subscription = refusal === undefined ? subscriptionOf(request.protocols) : undefined;
    if (subscription === undefined) {
      respond(joinRefusal(refusal ?? 'INCONSISTENT_GROUP_PROTOCOL', memberId));
      return;
    }
    if (hasBeenGivenUp(group, request, subscription)) {
      respond(joinRefusal('UNKNOWN_MEMBER_ID', memberId));
      return;
    }
    const id = memberId === '' ? this.#uuid() : memberId;
    if (memberId === '' && groupInstanceId === null && request.requiresKnownMemberId) {
      respond(joinRefusal('MEMBER_ID_REQUIRED', id));
      return;
    }
    const records: StateRecord[] = [];
    const metadata = classicMetadataOf(request, subscription);
    const { member, isNew } = this.#memberFor(group, id, metadata, records);
    const hasChanged = this.#driver.update(group, member, metadata, records);
    if (isNew) this.#driver.introduce(group, member, records);
    const owned = assignmentOf(subscription.owned, this.#driver.topics);
    this.#driver.advance(
      group,
      member,
      {
        owned,
        needsAssignment: isNew || hasChanged,
        // It would be asked to join again at once, and again.
        isUrgent: true,
        saidEpoch: undefined,
        maySee: undefined,
      },
      records,
      now,
    );
    if (group.assigning === undefined) {
      this.#answerJoin(group, member, { records, now, respond });
      return;
    }
    this.#driver.touch(group, member, now);
    if (records.length > 0) this.#driver.commit(records, () => undefined);
    this.#driver.assigning.whenAssigned(group, (outcome) => {
      if (typeof outcome === 'string') respond(joinRefusal(outcome, id));
      else if (group.members.get(id) !== member) respond(joinRefusal('UNKNOWN_MEMBER_ID', id));
      else {
        const last: StateRecord[] = [];
        const step = {
          owned,
          needsAssignment: false,
          isUrgent: false,
          saidEpoch: undefined,
          maySee: undefined,
        };
        this.#driver.advance(group, member, step, last, outcome);
        this.#answerJoin(group, member, { records: last, now: outcome, respond });
      }
    });
  }

  #answerJoin(
    group: ConsumerGroup,
    member: ConsumerMember,
    {
      records,
      now,
      respond,
    }: {
      readonly records: readonly StateRecord[];
      readonly now: Instant;
      readonly respond: (response: JoinResponse) => void;
    },
  ): void {
    const { current, memberId } = member;
    this.#driver.commit(records, (failure) => {
      respond(
        failure === undefined
          ? {
              error: undefined,
              memberId,
              generationId: current.epoch,
              protocolType: CONSUMER_PROTOCOL_TYPE,
              protocolName: protocolOf(member),
              leader: NO_LEADER,
              skipAssignment: false,
              members: [],
            }
          : joinRefusal(failure, memberId),
      );
    });
    this.#driver.touch(group, member, now);
    // Until it asks for its assignment.
    member.patience.clear();
    this.#driver.awaitFrom(member, now);
  }

  #memberFor(
    group: ConsumerGroup,
    memberId: string,
    metadata: MemberMetadata,
    records: StateRecord[],
  ): { readonly member: ConsumerMember; readonly isNew: boolean } {
    const { instanceId } = metadata;
    const found = instanceId === null ? undefined : group.staticMember(instanceId);
    if (found !== undefined && found.memberId !== memberId) {
      return { member: this.#driver.replace(group, found, memberId, records), isNew: false };
    }
    const known = found ?? group.members.get(memberId);
    if (known !== undefined) return { member: known, isNew: false };
    return { member: this.#driver.addMember(group, { memberId, metadata, current: JOINING }), isNew: true };
  }

  sync(
    group: ConsumerGroup,
    request: SyncRequest,
    now: Instant,
    respond: (response: SyncResponse) => void,
  ): void {
    const found = memberOfGeneration(group, request);
    if (typeof found === 'string') {
      respond(syncRefusal(found));
      return;
    }
    const { protocolType, protocolName } = request;
    const protocol = protocolOf(found);
    if (
      (protocolType !== null && protocolType !== CONSUMER_PROTOCOL_TYPE) ||
      (protocolName !== null && protocolName !== protocol)
    ) {
      respond(syncRefusal('INCONSISTENT_GROUP_PROTOCOL'));
      return;
    }
    if (hasToJoin(group, found)) {
      this.#driver.awaitFrom(found, now);
      respond(syncRefusal('REBALANCE_IN_PROGRESS'));
      return;
    }
    found.patience.clear();
    this.#driver.touch(group, found, now);
    const assignment = this.#assignmentOf(found);
    this.#driver.commit([], (failure) =>
      respond(
        failure === undefined
          ? { error: undefined, protocolType: CONSUMER_PROTOCOL_TYPE, protocolName: protocol, assignment }
          : syncRefusal(failure),
      ),
    );
  }

  #assignmentOf(member: ConsumerMember): Uint8Array {
    const version = subscriptionOf(member.metadata.classic!.protocols)?.version ?? 0;
    return encodeAssignment(version, namesOf(member.current.assigned, this.#driver.topics));
  }

  heartbeat(
    group: ConsumerGroup,
    request: MemberIdentity & { readonly generationId: number },
    now: Instant,
  ): ErrorName | undefined {
    const found = memberOfGeneration(group, request);
    if (typeof found === 'string') return found;
    this.#driver.touch(group, found, now);
    this.#driver.refreshUnasked(group, now);
    const { state } = found.current;
    const mayGetMore = state === 'unreleased' && isReleased(group, found);
    if (found.current.epoch >= group.epoch && state !== 'unrevoked' && !mayGetMore) return undefined;
    this.#driver.awaitFrom(found, now);
    return 'REBALANCE_IN_PROGRESS';
  }

  /** Who of these leaves, and what is to be told of each. */
  leave(
    group: ConsumerGroup,
    identities: readonly MemberIdentity[],
  ): { readonly leaving: readonly ConsumerMember[]; readonly results: readonly LeaveResult[] } {
    const leaving = new Set<ConsumerMember>();
    const results = identities.map((identity): LeaveResult => {
      const found = leavingMember(group, identity);
      if (typeof found === 'string') return { ...identity, error: found };
      leaving.add(found);
      return { ...identity, error: undefined };
    });
    return { leaving: [...leaving], results };
  }
}

/**
 * A dynamic member that believes in partitions which others may have by now: it has to learn that it lost them. One that has nothing yet was told its id a moment ago.
 */
function hasBeenGivenUp(
  group: ConsumerGroup,
  { memberId, groupInstanceId }: JoinRequest,
  { owned }: Subscription,
): boolean {
  if (groupInstanceId !== null || memberId === '' || group.members.has(memberId)) return false;
  return owned.some(({ partitions }) => partitions.length > 0);
}

function leavingMember(
  group: ConsumerGroup,
  { memberId, groupInstanceId }: MemberIdentity,
): ConsumerMember | ErrorName {
  if (groupInstanceId !== null) {
    const found = group.staticMember(groupInstanceId);
    if (found === undefined) return 'UNKNOWN_MEMBER_ID';
    // An administrator removes static members by their instance ids alone.
    return memberId === '' || found.memberId === memberId ? found : 'FENCED_INSTANCE_ID';
  }
  const found = group.members.get(memberId);
  return found?.metadata.classic === undefined ? 'UNKNOWN_MEMBER_ID' : found;
}

function memberOfGeneration(
  group: ConsumerGroup,
  { memberId, groupInstanceId, generationId }: MemberIdentity & { readonly generationId: number },
): ConsumerMember | ErrorName {
  const found = group.members.get(memberId);
  if (groupInstanceId !== null) {
    const instance = group.staticMember(groupInstanceId);
    if (instance === undefined) return 'UNKNOWN_MEMBER_ID';
    if (instance !== found) return 'FENCED_INSTANCE_ID';
  }
  if (found?.metadata.classic === undefined) return 'UNKNOWN_MEMBER_ID';
  return found.current.epoch === generationId ? found : 'ILLEGAL_GENERATION';
}

/** One that has something to give up is told what it keeps first; it joins again after that. */
function hasToJoin(group: ConsumerGroup, { current }: ConsumerMember): boolean {
  return group.epoch > current.epoch && current.state !== 'unrevoked';
}

/** Whether a member could have all that it waits for. */
function isReleased(group: ConsumerGroup, { memberId, current }: ConsumerMember): boolean {
  const { outside: missing } = splitBy(group.targetOf(memberId), current.assigned);
  for (const [topicId, partitions] of missing) {
    if (partitions.some((partition) => !group.isFree(topicId, partition))) return false;
  }
  return true;
}

/** Of the protocol that the member likes best; all of its protocols have it. */
export function subscriptionOf(protocols: JoinRequest['protocols']): Subscription | undefined {
  return protocols[0] === undefined ? undefined : parseSubscription(protocols[0].metadata);
}

function protocolOf({ metadata }: ConsumerMember): string {
  return metadata.classic?.protocols[0]?.name ?? '';
}

export function classicMetadataOf(request: JoinRequest, subscription: Subscription): MemberMetadata {
  return {
    instanceId: request.groupInstanceId,
    rackId: subscription.rackId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    topics: distinctNames(subscription.topics),
    regex: '',
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    assignor: null,
    classic: { sessionTimeoutMs: request.sessionTimeoutMs, protocols: request.protocols },
  };
}

/** By topic id; topics that do not exist any more have none. */
export function assignmentOf(named: readonly NamedPartitions[], topics: TopicView): Assignment {
  if (named.length === 0) return NOTHING_ASSIGNED;
  return normalized(
    named.flatMap(({ topic, partitions }) => {
      const id = topics.byName(topic)?.id;
      return id === undefined ? [] : [[id, partitions] as const];
    }),
  );
}

export function namesOf(assignment: Assignment, topics: TopicView): NamedPartitions[] {
  return [...assignment].flatMap(([topicId, partitions]) => {
    const topic = topics.byId(topicId)?.name;
    return topic === undefined ? [] : [{ topic, partitions }];
  });
}

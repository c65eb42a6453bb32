/** Looks at a consumer group from outside, over a connection of its own, which outlasts a restart of the broker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { apis } from '@polylog/kafka-protocol';
import type { KafkaClient } from '../longrun/fuzz/client.ts';
import { decodeAssignment } from './consumer-protocol.ts';
import { LastingClient } from './lasting-client.ts';

const FIND_COORDINATOR_VERSION = 4;
const OFFSET_FETCH_VERSION = 7;
const DESCRIBE_GROUPS_VERSION = 5;
const CONSUMER_GROUP_DESCRIBE_VERSION = 1;
const SAMPLE_EVERY_MS = 25;
const POLL_MS = 50;
const ANSWER_DEADLINE_MS = 30_000;
/** The coordinator is loading, moving or not there yet: ask again. */
const RETRIABLE = new Set([14, 15, 16]);

export interface DescribedMember {
  readonly memberId: string;
  readonly clientId: string;
  readonly clientHost: string;
  readonly instanceId: string | null;
  readonly assignment: ReadonlyMap<string, readonly number[]>;
}

export interface DescribedGroup {
  readonly errorCode: number;
  readonly state: string;
  readonly protocolType: string;
  readonly protocol: string;
  readonly members: readonly DescribedMember[];
}

/** A committed offset that was lower than one seen before, or gone (-1). */
export interface Regression {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** Undefined while the coordinator cannot say. */
export async function describeGroup(
  client: KafkaClient,
  groupId: string,
): Promise<DescribedGroup | undefined> {
  const { groups } = await client.request(apis.describeGroups, DESCRIBE_GROUPS_VERSION, {
    groups: [groupId],
  });
  const group = groups[0]!;
  if (RETRIABLE.has(group.errorCode)) return undefined;
  const newer = group.groupState === 'Dead' ? await describeNewerGroup(client, groupId) : undefined;
  if (newer !== undefined) return newer;
  return {
    errorCode: group.errorCode,
    state: group.groupState,
    protocolType: group.protocolType,
    protocol: group.protocolData,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      instanceId: member.groupInstanceId,
      assignment: decodeAssignment(member.memberAssignment),
    })),
  };
}

/** A group of KIP-848; undefined if it is none. */
async function describeNewerGroup(client: KafkaClient, groupId: string): Promise<DescribedGroup | undefined> {
  const { groups } = await client.request(apis.consumerGroupDescribe, CONSUMER_GROUP_DESCRIBE_VERSION, {
    groupIds: [groupId],
  });
  const { errorCode, groupState, assignorName, members } = groups[0]!;
  if (errorCode !== 0) return undefined;
  return {
    errorCode,
    state: groupState,
    protocolType: 'consumer',
    protocol: assignorName,
    members: members.map(({ memberId, clientId, clientHost, instanceId, assignment }) => ({
      memberId,
      clientId,
      clientHost,
      instanceId,
      assignment: new Map(
        assignment.topicPartitions.map(({ topicName, partitions }) => [topicName, partitions]),
      ),
    })),
  };
}

/** Whether the group is Stable with exactly these members (client ids), and each partition of the topic is with one of them. */
export function isStableWith(
  group: DescribedGroup,
  clientIds: readonly string[],
  { topic, partitions }: { readonly topic: string; readonly partitions: number },
): boolean {
  const found = group.members.map(({ clientId }) => clientId).toSorted();
  const assigned = group.members.flatMap(({ assignment }) => assignment.get(topic) ?? []);
  return (
    group.state === 'Stable' &&
    found.join() === clientIds.toSorted().join() &&
    assigned.length === partitions &&
    new Set(assigned).size === partitions
  );
}

export class GroupObserver {
  readonly groupId: string;
  readonly #client: LastingClient;
  readonly #committed = new Map<number, number>();
  readonly #regressions: Regression[] = [];
  #samples = 0;
  #sampling: Promise<void> | undefined;
  #closing = false;

  private constructor(groupId: string, client: LastingClient) {
    this.groupId = groupId;
    this.#client = client;
  }

  /** Resolves when the group has a coordinator. */
  static async open(address: string, groupId: string): Promise<GroupObserver> {
    const client = new LastingClient(address);
    const deadlineMs = performance.now() + ANSWER_DEADLINE_MS;
    for (;;) {
      const answer = await client.use((open) =>
        open.request(apis.findCoordinator, FIND_COORDINATOR_VERSION, {
          keyType: 0,
          coordinatorKeys: [groupId],
        }),
      );
      const errorCode = answer?.coordinators[0]?.errorCode;
      if (errorCode === 0) return new GroupObserver(groupId, client);
      if (performance.now() > deadlineMs)
        throw new Error(`${groupId} has no coordinator: error ${errorCode}`);
      await sleep(POLL_MS);
    }
  }

  /** @throws Error if there is no answer for half a minute */
  async describe(): Promise<DescribedGroup> {
    const deadlineMs = performance.now() + ANSWER_DEADLINE_MS;
    for (;;) {
      const group = await this.#client.use((client) => describeGroup(client, this.groupId));
      if (group !== undefined) return group;
      if (performance.now() > deadlineMs) throw new Error(`${this.groupId} was not described`);
      await sleep(POLL_MS);
    }
  }

  /**
   * Waits until the group is Stable with exactly these members (client ids) and each partition of the topic is with one of them.
   * @throws Error with what it is instead, after the deadline
   */
  async untilStable(
    clientIds: readonly string[],
    { topic, partitions, deadlineMs = 30_000 }: { topic: string; partitions: number; deadlineMs?: number },
  ): Promise<DescribedGroup> {
    const startedMs = performance.now();
    for (;;) {
      const group = await this.describe();
      if (isStableWith(group, clientIds, { topic, partitions })) return group;
      if (performance.now() - startedMs > deadlineMs) {
        throw new Error(
          `${this.groupId} is ${summaryOf(group, topic)} after ${deadlineMs} ms, ` +
            `not Stable with [${clientIds.toSorted().join()}] and ${partitions} partitions`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  /** The committed offsets of a topic, -1 where there is none; undefined while the coordinator cannot say. */
  async committed(topic: string, partitions: number): Promise<number[] | undefined> {
    const partitionIndexes = Array.from({ length: partitions }, (_, index) => index);
    const answer = await this.#client.use((client) =>
      client.request(apis.offsetFetch, OFFSET_FETCH_VERSION, {
        groupId: this.groupId,
        topics: [{ name: topic, partitionIndexes }],
      }),
    );
    if (answer === undefined || RETRIABLE.has(answer.errorCode)) return undefined;
    const { errorCode, topics } = answer;
    if (errorCode !== 0) throw new Error(`OffsetFetch of ${this.groupId}: error ${errorCode}`);
    const offsets: number[] = [];
    for (const { partitionIndex, committedOffset, errorCode: code } of topics[0]?.partitions ?? []) {
      if (code !== 0) throw new Error(`OffsetFetch of ${topic}-${partitionIndex}: error ${code}`);
      offsets[partitionIndex] = committedOffset;
    }
    return offsets;
  }

  /** Begins to ask for the committed offsets all the time; `stopSampling` tells what went back. */
  startSampling(topic: string, partitions: number): void {
    this.#sampling = (async () => {
      while (!this.#closing) {
        const offsets = await this.committed(topic, partitions);
        if (offsets !== undefined) this.#compare(offsets);
        await sleep(SAMPLE_EVERY_MS);
      }
    })();
    // Whoever stops the sampling learns of it.
    this.#sampling.catch(() => undefined);
  }

  /** @throws what ended the sampling early */
  async stopSampling(): Promise<{ samples: number; regressions: readonly Regression[] }> {
    this.#closing = true;
    await this.#sampling;
    return { samples: this.#samples, regressions: this.#regressions };
  }

  close(): void {
    this.#closing = true;
    this.#client.close();
  }

  #compare(offsets: readonly number[]): void {
    for (const [partition, to] of offsets.entries()) {
      const from = this.#committed.get(partition) ?? -1;
      if (to < from) this.#regressions.push({ partition, from, to });
      this.#committed.set(partition, to);
    }
    this.#samples++;
  }
}

/** For messages. */
export function summaryOf(group: DescribedGroup, topic: string): string {
  const members = group.members.map(
    ({ clientId, assignment }) => `${clientId}: ${assignment.get(topic)?.length ?? 0}`,
  );
  return `${group.state} with [${members.toSorted().join(', ')}]`;
}

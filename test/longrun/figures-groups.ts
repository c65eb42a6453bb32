// npm run figures:groups [-- --members 2000 --groups 500 --delay 500,3000]
// Prints how long it takes from the first request to join until every member of one large group has its assignment and the group is
// Stable; then the same for many small groups at once. Each member is a connection of its own that speaks as a Java consumer does: FindCoordinator,
// JoinGroup (twice, KIP-394), SyncGroup, Heartbeat; the leader assigns. The broker is a process of its own; members are another.
import os from 'node:os';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { apis } from '@polylog/kafka-protocol';
import { commandOptions, integer, text } from '../../scripts/options.ts';
import { decodeAssignment, encodeAssignment, encodeSubscription } from '../clients/consumer-protocol.ts';
import { BrokerProcess } from './fuzz/broker-process.ts';
import { KafkaClient } from './fuzz/client.ts';
import { createTopics } from './fuzz/setup.ts';

const TOPIC = 'figures';
const MEMBERS_PER_SMALL_GROUP = 4;
const PARTITIONS_OF_SMALL_GROUPS = 8;
const SESSION_TIMEOUT_MS = 60_000;
const REBALANCE_TIMEOUT_MS = 120_000;
const HEARTBEAT_MS = 3_000;
const SETTLE_MS = 2_000;
/** Connections opened at a time: the backlog of a listener is finite. */
const CONNECTIONS_AT_A_TIME = 50;
const TICKS_PER_SECOND = 100;
const ERRORS = { memberIdRequired: 79, rebalanceInProgress: 27 };

/** One member, as far as a rebalance is concerned. */
class RawMember {
  readonly groupId: string;
  readonly #client: KafkaClient;
  readonly #topic: { readonly name: string; readonly partitions: number };
  #memberId = '';
  #generationId = -1;
  #closed = false;
  /** Rebalances that it took part in. */
  joins = 0;
  assignment: readonly number[] = [];
  /** When it last got an assignment, in ms of `performance.now()`. */
  assignedMs = 0;

  constructor(client: KafkaClient, groupId: string, topic: { name: string; partitions: number }) {
    this.#client = client;
    this.groupId = groupId;
    this.#topic = topic;
  }

  get generationId(): number {
    return this.#generationId;
  }

  /** Joins, and again as long as the group moves on before it has its assignment. */
  async join(): Promise<void> {
    for (;;) {
      const joined = await this.#client.request(apis.joinGroup, 7, {
        groupId: this.groupId,
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
        memberId: this.#memberId,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: encodeSubscription([this.#topic.name]) }],
      });
      this.#memberId = joined.memberId;
      if (joined.errorCode === ERRORS.memberIdRequired) continue;
      if (joined.errorCode !== 0) throw new Error(`JoinGroup: error ${joined.errorCode}`);
      this.joins++;
      this.#generationId = joined.generationId;
      const isLeader = joined.leader === joined.memberId;
      const synced = await this.#client.request(apis.syncGroup, 5, {
        groupId: this.groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: isLeader ? this.#assign(joined.members.map(({ memberId }) => memberId)) : [],
      });
      if (synced.errorCode === ERRORS.rebalanceInProgress) continue;
      if (synced.errorCode !== 0) throw new Error(`SyncGroup: error ${synced.errorCode}`);
      this.assignment = decodeAssignment(synced.assignment).get(this.#topic.name) ?? [];
      this.assignedMs = performance.now();
      return;
    }
  }

  /** Sends heartbeats until it is closed, and joins again when the group rebalances. */
  async beat(): Promise<void> {
    // Spread, as members that were started one by one are.
    await sleep(Math.random() * HEARTBEAT_MS);
    while (!this.#closed) {
      const { errorCode } = await this.#client.request(apis.heartbeat, 4, {
        groupId: this.groupId,
        generationId: this.#generationId,
        memberId: this.#memberId,
      });
      if (errorCode === ERRORS.rebalanceInProgress) await this.join();
      else if (errorCode !== 0) throw new Error(`Heartbeat: error ${errorCode}`);
      await sleep(HEARTBEAT_MS);
    }
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  #assign(memberIds: readonly string[]): { memberId: string; assignment: Uint8Array }[] {
    const { name, partitions } = this.#topic;
    return memberIds.map((memberId, index) => {
      const own = [];
      for (let partition = index; partition < partitions; partition += memberIds.length) own.push(partition);
      return { memberId, assignment: encodeAssignment(new Map([[name, own]])) };
    });
  }
}

interface Usage {
  readonly cpuSeconds: number;
  readonly rssMib: number;
  readonly peakMib: number;
}

async function usageOf(broker: BrokerProcess): Promise<Usage> {
  const stat = readFileSync(`/proc/${broker.child.pid}/stat`, 'utf8');
  // After the name in parentheses: state is field 3, user and system time are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  return { cpuSeconds, ...(await broker.resident()) };
}

async function connectAll(port: number, count: number): Promise<KafkaClient[]> {
  const clients: KafkaClient[] = [];
  while (clients.length < count) {
    const some = Math.min(CONNECTIONS_AT_A_TIME, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: some }, () => KafkaClient.open(port)))));
  }
  return clients;
}

/** How many members a group has and in which state it is, for each state and number how many groups. */
async function describeAll(client: KafkaClient, groupIds: readonly string[]): Promise<string> {
  const found = new Map<string, number>();
  const { groups } = await client.request(apis.describeGroups, 5, { groups: [...groupIds] });
  for (const { groupState, members } of groups) {
    const kind = `${groupState} with ${members.length} members`;
    found.set(kind, (found.get(kind) ?? 0) + 1);
  }
  return [...found].map(([kind, count]) => `${count} x ${kind}`).join(', ');
}

interface Scenario {
  readonly name: string;
  readonly groupIds: readonly string[];
  readonly membersPerGroup: number;
  readonly partitions: number;
  readonly delayMs: number;
}

async function measure({ name, groupIds, membersPerGroup, partitions, delayMs }: Scenario): Promise<void> {
  const count = groupIds.length * membersPerGroup;
  const settings = { 'group.initial.rebalance.delay.ms': delayMs };
  const broker = await BrokerProcess.start({ settings });
  const admin = await KafkaClient.open(broker.port);
  try {
    await createTopics(admin, [{ name: TOPIC, partitions }]);
    await untilCoordinated(admin, groupIds[0]!);
    const clients = await connectAll(broker.port, count);
    const topic = { name: TOPIC, partitions };
    const members = clients.map(
      (client, index) => new RawMember(client, groupIds[index % groupIds.length]!, topic),
    );
    const before = await usageOf(broker);
    const startedMs = performance.now();
    const beating: Promise<void>[] = [];
    await Promise.all(
      members.map(async (member) => {
        await member.join();
        beating.push(member.beat());
      }),
    );
    await untilSettled(members);
    const stable = await usageOf(broker);
    const stableMs = Math.max(...members.map(({ assignedMs }) => assignedMs)) - startedMs;
    checkAssignments(members, groupIds, partitions);
    const described = await describeAll(admin, groupIds);
    const idleFrom = await usageOf(broker);
    await sleep(HEARTBEAT_MS * 2);
    const idleTo = await usageOf(broker);
    const joins = members.reduce((sum, member) => sum + member.joins, 0);
    console.log(
      `${name}, group.initial.rebalance.delay.ms=${delayMs}: all have their assignment ${(stableMs / 1000).toFixed(2)} s ` +
        `after the first request to join; ${described}`,
    );
    console.log(
      `  ${joins} joins completed by ${count} members; broker meanwhile: ${(stable.cpuSeconds - before.cpuSeconds).toFixed(2)} s CPU, ` +
        `resident ${before.rssMib.toFixed(0)} -> ${stable.rssMib.toFixed(0)} MiB (peak ${stable.peakMib.toFixed(0)})`,
    );
    const share = (idleTo.cpuSeconds - idleFrom.cpuSeconds) / ((HEARTBEAT_MS * 2) / 1000);
    console.log(
      `  then, with a heartbeat of each every ${HEARTBEAT_MS / 1000} s: ${(share * 100).toFixed(1)} % of a core, ` +
        `resident ${idleTo.rssMib.toFixed(0)} MiB`,
    );
    for (const member of members) member.close();
    await Promise.allSettled(beating);
  } finally {
    admin.close();
    await broker.remove();
  }
}

/** The topic of the groups is made with the first request for a coordinator. */
async function untilCoordinated(client: KafkaClient, groupId: string): Promise<void> {
  for (;;) {
    const { coordinators } = await client.request(apis.findCoordinator, 4, {
      keyType: 0,
      coordinatorKeys: [groupId],
    });
    if (coordinators[0]?.errorCode === 0) return;
    await sleep(10);
  }
}

/** Until all members of each group are in the same generation, and none has got another assignment for a while. */
async function untilSettled(members: readonly RawMember[]): Promise<void> {
  for (;;) {
    const generations = Map.groupBy(members, ({ groupId, generationId }) => `${groupId} ${generationId}`);
    const groups = new Set(members.map(({ groupId }) => groupId));
    const last = Math.max(...members.map(({ assignedMs }) => assignedMs));
    if (generations.size === groups.size && performance.now() - last > SETTLE_MS + HEARTBEAT_MS) return;
    await sleep(20);
  }
}

/** In each group, each partition is with exactly one member. */
function checkAssignments(
  members: readonly RawMember[],
  groupIds: readonly string[],
  partitions: number,
): void {
  const byGroup = Map.groupBy(members, ({ groupId }) => groupId);
  for (const groupId of groupIds) {
    const assigned = (byGroup.get(groupId) ?? []).flatMap(({ assignment }) => assignment);
    if (assigned.length !== partitions || new Set(assigned).size !== partitions) {
      throw new Error(`${groupId}: ${assigned.length} partitions are assigned, ${partitions} are there`);
    }
  }
}

const values = commandOptions({
  command: 'figures:groups',
  summary: 'Times how long consumer groups take until they are stable: one large one, and many small ones.',
  options: {
    members: integer('of the large group', { default: 2000, min: 1 }),
    groups: integer('small groups', { default: 500, min: 1 }),
    delay: text('group.initial.rebalance.delay.ms of each measurement, with commas between', {
      hint: 'MS,MS',
      default: '500,3000',
    }),
  },
});
const [cpu] = os.cpus();
console.log(
  `${new Date().toISOString().slice(0, 10)}, node ${process.version}, ${os.cpus().length} x ${cpu?.model ?? 'unknown processor'}, ` +
    `load ${os.loadavg()[0]!.toFixed(1)}; members and broker share the machine`,
);
const memberCount = values.members;
const groupCount = values.groups;
for (const delay of values.delay.split(',')) {
  const delayMs = Number(delay);
  await measure({
    name: `${memberCount} members in one group`,
    groupIds: ['large'],
    membersPerGroup: memberCount,
    partitions: memberCount,
    delayMs,
  });
  await measure({
    name: `${groupCount} groups of ${MEMBERS_PER_SMALL_GROUP} members`,
    groupIds: Array.from({ length: groupCount }, (_, index) => `small-${index}`),
    membersPerGroup: MEMBERS_PER_SMALL_GROUP,
    partitions: PARTITIONS_OF_SMALL_GROUPS,
    delayMs,
  });
}
process.exit(0);

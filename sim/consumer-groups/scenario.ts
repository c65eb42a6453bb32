/**
 * Groups of KIP-848 on a whole broker, some of them with members of the classic protocol too: members join, commit, leave, die and stall, static ones
 * come back, the topic grows, groups change from one protocol to the other, while the broker is stopped, killed and loses its power, its disk
 * fails, and connections break. In half of the seeds assignments and searches for the topics of expressions take many turns. What must hold: no two members have one partition as long as the coordinator may believe both, member epochs never
 * go back, nobody is fenced who is in the epoch that it was told, a member of an old epoch commits nothing, committed offsets never go back, and
 * once all is calm every partition has an owner; when the last member of the newer protocol has left, the others go on as a classic group.
 */
import type { StepsPerTurn } from '../../packages/broker/src/config/broker-config.ts';
import { parseAssignment } from '../../packages/broker/src/groups/subscription.core.ts';
import { BrokerRun, brokerRunScenario, STEP_MS_MAX } from '../broker/run.ts';
import { Founder } from '../groups/founder.ts';
import type { GroupHost } from '../groups/group-client.ts';
import { Loner } from '../groups/loner.ts';
import { type GroupView, GroupsModel } from '../groups/model.ts';
import { Violation } from '../invariants/history.ts';
import type { SimWorld } from '../platform/world.ts';
import { ClassicConsumer } from './classic-consumer.ts';
import { ConsumerMember } from './consumer-member.ts';
import { Ownership } from './ownership.ts';

const OPERATIONS = 2000;
const OPERATIONS_MIN = 1800;
const CRASHES_MIN = 3;
const TOPIC = 'input';
const PARTITIONS = 5;
const PARTITIONS_LATER = 7;
const SESSION_MS = 300;
/** In virtual time, from the end of all faults to groups that are stable. */
const SETTLE_MS_MAX = 60_000;
const STABLE_MS_MIN = 1400;
/** Without faults, and without a load afterwards, which would mend what went wrong. */
const CALM_OPERATIONS = 400;

const SETTINGS: Readonly<Record<string, string>> = {
  'offsets.topic.num.partitions': '2',
  'group.min.session.timeout.ms': '50',
  'group.initial.rebalance.delay.ms': '30',
  'group.consumer.session.timeout.ms': String(SESSION_MS),
  'group.consumer.heartbeat.interval.ms': '20',
  // __consumer_offsets is compacted all the time.
  'log.cleaner.backoff.ms': '50',
  'log.cleaner.min.cleanable.ratio': '0.01',
  'log.cleaner.delete.retention.ms': '500',
  'log.roll.ms': '400',
};

interface GroupPlan {
  readonly groupId: string;
  /** By instance id; null: dynamic. */
  readonly consumers: readonly (string | null)[];
  readonly classics: number;
  /** Members subscribe by one of these. */
  readonly regexes?: readonly string[];
  readonly assignor?: string;
}

const PLANS: readonly GroupPlan[] = [
  { groupId: 'newer', consumers: [null, null, 'fixed'], classics: 0 },
  {
    groupId: 'by-expression',
    consumers: [null, 'fixed'],
    classics: 0,
    regexes: ['in.*', '.*put', '[a-z]{5}'],
    assignor: 'range',
  },
  { groupId: 'mixed', consumers: [null, null], classics: 2 },
];

/**
 * In half of the seeds so few that assignments and searches of topics take many turns, in which members, topics and the broker itself come and go.
 */
function stepsPerTurn(world: SimWorld): StepsPerTurn | undefined {
  const random = world.random.fork('steps per turn');
  if (random.chance(0.5)) return undefined;
  world.count('steps.few');
  return { assignment: random.between(1, 30), expressions: random.between(1, 250) };
}

interface Group {
  readonly view: GroupView;
  readonly consumers: readonly ConsumerMember[];
  readonly classics: readonly ClassicConsumer[];
}

class ConsumerGroupsRun extends BrokerRun {
  readonly host: GroupHost;
  readonly groups: readonly Group[];
  readonly looker: Loner;
  #partitions = PARTITIONS;
  #retiring = false;

  constructor(world: SimWorld) {
    super(world, 'consumer-groups', SETTINGS, stepsPerTurn(world));
    const groupIds = [...PLANS.map(({ groupId }) => groupId), 'lonely'];
    const model = new GroupsModel(TOPIC, PARTITIONS_LATER, groupIds);
    this.host = { ...this.baseHost(), model, quitting: () => false };
    this.groups = PLANS.map((plan, index) => this.#groupOf(plan, model.groups[index]!));
    this.looker = new Loner(this.host, 'looker', model.groups.at(-1)!, (assignment) =>
      parseAssignment(assignment)!.flatMap(({ partitions }) => partitions),
    );
  }

  #groupOf({ consumers, classics, regexes, ...kind }: GroupPlan, view: GroupView): Group {
    const ownership = new Ownership(view.groupId);
    const common = { view, ownership, sessionMs: SESSION_MS };
    const isRetired = (): boolean => this.#retiring && classics > 0;
    return {
      view,
      consumers: consumers.map(
        (instanceId, index) =>
          new ConsumerMember(this.host, `${view.groupId} newer ${index}`, {
            ...common,
            ...kind,
            // Each has another one in the end, so that the last change is one that is searched for.
            ...(regexes === undefined
              ? {}
              : { regexes: [...regexes.slice(index), ...regexes.slice(0, index)] }),
            instanceId,
            isRetired,
          }),
      ),
      classics: Array.from(
        { length: classics },
        (_, index) =>
          new ClassicConsumer(this.host, `${view.groupId} classic ${index}`, {
            ...common,
            partitions: () => this.#partitions,
          }),
      ),
    };
  }

  async run(): Promise<void> {
    await this.machine.start();
    const founder = new Founder(this.host, TOPIC, PARTITIONS);
    founder.run();
    while (!founder.done) await this.advance(5);
    const clients = this.groups.flatMap(({ consumers, classics }) => [...consumers, ...classics]);
    for (const client of [...clients, this.looker]) client.run();
    await this.disturb(OPERATIONS / 2, 1);
    founder.grow(PARTITIONS_LATER);
    await this.disturb(OPERATIONS, CRASHES_MIN);
    // All faults have ended; every group becomes stable, and does again after a loss of power.
    for (const kind of ['process', 'power'] as const) {
      await this.restartAfter(kind);
      await this.until(() => founder.done, {
        forMs: 0,
        withinMs: SETTLE_MS_MAX,
        otherwise: () => 'the topic does not grow',
      });
      this.#partitions = PARTITIONS_LATER;
      this.draining = true;
      await this.#settle();
      await this.world.settle(this.looker.readAll());
      this.check();
    }
    await this.#comeAndGo();
    await this.#settle();
    this.#retiring = true;
    await this.#settle();
    const mixed = this.groups.find(({ classics }) => classics.length > 0)!;
    const state = await this.world.settle(this.looker.stateOf(mixed.view));
    if (state !== 'Stable') throw new Violation('downgrade', `the group that is classic again is ${state}`);
    this.world.count('downgraded');
    this.stopped = true;
  }

  async #comeAndGo(): Promise<void> {
    const until = this.operations + CALM_OPERATIONS;
    this.draining = false;
    while (this.operations < until) await this.advance(STEP_MS_MAX);
    this.draining = true;
  }

  async #settle(): Promise<void> {
    const unstable = (): Group | undefined => this.groups.find((group) => !this.#isStable(group));
    await this.until(() => unstable() === undefined, {
      forMs: STABLE_MS_MIN,
      withinMs: SETTLE_MS_MAX,
      otherwise: () => {
        const { view, consumers, classics } = unstable()!;
        const owned = [...consumers, ...classics].map(
          (member) => `${member.name}: ${member.owned.join(' ')}`,
        );
        return `${view.groupId} does not become stable; ${owned.join(', ')}`;
      },
    });
    this.world.count('settled');
  }

  /** All members that have not left for good are in it, and every partition has one owner. */
  #isStable({ consumers, classics }: Group): boolean {
    const members = [...consumers.filter(({ isRetired }) => !isRetired), ...classics];
    const owned = members.flatMap((member) => member.owned);
    return (
      members.every(({ isMember }) => isMember) &&
      owned.length === this.#partitions &&
      new Set(owned).size === this.#partitions
    );
  }
}

export const consumerGroupsScenario = brokerRunScenario(
  {
    name: 'consumer-groups',
    operationsMin: OPERATIONS_MIN,
    crashesMin: CRASHES_MIN,
    requiredPaths: [
      'classic-heartbeat.REBALANCE_IN_PROGRESS',
      'classic-heartbeat.ok',
      'classic-join.of-classic-group',
      'classic-join.of-consumer-group',
      'classic-leave.done',
      'classic-sync.done',
      'classic.died',
      'classic.stalled',
      'cleaner.passes',
      'commit.STALE_MEMBER_EPOCH',
      'commit.UNKNOWN_MEMBER_ID',
      'commit.done',
      'consumer-heartbeat.UNKNOWN_MEMBER_ID',
      'consumer-heartbeat.UNRELEASED_INSTANCE_ID',
      'consumer-heartbeat.joined',
      'consumer-heartbeat.ok',
      'consumer-leave.done',
      'consumer-leave.for-a-while',
      'consumer.assigned',
      'consumer.died',
      'consumer.revoked',
      'consumer.revokes-slowly',
      'consumer.stalled',
      'downgraded',
      'recovery.power-loss',
      'recovery.process-crash',
      'restart.clean',
      'settled',
      'steps.few',
      'subscription.changed',
    ],
  },
  (world) => new ConsumerGroupsRun(world),
);

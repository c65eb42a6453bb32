/**
 * Classic consumer groups on a whole broker: members that join, commit, leave, die and stall, static ones that come back, clients that commit without
 * being members, that delete offsets and groups, producers that commit offsets in transactions, while the broker is stopped, killed and loses its
 * power, its disk fails, and connections break. What must hold: committed offsets never go back, those of a transaction count all together and only if
 * it is committed, no two leaders assign one generation, generations only rise, a member of an old generation commits nothing, and once all is calm
 * every group becomes stable with all its members, and so do all offsets.
 */
import { BrokerRun, brokerRunScenario, STEP_MS_MAX } from '../broker/run.ts';
import { Violation } from '../invariants/history.ts';
import type { SimWorld } from '../platform/world.ts';
import { Founder } from './founder.ts';
import type { GroupHost } from './group-client.ts';
import { Loner } from './loner.ts';
import { Member } from './member.ts';
import { GroupsModel } from './model.ts';
import { Transactor } from './transactor.ts';

const OPERATIONS = 2200;
const OPERATIONS_MIN = 2000;
const CRASHES_MIN = 3;
const TOPIC = 'input';
const PARTITIONS = 5;
/** In virtual time, from the end of all faults to groups that are stable. */
const SETTLE_MS_MAX = 60_000;
const STABLE_MS_MIN = 2000;
/** Groups with members: how many dynamic ones, how many static ones. */
const MEMBERS: readonly (readonly [dynamic: number, fixed: number])[] = [
  [3, 0],
  [0, 3],
  [2, 1],
];
/** The last group has one member, which dies in the end. */
const MORTALS = 1;
const LONERS = 2;
/** Groups whose offsets are committed in transactions. */
const TRANSACTORS = 2;

const SETTINGS: Readonly<Record<string, string>> = {
  'offsets.topic.num.partitions': '3',
  'transaction.state.log.num.partitions': '2',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '100',
  'group.min.session.timeout.ms': '50',
  'group.initial.rebalance.delay.ms': '30',
  // __consumer_offsets is compacted all the time.
  'log.cleaner.backoff.ms': '50',
  'log.cleaner.min.cleanable.ratio': '0.01',
  'log.cleaner.delete.retention.ms': '500',
  'log.roll.ms': '400',
};

class GroupsRun extends BrokerRun {
  readonly host: GroupHost;
  readonly members: readonly Member[];
  readonly mortal: Member;
  readonly loners: readonly Loner[];
  readonly transactors: readonly Transactor[];
  #quitting = false;

  constructor(world: SimWorld) {
    super(world, 'groups', SETTINGS);
    const withMembers = Array.from({ length: MEMBERS.length + MORTALS }, (_, index) => `group-${index}`);
    const lonely = Array.from({ length: LONERS }, (_, index) => `lonely-${index}`);
    const transactional = Array.from({ length: TRANSACTORS }, (_, index) => `transactional-${index}`);
    const model = new GroupsModel(TOPIC, PARTITIONS, [...withMembers, ...lonely, ...transactional]);
    this.host = { ...this.baseHost(), model, quitting: () => this.#quitting };
    this.members = MEMBERS.flatMap(([dynamic, fixed], group) => this.#membersOf(group, dynamic, fixed));
    const view = model.groups[MEMBERS.length]!;
    this.mortal = new Member(this.host, 'mortal', { view, instanceId: null, mortal: true });
    this.loners = lonely.map((name, index) => {
      const own = model.groups[MEMBERS.length + MORTALS + index]!;
      return new Loner(this.host, name, own);
    });
    this.transactors = model.groups
      .slice(-TRANSACTORS)
      .map((own) => new Transactor(this.host, own.groupId, own));
  }

  #membersOf(group: number, dynamic: number, fixed: number): Member[] {
    const view = this.host.model.groups[group]!;
    return Array.from({ length: dynamic + fixed }, (_, index) => {
      const instanceId = index < dynamic ? null : `instance-${index}`;
      const name = `${view.groupId} member ${index}`;
      return new Member(this.host, name, { view, instanceId, mortal: false });
    });
  }

  async run(): Promise<void> {
    await this.machine.start();
    const founder = new Founder(this.host, TOPIC, PARTITIONS);
    founder.run();
    while (!founder.done) await this.advance(5);
    for (const client of [...this.members, this.mortal, ...this.loners, ...this.transactors]) client.run();
    await this.disturb(OPERATIONS, CRASHES_MIN);
    // All faults have ended; every group becomes stable, and does again after a loss of power; then all offsets are read.
    for (const kind of ['process', 'power'] as const) {
      await this.restartAfter(kind);
      this.draining = true;
      await this.#settle();
      await this.world.settle(this.loners[0]!.readAll());
      this.check();
      // Between the two: its session has to end although the broker that it belonged to is gone.
      this.#quitting = true;
      await this.advance(2 * STEP_MS_MAX);
    }
    const state = await this.world.settle(this.loners[0]!.stateOf(this.mortal.view));
    if (state !== 'Empty') throw new Violation('session', `the group of a member that died is ${state}`);
    this.stopped = true;
  }

  /** Long enough that what is stable now has outlived the members that nobody has heard of. */
  async #settle(): Promise<void> {
    const groups = this.host.model.groups.slice(0, MEMBERS.length);
    const unstable = (): string | undefined =>
      groups.find(({ groupId }) => !this.#isStable(groupId))?.groupId;
    await this.until(() => unstable() === undefined, {
      forMs: STABLE_MS_MIN,
      withinMs: SETTLE_MS_MAX,
      otherwise: () => `${unstable()} does not become stable`,
    });
    this.world.count('settled');
  }

  /** All members are in one generation, and every partition has one owner. */
  #isStable(groupId: string): boolean {
    const states = this.members.filter(({ view }) => view.groupId === groupId).map(({ state }) => state);
    const generations = new Set<number>();
    const owned: number[] = [];
    for (const state of states) {
      if (state.kind !== 'joined') return false;
      generations.add(state.generation);
      owned.push(...state.partitions);
    }
    return generations.size === 1 && owned.length === PARTITIONS && new Set(owned).size === PARTITIONS;
  }
}

export const groupsScenario = brokerRunScenario(
  {
    name: 'groups',
    operationsMin: OPERATIONS_MIN,
    crashesMin: CRASHES_MIN,
    requiredPaths: [
      'cleaner.passes',
      'commit.COORDINATOR_LOAD_IN_PROGRESS',
      'commit.ILLEGAL_GENERATION',
      'commit.NOT_COORDINATOR',
      'commit.UNKNOWN_MEMBER_ID',
      'commit.done',
      'delete-group.done',
      'delete-group.GROUP_ID_NOT_FOUND',
      'fetch.unstable',
      'init.done',
      'describe.CompletingRebalance',
      'describe.Empty',
      'describe.PreparingRebalance',
      'describe.Stable',
      'ghost.FENCED_INSTANCE_ID',
      'heartbeat.REBALANCE_IN_PROGRESS',
      'heartbeat.UNKNOWN_MEMBER_ID',
      'heartbeat.ok',
      'join.MEMBER_ID_REQUIRED',
      'join.NOT_COORDINATOR',
      'join.dynamic',
      'join.skip-assignment',
      'join.static',
      'leave.done',
      'list.done',
      'member.died',
      'member.stalled',
      'offset-delete.done',
      'offsets.fetched',
      'recovery.power-loss',
      'recovery.process-crash',
      'restart.clean',
      'settled',
      'storage.fatal',
      'sync.REBALANCE_IN_PROGRESS',
      'sync.follower',
      'sync.leader',
      'transaction.abandoned',
      'transaction.aborted',
      'transaction.committed',
      'transaction.overtaken',
    ],
  },
  (world) => new GroupsRun(world),
);

import { deleteGroups, describeGroups, listGroups, offsetDelete } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { errorName } from '../broker/clients.ts';
import { ConnectionLost } from '../broker/connection.ts';
import { GroupClient, type GroupHost } from './group-client.ts';
import { NOTHING, type GroupView, type OffsetWrite } from './model.ts';

const PAUSE_MS_MAX = 30;
const ATTEMPTS_MAX = 10;
/** How often, and with what pauses, somebody looks at a commit that is under way: a sync takes a few milliseconds, or many. */
const LOOKS_MAX = 10;
const LOOK_PAUSE_MS_MAX = 2;
/** In virtual time, once all is calm: a transaction's time and the coordinator's look at it. */
const STABLE_MS_MAX = 20_000;
const STATES = new Set(['PreparingRebalance', 'CompletingRebalance', 'Stable', 'Empty', 'Dead']);

/** Commits without being a member, deletes offsets and groups, and looks at everybody's. */
export class Loner extends GroupClient {
  /** The group of which it commits, which has no members. */
  readonly #own: GroupView;
  readonly #partitionsIn: (assignment: Uint8Array) => readonly number[];
  readonly #onlooker: Onlooker;
  /** A commit was being made and looked at when a connection broke. */
  #looksFirst = false;

  constructor(
    host: GroupHost,
    name: string,
    own: GroupView,
    partitionsIn: (assignment: Uint8Array) => readonly number[] = partitionsOfMember,
  ) {
    super(host, name);
    this.#own = own;
    this.#partitionsIn = partitionsIn;
    this.#onlooker = new Onlooker(host, `${name} onlooker`);
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.host.draining()) return;
    await this.findCoordinator(this.#own);
    if (this.#looksFirst) {
      // Before anything new hides what has become of it.
      this.#looksFirst = !(await this.fetchOffsets(this.#own));
      return;
    }
    const dice = this.random.fraction();
    if (dice < 0.2) await this.#commitOwn();
    else if (dice < 0.4) await this.#commitAndLook();
    else if (dice < 0.75) await this.fetchOffsets(this.random.pick(this.host.model.groups));
    else if (dice < 0.83) await this.#deleteOffsets();
    else if (dice < 0.88) await this.#deleteGroup();
    else if (dice < 0.94) await this.#describe(this.random.pick(this.host.model.groups));
    else await this.#list();
  }

  /** Once all is over: what is stored now. Transactions that nobody ends are over soon. */
  async readAll(): Promise<void> {
    for (const view of this.host.model.groups) {
      const untilMs = this.nowMs + STABLE_MS_MAX;
      while (!(await this.#repeat(() => this.fetchOffsets(view, true)))) {
        if (this.nowMs > untilMs) throw new Violation('unstable', `${view.groupId} has no stable offsets`);
        await this.sleep(PAUSE_MS_MAX);
      }
    }
  }

  /** The state of a group now. */
  stateOf(view: GroupView): Promise<string> {
    return this.#repeat(async () => {
      const answer = await this.ask(describeGroups, describeGroups.versionMax, { groups: [view.groupId] });
      return answer.groups[0]!.groupState;
    });
  }

  /** Connections break, also on their own. */
  async #repeat<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ConnectionLost) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  #somePartitions(): number[] {
    const all = Array.from({ length: this.#own.partitions }, (_, index) => index);
    const chosen = all.filter(() => this.random.chance(0.5));
    return chosen.length === 0 ? [0] : chosen;
  }

  async #commitOwn(): Promise<void> {
    await this.commit(this.#own, this.#somePartitions(), {
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
    });
  }

  /**
   * Has somebody else ask until the answer is there, on whose connection answers need not wait for it: what is told must not be taken back, whatever
   * happens to the commit meanwhile.
   */
  async #commitAndLook(): Promise<void> {
    let isUnderWay = true;
    const commit = this.#commitOwn().finally(() => (isUnderWay = false));
    const looks = this.#onlooker.look(this.#own, () => isUnderWay);
    const outcomes = await Promise.allSettled([commit, looks]);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      this.#looksFirst = true;
      throw outcome.reason;
    }
  }

  async #deleteOffsets(): Promise<void> {
    const partitions = this.#somePartitions();
    const writes = partitions.map((partition) => this.#own.register(partition).invoke(NOTHING, this.nowMs));
    const { errorCode } = await this.ask(offsetDelete, 0, {
      groupId: this.#own.groupId,
      topics: [
        {
          name: this.host.model.topic,
          partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
        },
      ],
    });
    this.#deleted('offset-delete', errorCode, writes);
  }

  async #deleteGroup(): Promise<void> {
    const writes = Array.from({ length: this.#own.partitions }, (_, index) =>
      this.#own.register(index).invoke(NOTHING, this.nowMs),
    );
    const version = this.version(deleteGroups);
    const { results } = await this.ask(deleteGroups, version, { groupsNames: [this.#own.groupId] });
    this.#deleted('delete-group', results[0]!.errorCode, writes);
  }

  #deleted(what: string, errorCode: number, writes: readonly OffsetWrite[]): void {
    const error = errorCode === 0 ? undefined : this.refusedWith(what, errorCode);
    if (error === undefined) this.count(`${what}.done`);
    for (const write of writes) {
      if (error === undefined) {
        write.outcome = 'done';
        write.returnedMs = Math.min(write.returnedMs, this.nowMs);
      } else if (error === 'COORDINATOR_LOAD_IN_PROGRESS') write.outcome = 'refused';
    }
  }

  async #describe(view: GroupView): Promise<void> {
    const version = this.version(describeGroups);
    const { groups } = await this.ask(describeGroups, version, { groups: [view.groupId] });
    const group = groups[0]!;
    if (group.errorCode !== 0) {
      this.refusedWith('describe', group.errorCode);
      return;
    }
    if (!STATES.has(group.groupState))
      throw new Violation('state', `${group.groupId} is ${group.groupState}`);
    this.count(`describe.${group.groupState}`);
    if (group.groupState !== 'Stable') return;
    const owned = new Set<number>();
    for (const { memberAssignment } of group.members) {
      if (memberAssignment.length === 0) continue;
      for (const partition of this.#partitionsIn(memberAssignment)) {
        if (owned.has(partition)) {
          throw new Violation('assignment', `${group.groupId}: partition ${partition} has two owners`);
        }
        owned.add(partition);
      }
    }
  }

  async #list(): Promise<void> {
    const { errorCode, groups } = await this.ask(listGroups, this.version(listGroups), {});
    if (errorCode !== 0) {
      this.count(`list.${errorName(errorCode)}`);
      return;
    }
    this.count('list.done');
    const ids = groups.map(({ groupId }) => groupId);
    if (new Set(ids).size < ids.length) throw new Violation('list', `a group is listed twice: ${ids.join()}`);
  }
}

/** A connection of its own, from which offsets are looked at. */
class Onlooker extends GroupClient {
  /** It does nothing unless it is told to. */
  protected step(): Promise<void> {
    return Promise.resolve();
  }

  async look(view: GroupView, goesOn: () => boolean): Promise<void> {
    for (let looks = 0; looks < LOOKS_MAX && goesOn(); looks++) {
      await this.fetchOffsets(view);
      await this.sleep(this.random.fraction() * LOOK_PAUSE_MS_MAX);
    }
  }
}

/** As the members of the scenario `groups` write it. */
function partitionsOfMember(assignment: Uint8Array): readonly number[] {
  return (JSON.parse(Buffer.from(assignment).toString()) as { partitions: number[] }).partitions;
}

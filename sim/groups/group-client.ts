import { findCoordinator, kafkaErrors, offsetCommit, offsetFetch } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { Client, errorName, type BaseHost } from '../broker/clients.ts';
import { ConnectionLost } from '../broker/connection.ts';
import { NOTHING, type GroupsModel, type GroupView, type OffsetWrite } from './model.ts';

/** Errors that say for certain that nothing was committed. */
const CERTAIN = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'FENCED_INSTANCE_ID',
  'REBALANCE_IN_PROGRESS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'STALE_MEMBER_EPOCH',
  'GROUP_ID_NOT_FOUND',
]);
/** Answers that say that the coordinator is not there at present. */
export const TRANSIENT = new Set([
  'NOT_COORDINATOR',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
]);
const NAMES_UNTIL = 9;
const STABLE_SINCE = 7;
const MANY_SINCE = 8;
const UNSTABLE = kafkaErrors.UNSTABLE_OFFSET_COMMIT.code;
const MANY_KEYS_SINCE = 4;

export interface GroupHost extends BaseHost {
  readonly model: GroupsModel;
  /** From now on mortal members are dead. */
  readonly quitting: () => boolean;
}

/** A client that commits and reads offsets of groups, and tells the model. */
export abstract class GroupClient extends Client<GroupHost> {
  /** Nobody has told yet who coordinates, or whoever was asked did not. */
  #lost = true;

  /** As clients do first, and each time that an answer says that the coordinator is elsewhere. */
  protected async findCoordinator(view: GroupView): Promise<void> {
    if (!this.#lost) return;
    const version = this.version(findCoordinator);
    const many = version >= MANY_KEYS_SINCE;
    const keys = many ? { coordinatorKeys: [view.groupId] } : { key: view.groupId };
    const response = await this.ask(findCoordinator, version, keys);
    const found = many ? response.coordinators[0]! : response;
    if (found.errorCode === 0) this.#lost = false;
    else this.refusedWith('find', found.errorCode);
    this.count('find.coordinator');
  }

  protected get nowMs(): number {
    return this.host.world.nowMs;
  }

  /** Resolves with the error's name, or undefined. */
  protected async commit(
    view: GroupView,
    partitions: readonly number[],
    as: {
      readonly generationId: number;
      readonly memberId: string;
      readonly groupInstanceId: string | null;
      /** The least version that may be used. */
      readonly since?: number;
    },
  ): Promise<string | undefined> {
    const { topic } = this.host.model;
    const invokedMs = this.nowMs;
    const writes = new Map<number, OffsetWrite>();
    for (const partition of partitions) {
      writes.set(partition, view.register(partition).invoke(this.host.model.next(), invokedMs));
    }
    const { since = as.groupInstanceId === null ? 2 : 7 } = as;
    const version = this.version(offsetCommit, since, NAMES_UNTIL);
    const { topics } = await this.ask(offsetCommit, version, {
      groupId: view.groupId,
      memberId: as.memberId,
      generationIdOrMemberEpoch: as.generationId,
      groupInstanceId: as.groupInstanceId,
      topics: [
        {
          name: topic,
          partitions: [...writes].map(([partitionIndex, { value }]) => ({
            partitionIndex,
            committedOffset: value,
            committedMetadata: `at ${value}`,
          })),
        },
      ],
    });
    let failure: string | undefined;
    for (const { partitionIndex, errorCode } of topics[0]!.partitions) {
      const write = writes.get(partitionIndex)!;
      if (errorCode === 0) {
        write.outcome = 'done';
        write.returnedMs = Math.min(write.returnedMs, this.nowMs);
        continue;
      }
      failure = this.refusedWith('commit', errorCode);
      if (CERTAIN.has(failure)) write.outcome = 'refused';
    }
    if (failure === undefined) {
      this.count('commit.done');
      if (as.generationId >= 0) view.committed(as.generationId, invokedMs);
    }
    return failure;
  }

  /** Reads all or some offsets of a group, and lets the model judge them. Whether all were told, and none was refused or not stable. */
  protected async fetchOffsets(view: GroupView, stable?: boolean): Promise<boolean> {
    const { topic } = this.host.model;
    const invokedMs = this.nowMs;
    const all = this.random.chance(0.3);
    const indexes = Array.from({ length: view.partitions }, (_, index) => index);
    const requireStable = stable ?? this.random.chance(0.5);
    const version = this.version(offsetFetch, requireStable ? STABLE_SINCE : all ? 2 : 1, NAMES_UNTIL);
    const asked = all ? null : [{ name: topic, partitionIndexes: indexes }];
    const response = await this.ask(
      offsetFetch,
      version,
      version >= MANY_SINCE
        ? { groups: [{ groupId: view.groupId, topics: asked }], requireStable }
        : { groupId: view.groupId, topics: asked, requireStable },
    );
    const answer = version >= MANY_SINCE ? response.groups[0]! : response;
    const partitions = answer.topics.find(({ name }) => name === topic)?.partitions ?? [];
    const codes = [answer.errorCode, ...partitions.map(({ errorCode }) => errorCode)].filter(
      (code) => code !== 0 && code !== UNSTABLE,
    );
    if (codes.length > 0) {
      this.refusedWith('fetch', codes[0]!);
      return false;
    }
    const told = new Map<number, number>();
    for (const index of indexes) {
      const found = partitions.find(({ partitionIndex }) => partitionIndex === index);
      if (found?.errorCode === UNSTABLE) {
        this.count('fetch.unstable');
        continue;
      }
      const offset = found?.committedOffset ?? NOTHING;
      if (offset !== NOTHING && found?.metadata !== `at ${offset}`) {
        throw new Violation('metadata', `${view.groupId}: ${offset} has the metadata ${found?.metadata}`);
      }
      // Asked for all, the broker tells of those that it has something of: one whose first offset is pending is not among them.
      view.register(index).read(offset, invokedMs, this.nowMs, requireStable && found !== undefined);
      told.set(index, offset);
    }
    view.readTogether(told);
    this.count('offsets.fetched');
    return told.size === indexes.length;
  }

  /** Counts an error, and refuses one that no client should see. */
  protected refusedWith(what: string, code: number): string {
    const name = errorName(code);
    this.count(`${what}.${name}`);
    this.#lost ||= TRANSIENT.has(name);
    if (name === 'UNKNOWN_SERVER_ERROR') throw new Violation('unexpected-error', `${this.name}: ${what}`);
    return name;
  }

  /** The connection breaks; what was asked for may have happened or not. */
  protected async breakOff(): Promise<void> {
    (await this.connection()).close();
    throw new ConnectionLost('broken off');
  }
}

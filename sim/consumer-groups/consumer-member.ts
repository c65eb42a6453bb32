import { consumerGroupHeartbeat, type ConsumerGroupHeartbeatRequestInit } from '@polylog/kafka-protocol';
import { GroupClient, TRANSIENT, type GroupHost } from '../groups/group-client.ts';
import type { GroupView } from '../groups/model.ts';
import { Violation } from '../invariants/history.ts';
import type { Ownership } from './ownership.ts';

const PAUSE_MS_MAX = 25;
const AWAY_MS_MAX = 400;
/** Far longer than a session, so that only sessions end the claims of members that are silent. */
const REBALANCE_TIMEOUT_MS = 60_000;
/** Of one more heartbeat before what was revoked is given up. */
const SLOW_CHANCE = 0.5;
/** Of another subscription, where one is told. */
const CHANGE_CHANCE = 0.1;
const COMMIT_SINCE = 9;
const REGEX_SINCE = 1;

export interface MemberOptions {
  readonly view: GroupView;
  readonly ownership: Ownership;
  readonly sessionMs: number;
  readonly instanceId: string | null;
  /** It subscribes by one of these, now and then by another, or by name; in the end by the first. Undefined: always by name. */
  readonly regexes?: readonly string[];
  readonly assignor?: string;
  /** It leaves for good then. */
  readonly isRetired: () => boolean;
}

/** A member of a group of KIP-848, as a consumer's client would be one. */
export class ConsumerMember extends GroupClient {
  readonly #options: MemberOptions;
  #lives = 0;
  #memberId = '';
  /** 0: it has to join. */
  #epoch = 0;
  #topicId = '';
  #owned: readonly number[] = [];
  /** By partition: the epoch that it said when it was given it. The partition was its own in no earlier one. */
  readonly #since = new Map<number, number>();
  /** Empty: by name. */
  #regex = '';
  #isRetired = false;
  /** The next request tells everything, since an answer may have been lost. */
  #tellsAll = true;

  constructor(host: GroupHost, name: string, options: MemberOptions) {
    super(host, name);
    this.#options = options;
    this.#beginLife();
  }

  get owned(): readonly number[] {
    return this.#owned;
  }

  get isMember(): boolean {
    return this.#epoch > 0;
  }

  get isRetired(): boolean {
    return this.#isRetired;
  }

  /** Its name in this life. */
  get #claimant(): string {
    return `${this.name}#${this.#lives}`;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.#isRetired) return;
    await this.findCoordinator(this.#options.view);
    if (this.#options.isRetired()) {
      await this.#leave(-1);
      this.#isRetired = true;
      return;
    }
    const dice = this.host.draining() ? this.random.fraction() * 0.85 : this.random.fraction();
    if (this.#epoch === 0 || dice < 0.6) await this.#heartbeat();
    else if (dice < 0.8) await this.#commit();
    else if (dice < 0.85) await this.#commitOfOldEpoch();
    else if (dice < 0.88) await this.#leaveForAWhile(-1);
    else if (dice < 0.91 && this.#options.instanceId !== null) await this.#leaveForAWhile(-2);
    else if (dice < 0.93) await this.#die();
    else if (dice < 0.95) await this.#stall();
  }

  async #heartbeat(): Promise<void> {
    const isJoining = this.#epoch === 0;
    const sentMs = this.nowMs;
    const { regexes } = this.#options;
    const version = this.version(consumerGroupHeartbeat, regexes === undefined ? 0 : REGEX_SINCE);
    const tellsAll = isJoining || this.#tellsAll;
    this.#tellsAll = true;
    if (tellsAll && regexes !== undefined) this.#chooseSubscription(regexes);
    const answer = await this.ask(consumerGroupHeartbeat, version, this.#request(tellsAll));
    if (answer.errorCode !== 0) {
      this.#refused(this.refusedWith('consumer-heartbeat', answer.errorCode));
      return;
    }
    this.#tellsAll = this.random.chance(0.3);
    if (answer.memberEpoch < this.#epoch) {
      throw new Violation('epoch', `${this.name} was in ${this.#epoch}, and is in ${answer.memberEpoch}`);
    }
    if (answer.memberEpoch <= 0) {
      throw new Violation('epoch', `${this.name} joins, and is told to be in ${answer.memberEpoch}`);
    }
    const saidEpoch = this.#epoch;
    this.#epoch = answer.memberEpoch;
    this.count(isJoining ? 'consumer-heartbeat.joined' : 'consumer-heartbeat.ok');
    if (answer.assignment !== null) this.#take(answer.assignment.topicPartitions, saidEpoch);
    const { ownership, sessionMs } = this.#options;
    ownership.claim(this.#claimant, this.#owned, sentMs + sessionMs, this.nowMs);
  }

  #chooseSubscription(regexes: readonly string[]): void {
    const before = this.#regex;
    if (this.host.draining()) this.#regex = regexes[0]!;
    else if (this.random.chance(CHANGE_CHANCE)) this.#regex = this.random.pick([...regexes, '']);
    if (before !== this.#regex) this.count('subscription.changed');
  }

  #take(
    topics: readonly { readonly topicId: string; readonly partitions: readonly number[] }[],
    saidEpoch: number,
  ): void {
    const assigned = topics.flatMap(({ partitions }) => partitions);
    const before = new Set(this.#owned);
    const hasLost = this.#owned.some((partition) => !assigned.includes(partition));
    // The application works on what it shall give up for a while; meanwhile it has it still.
    if (hasLost && this.random.chance(SLOW_CHANCE)) {
      this.count('consumer.revokes-slowly');
      this.#tellsAll = true;
      return;
    }
    if (hasLost) this.count('consumer.revoked');
    if (assigned.some((partition) => !before.has(partition))) this.count('consumer.assigned');
    this.#topicId = topics[0]?.topicId ?? this.#topicId;
    this.#owned = assigned;
    for (const partition of this.#since.keys())
      if (!assigned.includes(partition)) this.#since.delete(partition);
    for (const partition of assigned) if (!before.has(partition)) this.#since.set(partition, saidEpoch);
    this.#tellsAll ||= hasLost;
  }

  #request(tellsAll: boolean): ConsumerGroupHeartbeatRequestInit {
    const { view, instanceId, regexes, assignor = null } = this.#options;
    const owned = [{ topicId: this.#topicId, partitions: this.#owned }];
    const { topic } = this.host.model;
    return {
      groupId: view.groupId,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      instanceId,
      topicPartitions: this.#owned.length === 0 ? [] : owned,
      ...(tellsAll
        ? {
            rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
            serverAssignor: assignor,
            subscribedTopicNames: this.#regex === '' ? [topic] : [],
            ...(regexes === undefined ? {} : { subscribedTopicRegex: this.#regex }),
          }
        : {}),
    };
  }

  #refused(error: string): void {
    if (TRANSIENT.has(error)) return;
    switch (error) {
      // It expired while it was silent; or the group was given another protocol, or is nothing any more.
      case 'UNKNOWN_MEMBER_ID':
      case 'GROUP_ID_NOT_FOUND':
        this.#lose();
        return;
      // Its process before is still thought to be there.
      case 'UNRELEASED_INSTANCE_ID':
        return;
      case 'FENCED_INSTANCE_ID':
        this.#beginLife();
        return;
      default:
        throw new Violation('unexpected-error', `${this.name}: ${error}`);
    }
  }

  /** It has nothing any more, and comes again. */
  #lose(): void {
    this.#epoch = 0;
    this.#owned = [];
    this.#since.clear();
    this.#options.ownership.drop(this.#claimant);
  }

  /** Another process, with another member id. */
  #beginLife(): void {
    if (this.#lives > 0) this.#lose();
    this.#lives++;
    this.#memberId = `${this.name.replaceAll(' ', '-')}-${this.#lives}`;
  }

  async #commit(): Promise<void> {
    if (this.#owned.length === 0) return;
    const error = await this.#commitAs(this.#epoch, this.random.pick(this.#owned));
    // Another epoch is told by the next heartbeat.
    if (error !== undefined && error !== 'STALE_MEMBER_EPOCH') this.#refused(error);
  }

  #commitAs(generationId: number, partition: number): Promise<string | undefined> {
    const { view } = this.#options;
    const as = { generationId, memberId: this.#memberId, groupInstanceId: null, since: COMMIT_SINCE };
    return this.commit(view, [partition], as);
  }

  /** An epoch in which it did not have the partition; in one between that and the present one it may commit (KIP-1251). */
  async #commitOfOldEpoch(): Promise<void> {
    if (this.#owned.length === 0) return;
    const partition = this.random.pick(this.#owned);
    const since = this.#since.get(partition)!;
    if (since < 2) return;
    if (since < this.#epoch && (await this.#commitAs(since, partition)) === undefined) {
      this.count('consumer-commit.earlier-epoch');
    }
    if ((await this.#commitAs(since - 1, partition)) !== undefined) return;
    throw new Violation(
      'fencing',
      `${this.name} commits for ${partition} in epoch ${since - 1}, and has it since ${since}`,
    );
  }

  async #leave(epoch: number): Promise<void> {
    if (this.#epoch === 0) return;
    const { view, instanceId } = this.#options;
    const memberId = this.#memberId;
    // Should the answer be lost, the request may arrive late: nobody may use this id any more then.
    this.#beginLife();
    const version = this.version(consumerGroupHeartbeat);
    const { errorCode } = await this.ask(consumerGroupHeartbeat, version, {
      groupId: view.groupId,
      memberId,
      memberEpoch: epoch,
      instanceId,
    });
    if (this.random.chance(0.3)) this.#memberId = memberId;
    if (errorCode === 0) this.count(epoch === -1 ? 'consumer-leave.done' : 'consumer-leave.for-a-while');
    else this.refusedWith('consumer-leave', errorCode);
  }

  async #leaveForAWhile(epoch: number): Promise<void> {
    await this.#leave(epoch);
    await this.sleep(this.random.fraction() * AWAY_MS_MAX);
  }

  /** Its process is gone, and says nothing of it. */
  async #die(): Promise<void> {
    this.#beginLife();
    this.count('consumer.died');
    await this.breakOff();
  }

  /** It does nothing for longer than its session, and goes on as if nothing had happened. */
  async #stall(): Promise<void> {
    this.count('consumer.stalled');
    await this.sleep(this.#options.sessionMs * (1.2 + this.random.fraction()));
  }
}

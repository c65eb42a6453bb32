import { type Assignment, NOTHING_ASSIGNED } from '../../../src/groups/consumer/assignment.core.ts';
import type { ConsumerHeartbeatRequest } from '../../../src/groups/consumer/types.ts';
import type { Groups } from '../harness.ts';

/** A client of KIP-848 as it should be: it gives up what it is told to, and says so with its next heartbeat. */
export class ConsumerMember {
  readonly memberId: string;
  readonly #groups: Groups;
  readonly #joining: Partial<ConsumerHeartbeatRequest>;
  epoch = 0;
  heartbeatIntervalMs = 0;
  owned: Assignment = NOTHING_ASSIGNED;
  /** The last answer, if it was an error. */
  error: string | undefined;

  constructor(groups: Groups, memberId: string, joining: Partial<ConsumerHeartbeatRequest> = {}) {
    this.#groups = groups;
    this.memberId = memberId;
    this.#joining = joining;
    this.join();
  }

  join(): void {
    this.epoch = 0;
    this.owned = NOTHING_ASSIGNED;
    this.#send({
      rebalanceTimeoutMs: 30_000,
      subscribedTopics: ['input'],
      owned: NOTHING_ASSIGNED,
      ...this.#joining,
    });
  }

  /** Says what it has only if it is asked to, or has changed something. */
  beat(request: Partial<ConsumerHeartbeatRequest> = {}): void {
    this.#send({ owned: this.owned, ...request });
  }

  leave(epoch = -1): string | undefined {
    const { instanceId = null } = this.#joining;
    const answer = this.#groups.beat({ memberId: this.memberId, memberEpoch: epoch, instanceId });
    return answer?.error;
  }

  #send(request: Partial<ConsumerHeartbeatRequest>): void {
    const { groupId = 'g', instanceId = null } = this.#joining;
    const answer = this.#groups.beat({
      groupId,
      instanceId,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      ...request,
    })!;
    this.error = answer.error;
    if (answer.error !== undefined) return;
    this.epoch = answer.memberEpoch!;
    this.heartbeatIntervalMs = answer.heartbeatIntervalMs!;
    if (answer.assignment !== null) this.owned = answer.assignment!;
  }

  /** Partitions of the one topic that all tests have. */
  get partitions(): readonly number[] {
    return [...this.owned.values()].flat();
  }
}

import { heartbeat, joinGroup, leaveGroup, syncGroup, type JoinGroupResponse } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { GroupClient, TRANSIENT, type GroupHost } from './group-client.ts';
import type { GroupView } from './model.ts';

const PAUSE_MS_MAX = 25;
const SESSION_MS_CHOICES = [150, 300, 600];
const REBALANCE_MS_CHOICES = [200, 500, 1000];
const SYNC_DELAY_MS_MAX = 400;
const STATIC_SINCE = 5;
const KNOWN_ID_SINCE = 4;

type State =
  | { readonly kind: 'outside' }
  | { readonly kind: 'joined'; readonly generation: number; readonly partitions: readonly number[] };

/** A member of a classic group, as a consumer's client would be one: dynamic, or static with an instance id. */
export class Member extends GroupClient {
  readonly #view: GroupView;
  readonly #instanceId: string | null;
  /** It dies one day, and does not come back. */
  readonly #mortal: boolean;
  #gone = false;
  #memberId = '';
  /** Of a static member that died: under this id its old process may still be there. */
  #ghostId = '';
  /** The last one that it was in, and the one before. */
  #generation: number | undefined;
  #formerGeneration: number | undefined;
  #state: State = { kind: 'outside' };
  #sessionMs = 300;

  constructor(
    host: GroupHost,
    name: string,
    as: { readonly view: GroupView; readonly instanceId: string | null; readonly mortal: boolean },
  ) {
    super(host, name);
    this.#view = as.view;
    this.#instanceId = as.instanceId;
    this.#mortal = as.mortal;
  }

  get view(): GroupView {
    return this.#view;
  }

  get state(): State {
    return this.#state;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.#gone) return;
    if (this.#mortal && this.host.quitting()) {
      this.#gone = true;
      await this.breakOff();
    }
    await this.findCoordinator(this.#view);
    if (this.#state.kind === 'outside') {
      await this.#join();
      return;
    }
    const dice = this.host.draining() ? this.random.fraction() * 0.8 : this.random.fraction();
    if (this.#ghostId !== '' && dice < 0.05) await this.#haunt(this.#state.generation);
    else if (dice < 0.45) await this.#heartbeat(this.#state.generation);
    else if (dice < 0.8) await this.#commit(this.#state);
    else if (dice < 0.83) await this.#leave();
    else if (dice < 0.86) await this.#die();
    else if (dice < 0.88) await this.#stall();
    else if (dice < 0.9) this.#state = { kind: 'outside' }; // joins anew, as with another subscription
    else if (dice < 0.92) await this.#commitLate();
  }

  async #join(): Promise<void> {
    const isStatic = this.#instanceId !== null;
    const version = this.version(joinGroup, isStatic ? STATIC_SINCE : 0);
    this.#sessionMs = this.random.pick(SESSION_MS_CHOICES);
    const invokedMs = this.nowMs;
    const hadId = this.#memberId !== '';
    const response = await this.ask(joinGroup, version, {
      groupId: this.#view.groupId,
      sessionTimeoutMs: this.#sessionMs,
      rebalanceTimeoutMs: this.random.pick(REBALANCE_MS_CHOICES),
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      protocolType: 'consumer',
      protocols: this.#protocols(),
    });
    if (response.errorCode !== 0) {
      const error = this.refusedWith('join', response.errorCode);
      if (error === 'MEMBER_ID_REQUIRED') {
        if (version < KNOWN_ID_SINCE || isStatic || hadId)
          throw new Violation('protocol', `${this.name}: ${error}`);
        this.#memberId = response.memberId;
        return;
      }
      this.#refused(error);
      return;
    }
    if (hadId && !isStatic && response.memberId !== this.#memberId) {
      throw new Violation('member-id', `${this.#memberId} became ${response.memberId}`);
    }
    this.#memberId = response.memberId;
    this.#view.joined(response.generationId, invokedMs);
    this.count(isStatic ? 'join.static' : 'join.dynamic');
    await this.#sync(response);
  }

  #protocols() {
    const names = this.random.chance(0.5) ? ['range', 'other'] : ['range'];
    const metadata = Buffer.from(this.random.chance(0.1) ? 'changed' : 'metadata');
    return names.map((name) => ({ name, metadata }));
  }

  async #sync(join: JoinGroupResponse): Promise<void> {
    // Long enough, now and then, for the generation to be over.
    if (this.random.chance(0.1)) await this.sleep(this.random.fraction() * SYNC_DELAY_MS_MAX);
    const isLeader = join.leader === this.#memberId && !join.skipAssignment;
    if (join.skipAssignment) this.count('join.skip-assignment');
    const assignments = isLeader ? this.#assign(join) : [];
    const version = this.version(syncGroup, this.#instanceId === null ? 0 : 3);
    const response = await this.ask(syncGroup, version, {
      groupId: this.#view.groupId,
      generationId: join.generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      assignments,
    });
    if (response.errorCode !== 0) {
      this.#refused(this.refusedWith('sync', response.errorCode));
      return;
    }
    if (response.assignment.length === 0) {
      // Its leader did not know of it; it has to join again.
      this.count('sync.empty');
      return;
    }
    const { generation, nonce, partitions } = JSON.parse(Buffer.from(response.assignment).toString()) as {
      generation: number;
      nonce: number;
      partitions: number[];
    };
    // A static member that comes back works on in the generation that it finds.
    if (generation !== join.generationId) {
      throw new Violation('assignment', `${this.name} got that of ${generation} in ${join.generationId}`);
    }
    this.#view.synced(join.generationId, nonce, this.nowMs);
    this.count(isLeader ? 'sync.leader' : 'sync.follower');
    if (join.generationId !== this.#generation) this.#formerGeneration = this.#generation;
    this.#generation = join.generationId;
    this.#state = { kind: 'joined', generation: join.generationId, partitions };
  }

  #assign(join: JoinGroupResponse) {
    if (!join.members.some(({ memberId }) => memberId === this.#memberId)) {
      throw new Violation('members', `${this.name} leads a group that it is no member of`);
    }
    const nonce = this.host.model.next();
    return join.members.map(({ memberId }, index) => {
      const partitions = [];
      for (let at = index; at < this.#view.partitions; at += join.members.length) partitions.push(at);
      const assignment = { generation: join.generationId, nonce, partitions };
      return { memberId, assignment: Buffer.from(JSON.stringify(assignment)) };
    });
  }

  #refused(error: string): void {
    this.#state = { kind: 'outside' };
    if (error === 'UNKNOWN_MEMBER_ID' || error === 'FENCED_INSTANCE_ID') this.#memberId = '';
    else if (error === 'INCONSISTENT_GROUP_PROTOCOL') {
      throw new Violation('unexpected-error', `${this.name}: ${error}`);
    } else if (!TRANSIENT.has(error) && error !== 'REBALANCE_IN_PROGRESS' && error !== 'ILLEGAL_GENERATION') {
      throw new Violation('unexpected-error', `${this.name}: ${error}`);
    }
  }

  async #heartbeat(generationId: number): Promise<void> {
    const version = this.version(heartbeat, this.#instanceId === null ? 0 : 3);
    const { errorCode } = await this.ask(heartbeat, version, {
      groupId: this.#view.groupId,
      generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
    });
    if (errorCode === 0) {
      this.count('heartbeat.ok');
      return;
    }
    const error = this.refusedWith('heartbeat', errorCode);
    if (!TRANSIENT.has(error)) this.#refused(error);
  }

  async #commit({ generation, partitions }: Extract<State, { kind: 'joined' }>): Promise<void> {
    if (partitions.length === 0) return;
    const chosen = partitions.filter(() => this.random.chance(0.7));
    const error = await this.commit(this.#view, chosen.length === 0 ? partitions.slice(0, 1) : chosen, {
      generationId: generation,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
    });
    if (error === undefined || TRANSIENT.has(error)) return;
    this.#refused(error);
  }

  /** As of what was read before the last rebalance, and is done now. */
  async #commitLate(): Promise<void> {
    if (this.#formerGeneration === undefined) return;
    await this.commit(this.#view, [0], {
      generationId: this.#formerGeneration,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
    });
  }

  async #leave(): Promise<void> {
    const version = this.version(leaveGroup, this.#instanceId === null ? 0 : 3);
    const memberId = this.#memberId;
    this.#state = { kind: 'outside' };
    const many = version >= 3;
    const { errorCode, members } = await this.ask(leaveGroup, version, {
      groupId: this.#view.groupId,
      ...(many ? { members: [{ memberId, groupInstanceId: this.#instanceId }] } : { memberId }),
    });
    this.#memberId = '';
    const code = errorCode === 0 && many ? members[0]!.errorCode : errorCode;
    if (code === 0) this.count('leave.done');
    else this.refusedWith('leave', code);
  }

  /** Its process is gone; a static one comes back under its instance id. */
  async #die(): Promise<void> {
    this.#state = { kind: 'outside' };
    if (this.#instanceId !== null) this.#ghostId = this.#memberId;
    this.#memberId = '';
    this.count('member.died');
    await this.breakOff();
  }

  /** KIP-345: the old process of a static member must be told that another one has its place. */
  async #haunt(generationId: number): Promise<void> {
    const memberId = this.#ghostId;
    this.#ghostId = '';
    const as = { generationId, memberId, groupInstanceId: this.#instanceId };
    const error = await this.commit(this.#view, [0], as);
    if (error === undefined)
      throw new Violation('fencing', `${this.name} is there twice, also as ${memberId}`);
    this.count(`ghost.${error}`);
  }

  /** It does nothing for longer than its session, and goes on as if nothing had happened. */
  async #stall(): Promise<void> {
    this.count('member.stalled');
    await this.sleep(this.#sessionMs * (1.2 + this.random.fraction()));
  }
}

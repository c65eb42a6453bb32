/** One consumer group under a steady producer: members come and go, and at the end everything must have been consumed. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { RECORDS_PER_BATCH, startKafkaJsLoad, type Load } from '../longrun/load.ts';
import { Consumption } from './consumption.ts';
import { GroupObserver, type DescribedGroup, type Regression } from './group-observer.ts';
import { Member, type MemberKind, type MemberOptions } from './member.ts';

const PRODUCE_PAUSE_MS = 200;
/** Of the load, to each partition, at most. */
const RECORDS_PER_SECOND = (1_000 / PRODUCE_PAUSE_MS) * RECORDS_PER_BATCH;
const CONSUME_DEADLINE_MS = 30_000;
const POLL_MS = 50;
/** Clients want a rebalance time-out above the session time-out; short, as the group waits so long for one that misses a rebalance. */
const REBALANCE_BEYOND_SESSION_MS = 1_000;

export interface GroupRunOptions {
  readonly address: string;
  readonly groupId: string;
  readonly partitions: number;
  readonly assignor: MemberOptions['assignor'];
  readonly sessionTimeoutMs: number;
}

export interface GroupRunReport {
  readonly acknowledged: number;
  readonly consumed: number;
  readonly repeated: number;
  /** How often the committed offsets were asked for. */
  readonly samples: number;
  readonly stepsBack: number;
}

export class GroupRun {
  readonly topic: string;
  readonly observer: GroupObserver;
  readonly #options: GroupRunOptions;
  readonly #load: Load;
  readonly #consumption = new Consumption();
  readonly #members = new Map<string, Member>();
  readonly #stalled = new Set<string>();
  #started = 0;

  private constructor(options: GroupRunOptions, topic: string, observer: GroupObserver, load: Load) {
    this.#options = options;
    this.topic = topic;
    this.observer = observer;
    this.#load = load;
  }

  /** Creates the topic, named after the group, and begins to produce to it. */
  static async start(options: GroupRunOptions): Promise<GroupRun> {
    const { address, groupId, partitions } = options;
    const topic = `${groupId}-topic`;
    const admin = new Admin({ clientId: 'group-run', bootstrapBrokers: [address] });
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
    await admin.close();
    const observer = await GroupObserver.open(address, groupId);
    observer.startSampling(topic, partitions);
    const load = await startKafkaJsLoad({ address, topic, partitions, pauseMs: PRODUCE_PAUSE_MS });
    return new GroupRun(options, topic, observer, load);
  }

  /** The names of the members that are alive. */
  get live(): string[] {
    return [...this.#members.keys()].filter((name) => !this.#stalled.has(name));
  }

  /** Starts a member; its name, which is its client id too. A static member's client id is its instance id: the group keeps the first one. */
  join(kind: MemberKind, { instanceId }: { instanceId?: string } = {}): string {
    const { address, groupId, assignor, sessionTimeoutMs } = this.#options;
    const rebalanceTimeoutMs = sessionTimeoutMs + REBALANCE_BEYOND_SESSION_MS;
    const name = `${kind}-${++this.#started}`;
    const options: MemberOptions = {
      address,
      topic: this.topic,
      groupId,
      assignor,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      heartbeatMs: Math.floor(sessionTimeoutMs / 6),
      ...(instanceId === undefined ? {} : { instanceId }),
    };
    this.#members.set(
      name,
      Member.start(kind, name, options, {
        record: (partition, offset) => this.#consumption.add(name, partition, offset),
      }),
    );
    return name;
  }

  async leave(name: string): Promise<void> {
    const member = this.#member(name);
    this.#members.delete(name);
    await member.leave();
  }

  async crash(name: string): Promise<void> {
    const member = this.#member(name);
    this.#members.delete(name);
    this.#stalled.delete(name);
    await member.crash();
  }

  /** Waits until a member ends by itself. */
  async ended(name: string): Promise<Member> {
    const member = this.#member(name);
    await member.ended();
    this.#members.delete(name);
    return member;
  }

  stall(name: string): void {
    this.#member(name).stall();
    this.#stalled.add(name);
  }

  resume(name: string): void {
    this.#member(name).resume();
    this.#stalled.delete(name);
  }

  /** Waits until the group is Stable with the live members, and each partition is with one of them. */
  async stable(): Promise<DescribedGroup> {
    const clientIds = this.live.map((name) => this.#member(name).clientId);
    try {
      return await this.observer.untilStable(clientIds, {
        topic: this.topic,
        partitions: this.#options.partitions,
      });
    } catch (error) {
      throw new Error(`${String(error)}\n${this.#describeMembers()}`, { cause: error });
    }
  }

  /** Waits until a member has consumed something from now on. */
  async consumes(name: string): Promise<void> {
    const member = this.#member(name);
    const before = member.records;
    const deadlineMs = performance.now() + CONSUME_DEADLINE_MS;
    while (member.records === before) {
      if (performance.now() > deadlineMs)
        throw new Error(`${name} consumes nothing\n${this.#describeMembers()}`);
      await sleep(POLL_MS);
    }
  }

  /**
   * Stops the producer, waits until the members have consumed and committed all of it, and ends them.
   * @param stepsBackMax how often a client may commit a little less than before, by less than a second of the load: the broker
   * cannot refuse that while the generation is the present one. What a broker forgets, or takes from a former member, is more.
   * @throws AssertionError if a record was not consumed, or a committed offset went back
   */
  async finish({ stepsBackMax = 0 } = {}): Promise<GroupRunReport> {
    await this.#load.stop();
    const { acknowledged } = this.#load;
    await this.#untilConsumed();
    const { samples, regressions } = await this.observer.stopSampling();
    for (const name of this.#members.keys()) await this.leave(name);
    const isStep = ({ from, to }: Regression): boolean => to >= 0 && from - to <= RECORDS_PER_SECOND;
    const steps = regressions.filter((regression) => isStep(regression));
    const isAllowed = steps.length === regressions.length && steps.length <= stepsBackMax;
    if (!isAllowed) assert.deepEqual(regressions, [], 'committed offsets went back');
    assert.ok(samples > 10 && acknowledged.length > 0);
    const { total: consumed, repeated } = this.#consumption;
    return { acknowledged: acknowledged.length, consumed, repeated, samples, stepsBack: steps.length };
  }

  /** Ends whatever still runs, after a failure too. */
  async dispose(): Promise<void> {
    this.observer.close();
    await this.#load.stop();
    for (const member of this.#members.values()) await member.crash();
  }

  async #untilConsumed(): Promise<void> {
    const { acknowledged } = this.#load;
    const ends: number[] = Array.from({ length: this.#options.partitions }, () => 0);
    for (const { partition, offset } of acknowledged)
      ends[partition] = Math.max(ends[partition] ?? 0, offset + 1);
    const deadlineMs = performance.now() + CONSUME_DEADLINE_MS;
    for (;;) {
      const missing = this.#consumption.missing(acknowledged);
      const committed = (await this.observer.committed(this.topic, ends.length)) ?? [];
      if (missing.length === 0 && ends.every((end, partition) => (committed[partition] ?? -1) >= end)) return;
      if (performance.now() > deadlineMs) {
        assert.fail(
          `${missing.length} of ${acknowledged.length} acknowledged records were not consumed; committed are ${committed.join()} of ${ends.join()}\n` +
            `${this.#consumption.describeGaps(missing)}\n${this.#describeMembers()}`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    assert.ok(member !== undefined, `there is no member ${name}`);
    return member;
  }

  #describeMembers(): string {
    return [...this.#members.values()]
      .map((member) => {
        const state = member.isRunning ? 'runs' : `ended with ${member.exitCode}`;
        return `${member.name} ${state}, ${member.records} records\n  ${member.notes.slice(-10).join('\n  ')}`;
      })
      .join('\n');
  }
}

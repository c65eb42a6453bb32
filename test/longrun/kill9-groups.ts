/**
 * Kills a broker with SIGKILL again and again during rebalances and commits: stock clients, of the classic protocol and of KIP-848,
 * are members of one group, and come and go; plain requests commit for others. Afterwards no acknowledged commit may be gone, and
 * everything produced must have been consumed. Usage: npm run chaos:groups -- [--rounds 50] [--seed N] [--clients kafkajs,librdkafka,...] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { commandOptions, flag, integer, seedOption, someOf } from '../../scripts/options.ts';
import { Consumption } from '../clients/consumption.ts';
import { describeGroup, isStableWith, summaryOf, type DescribedGroup } from '../clients/group-observer.ts';
import { LastingClient } from '../clients/lasting-client.ts';
import { Member, MEMBER_KINDS, peersOf, type MemberKind } from '../clients/member.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { CommitLedger, type CommitViolation } from './commit-ledger.ts';
import { startKafkaJsLoad, type Load } from './load.ts';
import { CommitLoad, observeCommitted } from './raw-commits.ts';
import { randomOf } from './random.ts';

const GROUP = 'members';
const TOPIC = 'consumed';
const COMMIT_TOPIC = 'committed';
const PARTITIONS = 12;
const COMMIT_GROUPS = 8;
const COMMITS_PER_ROUND = 200;
const MEMBERS_MIN = 2;
const MEMBERS_MAX = 4;
const SESSION_TIMEOUT_MS = 3_000;
const REBALANCE_TIMEOUT_MS = 4_000;
const HEARTBEAT_MS = 300;
/** A stalled member is woken after so long: its session is over by then, often. */
const STALL_MS_MAX = 5_000;
/** A round waits so long for the rebalance that its action causes, before it kills the broker anyway. */
const REBALANCE_WAIT_MS = 5_000;
/** The broker is killed up to so long after the group was seen between two generations. */
const KILL_AFTER_MS_MAX = 200;
const LEAVE_DEADLINE_MS = 5_000;
const STABLE_DEADLINE_MS = 60_000;
const CONSUME_DEADLINE_MS = 40_000;
const POLL_MS = 20;
const PRODUCE_PAUSE_MS = 100;
const SETTINGS = {
  'group.min.session.timeout.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.session.timeout.ms': String(SESSION_TIMEOUT_MS),
  'group.consumer.heartbeat.interval.ms': String(HEARTBEAT_MS),
  // Few and small, so that each is rolled and compacted while it is written.
  'offsets.topic.num.partitions': '4',
  'offsets.topic.segment.bytes': String(1024 * 1024),
};

export interface Kill9GroupsOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly data: string;
  readonly clients?: readonly MemberKind[];
  readonly report?: (line: string) => void;
}

export interface Kill9GroupsReport {
  readonly rounds: number;
  /** Of the kills, how many found the group between two generations, as it was seen last. */
  readonly killsInRebalance: number;
  readonly commitsAcknowledged: number;
  /** Answers about committed offsets that were compared with what was acknowledged. */
  readonly answersCompared: number;
  readonly recoveryMsMax: number;
  /** From the restarted broker's first moment to the group Stable with the live members. */
  readonly stableMsMax: number;
  /** Members that ended by themselves and were started again. */
  readonly membersRestarted: number;
  /** Members that were asked to leave, did not, and were killed. */
  readonly membersStuck: number;
  readonly produced: number;
  readonly consumed: number;
  readonly repeated: number;
  /** Acknowledged records that no member has consumed, and the members, as text; empty if there are none. */
  readonly unconsumed: string;
  readonly violations: readonly CommitViolation[];
  readonly stopCode: number | null;
}

/**
 * With members of KIP-848 among them: the group goes over to their protocol, and back, while the others run. Beside those the classic members of
 * @platformatic/kafka cannot live: they ask for offsets with their member ids and no epochs, which coordinators refuse (Kafka's too, error 22).
 */
export const DEFAULT_CLIENTS: readonly MemberKind[] = ['librdkafka', 'kafkajs', 'java-consumer'];

/** One run. Needs the peers of its clients. */
export async function runKill9Groups(options: Kill9GroupsOptions): Promise<Kill9GroupsReport> {
  const broker = await BrokerProcess.create({ data: options.data, settings: SETTINGS });
  await broker.start();
  const chaos = await Chaos.start(broker, options);
  try {
    for (let round = 1; round <= options.rounds; round++) await chaos.round(round);
    return await chaos.finish();
  } finally {
    await chaos.dispose();
    await broker.kill();
  }
}

class Chaos {
  readonly #broker: BrokerProcess;
  readonly #options: Kill9GroupsOptions;
  readonly #random: () => number;
  readonly #ledger = new CommitLedger();
  readonly #consumption = new Consumption();
  readonly #members = new Map<string, Member>();
  /** Names of members that stand still, with the moment at which they go on. */
  readonly #stalled = new Map<string, number>();
  readonly #observer: LastingClient;
  readonly #watcher: LastingClient;
  readonly #commits: CommitLoad[] = [];
  #load: Load | undefined;
  #lastSeen: DescribedGroup | undefined;
  #watching: Promise<void> | undefined;
  #closing = false;
  #started = 0;
  #killsInRebalance = 0;
  #membersRestarted = 0;
  #membersStuck = 0;
  #recoveryMsMax = 0;
  #stableMsMax = 0;

  private constructor(broker: BrokerProcess, options: Kill9GroupsOptions) {
    this.#broker = broker;
    this.#options = options;
    this.#random = randomOf(options.seed);
    this.#observer = new LastingClient(broker.kafkaAddress);
    this.#watcher = new LastingClient(broker.kafkaAddress);
  }

  static async start(broker: BrokerProcess, options: Kill9GroupsOptions): Promise<Chaos> {
    const chaos = new Chaos(broker, options);
    const address = broker.kafkaAddress;
    const admin = new Admin({ clientId: 'chaos', bootstrapBrokers: [address] });
    await admin.createTopics({ topics: [TOPIC, COMMIT_TOPIC], partitions: PARTITIONS, replicas: 1 });
    // Makes the broker create __consumer_offsets.
    await admin.findCoordinator({ keyType: 0, keys: [GROUP] });
    await admin.close();
    chaos.#load = await startKafkaJsLoad({
      address,
      topic: TOPIC,
      partitions: PARTITIONS,
      pauseMs: PRODUCE_PAUSE_MS,
    });
    for (let index = 0; index < COMMIT_GROUPS; index++) {
      const target = { address, group: `commits-${index}`, topic: COMMIT_TOPIC, partitions: PARTITIONS };
      chaos.#commits.push(new CommitLoad(target, chaos.#ledger));
    }
    for (let count = 0; count < MEMBERS_MIN; count++) chaos.#join();
    await chaos.#untilStable();
    chaos.#watching = chaos.#watch();
    return chaos;
  }

  /** Something happens to a member, the broker is killed meanwhile, and all go on with its successor. */
  async round(round: number): Promise<void> {
    const before = this.#ledger.acknowledged;
    const action = await this.#act();
    await this.#untilRebalance();
    while (this.#ledger.acknowledged - before < COMMITS_PER_ROUND) await this.#pause();
    await sleep(this.#random() * KILL_AFTER_MS_MAX);
    const state = this.#lastSeen?.state ?? 'unknown';
    if (state !== 'Stable' && state !== 'Empty') this.#killsInRebalance++;
    await this.#broker.kill();
    const commits = this.#ledger.acknowledged - before;
    const recoveryMs = await this.#broker.start();
    this.#recoveryMsMax = Math.max(this.#recoveryMsMax, recoveryMs);
    await this.#compareAll();
    const stableMs = await this.#untilStable();
    this.#stableMsMax = Math.max(this.#stableMsMax, stableMs);
    this.#options.report?.(
      `round ${round}/${this.#options.rounds}: ${action}; killed when ${state}, after ${commits} commits; up after ` +
        `${recoveryMs.toFixed(0)} ms, Stable with ${this.#live.length} members after ${stableMs.toFixed(0)} ms; ` +
        `${this.#ledger.violations.length} violations`,
    );
  }

  /** Ends the load, waits until all is consumed, and stops the broker. */
  async finish(): Promise<Kill9GroupsReport> {
    const load = this.#load!;
    for (const name of this.#stalled.keys()) this.#wake(name);
    await load.stop();
    await this.#untilConsumed(load);
    const unconsumed = await this.#describeUnconsumed(load);
    for (const commits of this.#commits) await commits.stop();
    await this.#compareAll();
    this.#closing = true;
    await this.#watching;
    for (const member of this.#members.values()) await this.#leave(member);
    this.#members.clear();
    // A clean stop keeps what is committed too.
    const stopCode = await this.#broker.stop();
    await this.#broker.start();
    await this.#compareAll();
    await this.#broker.stop();
    return {
      rounds: this.#options.rounds,
      killsInRebalance: this.#killsInRebalance,
      commitsAcknowledged: this.#ledger.acknowledged,
      answersCompared: this.#ledger.observed,
      recoveryMsMax: this.#recoveryMsMax,
      stableMsMax: this.#stableMsMax,
      membersRestarted: this.#membersRestarted,
      membersStuck: this.#membersStuck,
      produced: load.acknowledged.length,
      consumed: this.#consumption.total,
      repeated: this.#consumption.repeated,
      unconsumed,
      violations: this.#ledger.violations,
      stopCode,
    };
  }

  async dispose(): Promise<void> {
    this.#closing = true;
    await this.#watching;
    for (const member of this.#members.values()) await member.crash();
    if (!this.#broker.isRunning) await this.#broker.start();
    await Promise.all([...this.#commits.map((commits) => commits.stop()), this.#load?.stop()]);
    this.#observer.close();
    this.#watcher.close();
  }

  get #live(): string[] {
    return [...this.#members.keys()].filter((name) => !this.#stalled.has(name));
  }

  #join(kind = pick(this.#options.clients ?? DEFAULT_CLIENTS, this.#random)): string {
    const name = `${kind}-${++this.#started}`;
    const options = {
      address: this.#broker.kafkaAddress,
      topic: TOPIC,
      groupId: GROUP,
      assignor: 'roundrobin',
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      heartbeatMs: HEARTBEAT_MS,
    } as const;
    const member = Member.start(kind, name, options, {
      record: (partition, offset) => this.#consumption.add(name, partition, offset),
      committed: (partition, offset) => this.#ledger.acknowledge(GROUP, partition, offset),
    });
    this.#members.set(name, member);
    return name;
  }

  /** A member joins, leaves, crashes or stalls; what happened, as text. */
  async #act(): Promise<string> {
    const live = this.#live;
    if (live.length <= MEMBERS_MIN) return `${this.#join()} joins`;
    const name = pick(live, this.#random);
    const member = this.#members.get(name)!;
    const chance = this.#random();
    if (chance < 0.25 && live.length < MEMBERS_MAX) return `${this.#join()} joins`;
    if (chance < 0.5) {
      this.#members.delete(name);
      return (await this.#leave(member)) ? `${name} leaves` : `${name} does not leave and is killed`;
    }
    if (chance < 0.75) {
      this.#members.delete(name);
      await member.crash();
      return `${name} crashes`;
    }
    member.stall();
    this.#stalled.set(name, performance.now() + this.#random() * STALL_MS_MAX);
    return `${name} stalls`;
  }

  /** Some clients do not find their way out after the broker has been away. */
  async #leave(member: Member): Promise<boolean> {
    const left = await member.tryToLeave(LEAVE_DEADLINE_MS);
    if (!left) this.#membersStuck++;
    return left;
  }

  #wake(name: string): void {
    this.#members.get(name)?.resume();
    this.#stalled.delete(name);
  }

  /** Waits a little; wakes who has stalled for long enough, starts again who ended by itself. */
  async #pause(): Promise<void> {
    await sleep(POLL_MS);
    for (const [name, wakeMs] of this.#stalled) if (performance.now() >= wakeMs) this.#wake(name);
    for (const [name, member] of this.#members) {
      if (member.isRunning) continue;
      this.#members.delete(name);
      this.#membersRestarted++;
      this.#options.report?.(`${name} ended with ${member.exitCode}: ${member.notes.slice(-3).join(' | ')}`);
      this.#join(member.kind);
    }
  }

  /** Asks all the time what is committed and in which state the group is. */
  async #watch(): Promise<void> {
    for (let turn = 0; !this.#closing; turn++) {
      const described = await this.#watcher.use((client) => describeGroup(client, GROUP));
      if (described !== undefined) this.#lastSeen = described;
      await observeCommitted(
        this.#watcher,
        { group: GROUP, topic: TOPIC, partitions: PARTITIONS },
        this.#ledger,
      );
      const group = `commits-${turn % COMMIT_GROUPS}`;
      await observeCommitted(
        this.#watcher,
        { group, topic: COMMIT_TOPIC, partitions: PARTITIONS },
        this.#ledger,
      );
      await sleep(POLL_MS / 4);
    }
  }

  async #untilRebalance(): Promise<void> {
    const deadlineMs = performance.now() + REBALANCE_WAIT_MS;
    while (this.#lastSeen?.state === 'Stable' && performance.now() < deadlineMs) await this.#pause();
  }

  /** Every group once. */
  async #compareAll(): Promise<void> {
    const groups = Array.from({ length: COMMIT_GROUPS }, (_, index) => ({
      group: `commits-${index}`,
      topic: COMMIT_TOPIC,
    }));
    for (const target of [...groups, { group: GROUP, topic: TOPIC }]) {
      const asked = { ...target, partitions: PARTITIONS };
      while ((await observeCommitted(this.#observer, asked, this.#ledger)) === undefined)
        await sleep(POLL_MS);
    }
  }

  /** Waits until the group is Stable with the live members; how long that took. */
  async #untilStable(): Promise<number> {
    const startedMs = performance.now();
    for (;;) {
      const group = await this.#observer.use((client) => describeGroup(client, GROUP));
      const live = this.#live;
      if (group !== undefined && isStableWith(group, live, { topic: TOPIC, partitions: PARTITIONS })) {
        return performance.now() - startedMs;
      }
      if (!this.#broker.isRunning) throw new Error(`the broker ended by itself\n${this.#broker.output}`);
      if (performance.now() - startedMs > STABLE_DEADLINE_MS) {
        const found = group === undefined ? 'not described' : summaryOf(group, TOPIC);
        throw new Error(
          `the group is ${found} after ${STABLE_DEADLINE_MS} ms, not Stable with [${live.join()}]`,
        );
      }
      await this.#pause();
    }
  }

  /** What nobody has consumed, and who should have; empty if there is nothing. */
  async #describeUnconsumed({ acknowledged }: Load): Promise<string> {
    const missing = this.#consumption.missing(acknowledged);
    if (missing.length === 0) return '';
    const group = await this.#observer.use((client) => describeGroup(client, GROUP));
    const members = group?.members.map(
      ({ clientId, assignment }) => `${clientId}: ${assignment.get(TOPIC)?.join() ?? 'nothing'}`,
    );
    const notes = [...this.#members.values()].map(
      ({ name, notes: all }) => `${name} said ${all.slice(-5).join(' | ')}`,
    );
    return [this.#consumption.describeGaps(missing), group?.state, ...(members ?? []), ...notes].join('\n');
  }

  async #untilConsumed({ acknowledged }: Load): Promise<void> {
    const deadlineMs = performance.now() + CONSUME_DEADLINE_MS;
    while (this.#consumption.missing(acknowledged).length > 0 && performance.now() < deadlineMs)
      await this.#pause();
  }
}

function pick<T>(values: readonly T[], random: () => number): T {
  return values[Math.floor(random() * values.length)]!;
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:groups',
    summary:
      'Kills a broker during rebalances and commits of consumer groups, and looks for the acknowledged commits.',
    options: {
      rounds: integer('times that it is killed', { default: 50, min: 1 }),
      seed: seedOption('of the chance in the program'),
      clients: someOf('kinds of members', { values: MEMBER_KINDS, default: DEFAULT_CLIENTS }),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { clients } = values;
  const { skip } = await requirePeer(...peersOf(clients));
  if (skip !== false) throw new Error(skip);
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-kill9-groups-'));
  console.log(`seed ${values.seed}, data in ${data}`);
  const startedMs = performance.now();
  const { violations, unconsumed, ...figures } = await runKill9Groups({
    rounds: values.rounds,
    seed: values.seed,
    data,
    clients,
    report: (line) => console.log(line),
  });
  console.log(JSON.stringify(figures, undefined, 2));
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  console.log(`acknowledged records that were not consumed: ${unconsumed === '' ? 'none' : unconsumed}`);
  console.log(`violations: ${violations.length}`);
  for (const violation of violations.slice(0, 20)) console.log(`  ${JSON.stringify(violation)}`);
  const passed = violations.length === 0 && unconsumed === '' && figures.stopCode === 0;
  if (passed && !values.keep) rmSync(data, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();

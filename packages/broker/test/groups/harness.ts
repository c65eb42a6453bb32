import { NO_PRODUCER_ID } from '@polylog/record';
import type { Durability, StateRecord, TransactionProducer } from '../../src/coordinator/types.ts';
import type { ErrorName } from '../../src/errors.ts';
import type { Assignment } from '../../src/groups/consumer/assignment.core.ts';
import type {
  ConsumerHeartbeatRequest,
  ConsumerHeartbeatResponse,
  DescribedConsumerGroup,
  KnownTopic,
  TopicView,
} from '../../src/groups/consumer/types.ts';
import { GroupsCore } from '../../src/groups/groups.core.ts';
import { ExpressionCache } from '../../src/expressions/cache.ts';
import { STEPS_PER_BUILD_UNIT, StepBudget } from '../../src/expressions/step-budget.core.ts';
import {
  noGroups,
  type FetchOffsetsResponse,
  type GroupSettings,
  type JoinRequest,
  type JoinResponse,
  type Refused,
  type SyncResponse,
  type VerifiedCommit,
} from '../../src/groups/types.ts';
import { CoreBench, FakeLog } from '../coordinator/core-bench.ts';

export const SETTINGS: GroupSettings = {
  sessionTimeoutMinMs: 1000,
  sessionTimeoutMaxMs: 60_000,
  initialRebalanceDelayMs: 0,
  membersMax: 10,
  groupsMax: 5,
  offsetsPerGroupMax: 100,
  metadataBytesMax: 64 * 1024 * 1024,
  offsetMetadataBytesMax: 4096,
  offsetsRetentionMs: 1_000_000,
  retentionCheckMs: 100_000,
  consumer: {
    enabled: true,
    membersMax: 10,
    assignors: ['uniform', 'range'],
    migrationPolicy: 'bidirectional',
    assignmentStepsPerTurnMax: 50_000,
  },
};
export const TIMES = { sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000 };

/** What the log holds: records, those of transactions with their producer's id, and the markers that end those. */
type Entry =
  | { readonly kind: 'record'; readonly record: StateRecord; readonly producerId: number }
  | { readonly kind: 'marker'; readonly result: 'commit' | 'abort'; readonly producerId: number };

/** What was appended, in transactions too. */
class GroupLog extends FakeLog {
  readonly entries: Entry[] = [];
  /** Why it refuses transactions. */
  refusal: ErrorName | undefined;

  /** Without those of transactions. */
  get records(): StateRecord[] {
    return this.entries.flatMap((entry) =>
      entry.kind === 'record' && entry.producerId === NO_PRODUCER_ID ? [entry.record] : [],
    );
  }

  protected override remember(records: readonly StateRecord[], producer?: TransactionProducer): void {
    const producerId = producer?.producerId ?? NO_PRODUCER_ID;
    for (const record of records) this.entries.push({ kind: 'record', record, producerId });
  }

  override transactionRefusal(): ErrorName | undefined {
    return this.refusal;
  }
}

/** Topics that the test says, and all others but those it says are gone, with one partition each. */
class FakeTopics implements TopicView {
  version = 1;
  readonly #known = new Map<string, KnownTopic>();
  readonly #gone = new Set<string>();
  #made = 0;

  /** A topic made anew has another id. */
  make(name: string, partitions: number): KnownTopic {
    this.version++;
    this.#gone.delete(name);
    const id = this.#known.get(name)?.id ?? topicIdOf(++this.#made);
    const topic = { id, name, partitions };
    this.#known.set(name, topic);
    return topic;
  }

  delete(name: string): void {
    this.version++;
    this.#known.delete(name);
    this.#gone.add(name);
  }

  byName(name: string): KnownTopic | undefined {
    if (this.#gone.has(name)) return undefined;
    return this.#known.get(name) ?? this.make(name, 1);
  }

  byId(topicId: string): KnownTopic | undefined {
    return [...this.#known.values()].find(({ id }) => id === topicId);
  }

  names(): Iterable<string> {
    return this.#known.keys();
  }
}

function topicIdOf(number: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(number, 12);
  return bytes.toString('base64url');
}

/** Of a heartbeat that was refused only the error. */
interface Heartbeat {
  readonly error?: ErrorName;
  readonly memberEpoch?: number;
  readonly heartbeatIntervalMs?: number;
  readonly assignment?: Assignment | null;
}

/** Groups over a log in memory, with a clock that is moved by hand. */
export class Groups extends CoreBench {
  readonly log = new GroupLog(() => this.now);
  readonly counters = noGroups();
  readonly settings: GroupSettings;
  core: GroupsCore;
  readonly expressions: ExpressionCache;
  readonly budget: StepBudget;
  readonly topics = new FakeTopics();
  readonly times = { ...TIMES };
  #ids = 0;

  constructor(
    settings: Partial<GroupSettings> = {},
    {
      expressions = new ExpressionCache(),
      budget = new StepBudget(),
    }: { readonly expressions?: ExpressionCache; readonly budget?: StepBudget } = {},
  ) {
    super();
    this.settings = { ...SETTINGS, ...settings };
    this.expressions = expressions;
    this.budget = budget;
    this.core = this.#makeCore();
    this.core.loaded(this.now);
  }

  #makeCore(): GroupsCore {
    const uuid = () => `id${++this.#ids}`;
    return new GroupsCore({
      sink: this.log,
      settings: this.settings,
      counters: this.counters,
      uuid,
      topics: this.topics,
      // As `Slices` does it.
      compileRegex: (expression) => {
        const isKnown = this.expressions.has(expression);
        const compiled = this.expressions.compile(expression);
        if (!isKnown && compiled.fault === undefined)
          this.budget.take(STEPS_PER_BUILD_UNIT * compiled.cost.build);
        return compiled;
      },
      budget: this.budget,
      timesOf: () => this.times,
    });
  }

  /** As after a restart: the state is what the log says. */
  reload(): void {
    this.core.close('NOT_COORDINATOR');
    this.core = this.#makeCore();
    for (const entry of this.log.entries) {
      if (entry.kind === 'record') this.core.replay(entry.record, this.now, entry.producerId);
      else this.core.endTransaction(entry.producerId, entry.result);
    }
    this.core.loaded(this.now);
  }

  /** The answers that have come so far; one that waits has none. */
  join(request: Partial<JoinRequest> = {}): JoinResponse[] {
    const answers: JoinResponse[] = [];
    const protocols = [{ name: 'range', metadata: subscription('input') }];
    this.core.join(
      {
        groupId: 'g',
        memberId: '',
        groupInstanceId: null,
        clientId: 'c',
        clientHost: '/127.0.0.1',
        protocolType: 'consumer',
        protocols,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 30_000,
        requiresKnownMemberId: false,
        canSkipAssignment: true,
        ...request,
      },
      this.now,
      (response) => answers.push(response),
    );
    return answers;
  }

  sync(
    { memberId, generationId }: Pick<JoinResponse, 'memberId' | 'generationId'>,
    assignments: Readonly<Record<string, string>> = {},
    groupInstanceId: string | null = null,
  ): SyncResponse[] {
    const answers: SyncResponse[] = [];
    this.core.sync(
      {
        groupId: 'g',
        memberId,
        generationId,
        groupInstanceId,
        protocolType: null,
        protocolName: null,
        assignments: new Map(Object.entries(assignments).map(([id, text]) => [id, Buffer.from(text)])),
      },
      this.now,
      (response) => answers.push(response),
    );
    return answers;
  }

  heartbeat(
    { memberId, generationId }: Pick<JoinResponse, 'memberId' | 'generationId'>,
    groupInstanceId: string | null = null,
  ) {
    return this.core.heartbeat({ groupId: 'g', memberId, generationId, groupInstanceId }, this.now);
  }

  /** What a member of KIP-848 is answered; undefined while it waits. */
  beat(request: Partial<ConsumerHeartbeatRequest> = {}): Heartbeat | undefined {
    let answer: ConsumerHeartbeatResponse | undefined;
    this.core.consumerHeartbeat(
      {
        groupId: 'g',
        memberId: 'm1',
        memberEpoch: 0,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: -1,
        subscribedTopics: null,
        subscribedRegex: null,
        serverAssignor: null,
        owned: null,
        clientId: 'c',
        clientHost: '/127.0.0.1',
        makesMemberId: true,
        maySee: () => true,
        ...request,
      },
      this.now,
      (response) => (answer = response),
    );
    if (answer?.error !== undefined) return { error: answer.error };
    if (answer === undefined) return undefined;
    const { memberEpoch, heartbeatIntervalMs, assignment } = answer;
    return { memberEpoch, heartbeatIntervalMs, assignment };
  }

  describeConsumer(groupId = 'g'): Refused | DescribedConsumerGroup {
    let described: Refused | DescribedConsumerGroup | undefined;
    this.core.describeConsumer(groupId, (response) => (described = response));
    return described!;
  }

  get consumerState(): string {
    const described = this.describeConsumer();
    return described.error ?? described.state;
  }

  leave(memberId: string, groupInstanceId: string | null = null) {
    let result;
    this.core.leave('g', [{ memberId, groupInstanceId }], this.now, (response) => (result = response));
    return result as unknown as { results: { error: string | undefined }[] };
  }

  commit(
    offset: number,
    options: {
      groupId?: string;
      topic?: string;
      partition?: number;
      memberId?: string;
      generationId?: number;
      retentionMs?: number;
      knowsMemberEpochs?: boolean;
      groupInstanceId?: string | null;
    } = {},
  ): Durability[] {
    const { topic = 'input', partition = 0, ...rest } = options;
    const answers: Durability[] = [];
    this.core.commit(
      {
        groupId: 'g',
        memberId: '',
        generationId: -1,
        groupInstanceId: null,
        retentionMs: -1,
        knowsMemberEpochs: false,
        offsets: [{ topic, partition, offset, leaderEpoch: 3, metadata: 'm' }],
        ...rest,
      },
      this.now,
      (failure) => answers.push(failure),
    );
    return answers;
  }

  /** Offsets of the partitions of `input`, or of others, in a transaction of the producer. */
  commitInTransaction(
    producerId: number,
    offsets: Readonly<Record<number, number>>,
    options: Partial<VerifiedCommit> & { readonly topic?: string } = {},
  ): Durability[] {
    const { topic = 'input', ...rest } = options;
    const answers: Durability[] = [];
    this.core.commitInTransaction(
      {
        groupId: 'g',
        memberId: '',
        generationId: -1,
        groupInstanceId: null,
        transactionalId: `t${producerId}`,
        producerId,
        producerEpoch: 0,
        verification: 1,
        mode: 'add',
        knowsAbortable: true,
        offsets: Object.entries(offsets).map(([partition, offset]) => ({
          topic,
          partition: Number(partition),
          offset,
          leaderEpoch: 3,
          metadata: 'm',
        })),
        ...rest,
      },
      this.now,
      (failure) => answers.push(failure),
    );
    return answers;
  }

  endTransaction(producerId: number, result: 'commit' | 'abort'): void {
    this.log.entries.push({ kind: 'marker', producerId, result });
    this.core.endTransaction(producerId, result);
  }

  fetch(groupId = 'g', { requireStable = false } = {}): FetchOffsetsResponse | undefined {
    let response: FetchOffsetsResponse | undefined;
    this.core.fetchOffsets(
      { groupId, partitions: undefined, requireStable, member: undefined },
      (one) => (response = one),
    );
    return response;
  }

  committed(groupId = 'g', topic = 'input', partition = 0): number | undefined {
    const response = this.fetch(groupId);
    return response?.error === undefined ? response?.offsets.get(topic)?.get(partition)?.offset : undefined;
  }

  /** By `topicPartitionKey`. */
  unstable(groupId = 'g'): string[] {
    const response = this.fetch(groupId, { requireStable: true });
    return response?.error === undefined ? [...(response?.unstable ?? [])] : [];
  }

  describe(groupId = 'g') {
    let described: Parameters<Parameters<GroupsCore['describe']>[1]>[0] | undefined;
    this.core.describe(groupId, (response) => (described = response));
    return described!;
  }

  get state(): string | undefined {
    const described = this.describe();
    return described.error === undefined ? described.state : described.error;
  }

  /** A member that is alone in its group, which is stable. */
  single(request: Partial<JoinRequest> = {}): JoinResponse {
    const [joined] = this.join(request);
    this.sync(joined!, { [joined!.memberId]: 'all' }, request.groupInstanceId ?? null);
    return joined!;
  }
}

/** What a consumer tells the others: version 0, these topics, no user data. */
export function subscription(...topics: string[]): Uint8Array {
  const parts = [Buffer.from([0, 0, 0, 0, 0, topics.length])];
  for (const topic of topics)
    parts.push(Buffer.from([topic.length >> 8, topic.length & 0xff]), Buffer.from(topic));
  return Buffer.concat([...parts, Buffer.from([0xff, 0xff, 0xff, 0xff])]);
}

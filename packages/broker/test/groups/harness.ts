import type { CoordinatorSink, Durability, Instant, StateRecord } from '../../src/coordinator/types.ts';
import { GroupsCore } from '../../src/groups/groups.core.ts';
import type { GroupSettings, JoinRequest, JoinResponse, SyncResponse } from '../../src/groups/types.ts';

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
};
/** Wall clock at monotonic 0. */
export const EPOCH_MS = 1_700_000_000_000;

/** A log in memory: what was appended, and who waits for it. */
class FakeLog implements CoordinatorSink {
  readonly records: StateRecord[] = [];
  readonly #now: () => Instant;
  #waiting: ((failure: Durability, now: Instant) => void)[] = [];
  writable = true;
  /** Changes wait for {@link settle}. */
  held = false;

  constructor(now: () => Instant) {
    this.#now = now;
  }

  isWritable(): boolean {
    return this.writable;
  }

  append(records: readonly StateRecord[], done: (failure: Durability, now: Instant) => void): void {
    if (records.length === 0) throw new Error('a change without records');
    for (const record of records) this.records.push(record);
    this.#waiting.push(done);
    if (!this.held) this.settle();
  }

  whenCommitted(done: (failure: Durability) => void): void {
    if (this.#waiting.length === 0) done(undefined);
    else this.#waiting.push(done);
  }

  settle(failure?: Durability): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done(failure, this.#now());
  }
}

/** Groups over a log in memory, with a clock that is moved by hand. */
export class Groups {
  readonly log = new FakeLog(() => this.now);
  readonly counters = {
    rebalances: 0,
    membersExpired: 0,
    offsetsCommitted: 0,
    offsetsExpired: 0,
    groupsDeleted: 0,
    metadataBytes: 0,
  };
  readonly settings: GroupSettings;
  core: GroupsCore;
  nowMs = 0;
  readonly deletedTopics = new Set<string>();
  #ids = 0;

  constructor(settings: Partial<GroupSettings> = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.core = this.#makeCore();
    this.core.loaded(this.now);
  }

  get now() {
    return { monotonicMs: this.nowMs, wallMs: EPOCH_MS + this.nowMs };
  }

  #makeCore(): GroupsCore {
    const uuid = () => `id${++this.#ids}`;
    return new GroupsCore({
      sink: this.log,
      settings: this.settings,
      counters: this.counters,
      uuid,
      topicExists: (topic) => !this.deletedTopics.has(topic),
    });
  }

  /** As after a restart: the state is what the log says. */
  reload(): void {
    this.core.close('NOT_COORDINATOR');
    this.core = this.#makeCore();
    for (const record of this.log.records) this.core.replay(record, this.now);
    this.core.loaded(this.now);
  }

  /** Lets time pass, deadline by deadline. */
  advance(ms: number): void {
    const until = this.nowMs + ms;
    while (this.core.nextDeadlineMs <= until) {
      this.nowMs = Math.max(this.nowMs, this.core.nextDeadlineMs);
      this.core.tick(this.now);
    }
    this.nowMs = until;
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
      memberId?: string;
      generationId?: number;
      retentionMs?: number;
      groupInstanceId?: string | null;
    } = {},
  ): Durability[] {
    const { topic = 'input', ...rest } = options;
    const answers: Durability[] = [];
    this.core.commit(
      {
        groupId: 'g',
        memberId: '',
        generationId: -1,
        groupInstanceId: null,
        retentionMs: -1,
        offsets: [{ topic, partition: 0, offset, leaderEpoch: 3, metadata: 'm' }],
        ...rest,
      },
      this.now,
      (failure) => answers.push(failure),
    );
    return answers;
  }

  committed(groupId = 'g', topic = 'input'): number | undefined {
    let offset: number | undefined;
    this.core.fetchOffsets(groupId, undefined, (response) => {
      if (response.error === undefined) offset = response.offsets.get(topic)?.get(0)?.offset;
    });
    return offset;
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
  for (const topic of topics) parts.push(Buffer.from([0, topic.length]), Buffer.from(topic));
  return Buffer.concat([...parts, Buffer.from([0xff, 0xff, 0xff, 0xff])]);
}

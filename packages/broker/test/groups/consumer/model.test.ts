import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { Groups, SETTINGS } from '../harness.ts';
import { ClassicMember } from './classic-member.ts';
import { ConsumerMember } from './member.ts';

/*
 * Members of both protocols come, go, die, are slow and lose answers, in one group, while its topic grows and its coordinator restarts. At no time do
 * two members have one partition, as long as the coordinator knows both; and once all is calm every partition has an owner.
 */
const MEMBERS_MAX = 7;
const PARTITIONS_MAX = 12;

type Operation =
  | 'consumer-joins'
  | 'cooperative-joins'
  | 'eager-joins'
  | 'steps'
  | 'all-step'
  | 'is-silent'
  | 'loses-an-answer'
  | 'leaves'
  | 'dies'
  | 'topic-grows'
  | 'time-passes'
  | 'restarts';

const operations = fc.array(
  fc.tuple(
    fc.constantFrom<Operation>(
      'consumer-joins',
      'cooperative-joins',
      'eager-joins',
      'steps',
      'steps',
      'steps',
      'all-step',
      'is-silent',
      'loses-an-answer',
      'leaves',
      'dies',
      'topic-grows',
      'time-passes',
      'restarts',
    ),
    fc.nat(1000),
  ),
  { minLength: 10, maxLength: 80 },
);

class World {
  readonly groups: Groups;
  readonly consumers: ConsumerMember[] = [];
  readonly classics: ClassicMember[] = [];
  partitions = 3;
  #names = 0;

  constructor(assignmentStepsPerTurnMax: number) {
    const consumer = { ...SETTINGS.consumer, assignmentStepsPerTurnMax };
    this.groups = new Groups({ ...SETTINGS, consumer });
    this.groups.topics.make('input', this.partitions);
  }

  do(operation: Operation, chosen: number): void {
    const all = [...this.consumers, ...this.classics];
    const member = all[chosen % Math.max(1, all.length)];
    switch (operation) {
      case 'consumer-joins':
        if (all.length < MEMBERS_MAX)
          this.consumers.push(new ConsumerMember(this.groups, `m${++this.#names}`));
        break;
      case 'cooperative-joins':
      case 'eager-joins': {
        const kind = operation === 'eager-joins' ? 'eager' : 'cooperative';
        // All classic members of a group have to have a protocol in common.
        const isOnly = this.classics.every((classic) => classic.kind === kind);
        if (all.length < MEMBERS_MAX && isOnly)
          this.classics.push(new ClassicMember(this.groups, kind, () => this.partitions));
        break;
      }
      case 'steps':
        if (member !== undefined) step(member);
        break;
      case 'all-step':
        for (const each of all) step(each);
        break;
      case 'is-silent':
        if (member instanceof ConsumerMember) member.beat({ owned: null });
        break;
      case 'loses-an-answer':
        if (member instanceof ConsumerMember) this.#loseAnswer(member);
        break;
      case 'leaves':
      case 'dies':
        this.#remove(member, operation === 'leaves');
        break;
      case 'topic-grows':
        if (this.partitions < PARTITIONS_MAX) this.groups.topics.make('input', ++this.partitions);
        this.groups.core.topicsChanged(['input']);
        break;
      case 'time-passes':
        this.groups.advance(chosen * 8);
        break;
      case 'restarts':
        this.groups.reload();
    }
  }

  #loseAnswer(member: ConsumerMember): void {
    const { memberId, epoch: memberEpoch, owned } = member;
    this.groups.beat({ memberId, memberEpoch, owned });
  }

  #remove(member: ConsumerMember | ClassicMember | undefined, says: boolean): void {
    if (member instanceof ConsumerMember) {
      this.consumers.splice(this.consumers.indexOf(member), 1);
      if (says) member.leave();
    } else if (member !== undefined) {
      this.classics.splice(this.classics.indexOf(member), 1);
      if (says) member.leave();
    }
  }

  /** Of those that the coordinator knows: it cannot tell the others anything. */
  check(): void {
    const described = this.groups.describeConsumer();
    if (described.error !== undefined) return;
    const known = new Set(described.members.map(({ memberId }) => memberId));
    const owners = new Map<number, string>();
    const claims = [
      ...this.consumers.map(({ memberId, partitions }) => ({ memberId, partitions })),
      ...this.classics.map(({ memberId, owned }) => ({ memberId, partitions: owned })),
    ];
    for (const { memberId, partitions } of claims) {
      if (!known.has(memberId)) continue;
      for (const partition of partitions) {
        const other = owners.get(partition);
        assert.equal(other, undefined, `${memberId} and ${other} both have ${partition}`);
        owners.set(partition, memberId);
      }
    }
  }

  /** Nothing happens any more but that everybody goes on: those that died are given up, and each partition finds one owner. */
  calm(): void {
    for (let round = 0; round < 60; round++) {
      this.groups.advance(2000);
      this.check();
      for (const member of [...this.consumers, ...this.classics]) step(member);
      // In a classic group it is for the members to see that a topic has grown.
      if (round === 30) for (const member of this.classics) if (member.state === 'member') member.join();
      this.check();
    }
    const owned = [
      ...this.consumers.flatMap(({ partitions }) => partitions),
      ...this.classics.flatMap((classic) => classic.owned),
    ].sort((left, right) => left - right);
    const expected = this.consumers.length + this.classics.length === 0 ? 0 : this.partitions;
    assert.deepEqual(
      owned,
      Array.from({ length: expected }, (_, partition) => partition),
    );
    const state = this.consumers.length > 0 ? this.groups.consumerState : this.groups.state;
    if (expected > 0) assert.equal(state, 'Stable');
    assert.ok(this.groups.counters.metadataBytes >= 0);
    this.groups.core.close('NOT_COORDINATOR');
    assert.equal(this.groups.counters.metadataBytes, 0, 'what members have told is accounted for');
  }
}

function step(member: ConsumerMember | ClassicMember): void {
  if (member instanceof ClassicMember) {
    member.step();
    return;
  }
  if (member.error === undefined) member.beat();
  else member.join();
}

for (const [assignments, stepsPerTurnMax] of [
  ['at once', 50_000],
  ['over turns', 1],
] as const) {
  it(`a group of members of both protocols, assigned ${assignments}, never gives a partition twice, and in the end each to somebody`, () => {
    fc.assert(
      fc.property(operations, (steps) => {
        const world = new World(stepsPerTurnMax);
        for (const [operation, chosen] of steps) {
          world.do(operation, chosen);
          world.check();
        }
        world.calm();
      }),
      { numRuns: 500 },
    );
  });
}

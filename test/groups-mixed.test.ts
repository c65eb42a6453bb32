import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescribedGroup, DescribedMember } from './clients/group-observer.ts';
import { GroupRun, type GroupRunOptions } from './clients/group-run.ts';
import { peersOf, type MemberKind } from './clients/member.ts';
import { requirePeer } from './peers/peers.ts';
import { startTarget, type Target } from './target.ts';

const EAGER: readonly MemberKind[] = ['kafkajs', 'platformatic', 'python-kafka', 'kcat', 'java'];
const COOPERATIVE: readonly MemberKind[] = ['librdkafka', 'java', 'librdkafka'];
const PARTITIONS = 12;
/** Of its 4 partitions with three members: the assignors exchange one now and then without need. */
const KEPT_MIN = 3;
const SESSION_TIMEOUT_MS = 3_000;
/** How long a stalled member stands still: the group has gone on without it long before. */
const STALL_MS = SESSION_TIMEOUT_MS + 1_000;
/** Long enough for a Java runtime to start again. */
const STATIC_SESSION_TIMEOUT_MS = 20_000;
const STATE_POLL_MS = 20;

const { skip } = await requirePeer(...peersOf([...EAGER, ...COOPERATIVE]));

describe('one classic group of different stock clients, under a steady producer', { skip }, () => {
  let target: Target;
  let run: GroupRun;
  before(async () => {
    target = await startTarget({
      'group.min.session.timeout.ms': '1000',
      'group.initial.rebalance.delay.ms': '0',
    });
  });
  afterEach(() => run.dispose());
  after(() => target.stop());

  async function startRun(
    groupId: string,
    assignor: GroupRunOptions['assignor'],
    sessionTimeoutMs = SESSION_TIMEOUT_MS,
  ): Promise<GroupRun> {
    const { kafkaAddress: address } = target;
    return GroupRun.start({ address, groupId, partitions: PARTITIONS, assignor, sessionTimeoutMs });
  }

  // Now and then a stock client commits a little less than before, on Apache Kafka too, and the broker cannot refuse that. The
  // members of test/clients/members take care not to; kcat and the console consumer commit by themselves.
  test(`${EAGER.join(', ')} join, leave, crash and stall: all is consumed, committed offsets rise`, async (t) => {
    run = await startRun('mixed', 'roundrobin');
    // One by one: each join is a rebalance that the members before it have to notice.
    const names = {} as Record<MemberKind, string>;
    for (const kind of EAGER) {
      names[kind] = run.join(kind);
      const { protocol, protocolType } = await run.stable();
      assert.deepEqual([protocol, protocolType], ['roundrobin', 'consumer']);
      await run.consumes(names[kind]);
    }
    await run.leave(names.kafkajs);
    await run.stable();
    await run.crash(names.kcat);
    await run.stable();
    names.kafkajs = run.join('kafkajs');
    names.kcat = run.join('kcat');
    await run.stable();
    run.stall(names.java);
    run.stall(names['python-kafka']);
    await sleep(STALL_MS);
    await run.stable();
    run.resume(names.java);
    run.resume(names['python-kafka']);
    await run.stable();
    await run.consumes(names.java);
    await run.crash(names.platformatic);
    await run.leave(names['python-kafka']);
    await run.stable();
    t.diagnostic(JSON.stringify(await run.finish({ stepsBackMax: 3 })));
  });

  test('cooperative-sticky: librdkafka and Java keep what they need not give up', async (t) => {
    run = await startRun('cooperative', 'cooperative-sticky');
    const joined: string[] = [];
    let earlier: DescribedGroup | undefined;
    for (const kind of COOPERATIVE) {
      joined.push(run.join(kind));
      const group = await run.stable();
      assert.equal(group.protocol, 'cooperative-sticky');
      for (const name of joined) assert.ok(partitionsOf(group, name, run.topic).length > 0);
      for (const kept of keptOf(earlier, group, run.topic))
        assert.ok(kept >= KEPT_MIN, `only ${kept} were kept`);
      earlier = group;
    }
    const [first, java, third] = joined as [string, string, string];
    await run.crash(first);
    const without = await run.stable();
    for (const kept of keptOf(earlier, without, run.topic))
      assert.ok(kept >= KEPT_MIN, `only ${kept} were kept`);
    run.stall(java);
    const fourth = run.join('librdkafka');
    await sleep(STALL_MS);
    await run.stable();
    run.resume(java);
    await run.stable();
    await run.consumes(java);
    await run.leave(third);
    await run.stable();
    await run.consumes(fourth);
    t.diagnostic(JSON.stringify(await run.finish()));
  });

  test('a static member that restarts within its session time-out causes no rebalance', async (t) => {
    run = await startRun('static', 'roundrobin', STATIC_SESSION_TIMEOUT_MS);
    const librdkafka = run.join('librdkafka', { instanceId: 'one' });
    const java = run.join('java', { instanceId: 'two' });
    const earlier = await run.stable();
    await run.consumes(java);
    const states = recordStates(run);
    await run.crash(java);
    await run.consumes(run.join('java', { instanceId: 'two' }));
    const middle = await run.stable();
    // A clean stop of a static member does not leave the group either.
    await run.leave(librdkafka);
    await run.consumes(run.join('librdkafka', { instanceId: 'one' }));
    const later = await run.stable();
    assert.deepEqual(await states.stop(), ['Stable']);
    const find = (group: DescribedGroup, id: string): DescribedMember | undefined =>
      group.members.find(({ instanceId }) => instanceId === id);
    for (const id of ['one', 'two']) {
      const assignment = find(earlier, id)?.assignment;
      assert.equal(assignment?.get(run.topic)?.length, PARTITIONS / 2);
      assert.deepEqual(find(middle, id)?.assignment, assignment);
      assert.deepEqual(find(later, id)?.assignment, assignment);
      assert.notEqual(
        find(later, id)?.memberId,
        find(earlier, id)?.memberId,
        'a new process is a new member',
      );
    }
    assert.equal(find(middle, 'one')?.memberId, find(earlier, 'one')?.memberId);
    t.diagnostic(JSON.stringify(await run.finish()));
  });

  test('a second member with the same group.instance.id fences the first', async () => {
    run = await startRun('fenced', 'roundrobin', STATIC_SESSION_TIMEOUT_MS);
    const first = run.join('librdkafka', { instanceId: 'only' });
    await run.stable();
    await run.consumes(first);
    const second = run.join('librdkafka', { instanceId: 'only' });
    const fenced = await run.ended(first);
    assert.equal(fenced.exitCode, 3);
    // librdkafka's text for error 82.
    assert.match(fenced.notes.join('\n'), /Static consumer fenced by other consumer/);
    await run.stable();
    await run.consumes(second);
    await run.finish();
  });
});

function partitionsOf(group: DescribedGroup | undefined, clientId: string, topic: string): readonly number[] {
  return group?.members.find((member) => member.clientId === clientId)?.assignment.get(topic) ?? [];
}

/**
 * Of the members that are in both generations: how many partitions each kept. One that was slow for longer than its session
 * time-out is another member afterwards, and has lost what it had.
 */
function keptOf(earlier: DescribedGroup | undefined, later: DescribedGroup, topic: string): number[] {
  return later.members.flatMap(({ memberId, assignment }) => {
    const old = earlier?.members.find((member) => member.memberId === memberId);
    if (old === undefined) return [];
    const had = old.assignment.get(topic) ?? [];
    return [(assignment.get(topic) ?? []).filter((partition) => had.includes(partition)).length];
  });
}

/** The states that the group is seen in until `stop`. */
function recordStates(run: GroupRun): { stop(): Promise<string[]> } {
  const states = new Set<string>();
  let stopping = false;
  const watching = (async () => {
    while (!stopping) {
      states.add((await run.observer.describe()).state);
      await sleep(STATE_POLL_MS);
    }
  })();
  return {
    async stop() {
      stopping = true;
      await watching;
      return [...states];
    },
  };
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { afterBrokerStart } from '../../src/cluster/controller.core.ts';
import { ImageBuilder } from '../../src/cluster/image-builder.ts';
import type { PartitionRecord } from '../../src/cluster/partition-record.core.ts';
import { placeReplicas, type PlacementBroker } from '../../src/cluster/placement.core.ts';
import { ProducerIdBlocks } from '../../src/cluster/producer-id-blocks.ts';
import { SortedMap } from '../../src/cluster/sorted-map.ts';
import type { MetadataEvent } from '../../src/metadata/types.ts';
import { openCluster } from '../support/cluster-bench.ts';
import { MemoryLogs } from '../support/memory-logs.ts';

describe('The sorted map', () => {
  it('is a plain map, sorted, and never changes a version that was taken', () => {
    const key = fc.integer({ min: 0, max: 700 }).map((value) => `k${value}`);
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ key, value: fc.option(fc.nat(9), { nil: undefined }) }) },
      // Runs of neighbours, so that chunks split and join.
      {
        weight: 1,
        arbitrary: fc.record({
          from: fc.nat(600),
          count: fc.nat(300),
          value: fc.option(fc.nat(9), { nil: undefined }),
        }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let map = SortedMap.empty<number>();
        const model = new Map<string, number>();
        const versions: [SortedMap<number>, number[]][] = [];
        for (const action of steps) {
          const keys =
            'key' in action
              ? [action.key]
              : Array.from({ length: action.count }, (_, index) => `k${action.from + index}`);
          for (const name of keys) {
            if (action.value === undefined) {
              map = map.delete(name);
              model.delete(name);
            } else {
              map = map.set(name, action.value);
              model.set(name, action.value);
            }
          }
          versions.push([map, [...map.values()]]);
        }
        const sorted = [...model].sort(([left], [right]) => (left < right ? -1 : 1));
        assert.equal(map.size, model.size);
        assert.deepEqual(
          [...map.values()],
          sorted.map(([, value]) => value),
        );
        for (const name of ['', 'k0', 'k3', 'k35', 'k700', 'z']) {
          assert.equal(map.get(name), model.get(name));
          const expected = sorted.filter(([other]) => other >= name).map(([, value]) => value);
          assert.deepEqual([...map.valuesFrom(name)], expected);
        }
        for (const [version, values] of versions) assert.deepEqual([...version.values()], values);
        assert.deepEqual([...SortedMap.from(model).values()], [...map.values()]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('The cluster image', () => {
  it('built change by change is the one that is loaded at once', async () => {
    const { store, admin, tracker } = await openCluster();
    for (const name of ['b', 'a', 'c']) {
      await admin.createTopic({
        kafkaName: name,
        partitions: 3,
        replicationFactor: -1,
        configs: new Map(),
        validateOnly: false,
      });
    }
    await admin.deleteTopic('b');
    await admin.createPartitions({ kafkaName: 'c', count: 5, validateOnly: false });
    const { entries, revision } = await store.range('');
    const loaded = new ImageBuilder().load(entries, revision);
    assert.deepEqual([...tracker.image.topics()], [...loaded.topics()]);
    assert.deepEqual(
      [...loaded.topicsFrom('b')].map(({ kafkaName }) => kafkaName),
      ['c'],
    );
    assert.equal(tracker.image.partitionCount, loaded.partitionCount);
    assert.equal(loaded.partitionCount, 8);
    assert.deepEqual(tracker.image.brokers, loaded.brokers);
    assert.equal(tracker.image.controllerId, 1);
  });

  it('shares what did not change', async () => {
    const { admin, tracker } = await openCluster();
    await admin.autoCreateTopic('a');
    const before = tracker.image;
    await admin.autoCreateTopic('b');
    assert.equal(before.topicCount, 1);
    assert.equal(tracker.image.topicByName('a'), before.topicByName('a'));
    assert.ok(tracker.image.version > before.version);
  });

  it('stays cheap to change with 20,000 topics', () => {
    const builder = new ImageBuilder();
    const event = (index: number, revision: number): MetadataEvent[] => {
      const id = `id${index}`;
      const entry = (key: string, value: unknown): MetadataEvent => ({
        kind: 'put',
        revision,
        entry: { key, value: JSON.stringify(value), createRevision: revision, modRevision: revision },
      });
      return [
        entry(`partitions/${id}/0`, { leader: 1, leaderEpoch: 0, replicas: [1], isr: [], elr: [] }),
        entry(`topics/t${index}`, {
          id,
          namespace: '',
          kind: 'topic',
          name: `t${index}`,
          partitions: 1,
          overrides: {},
        }),
      ];
    };
    const startMs = performance.now();
    let image = builder.load([], 0);
    for (let index = 0; index < 20_000; index++) ({ image } = builder.apply(event(index, index + 1)));
    const perChangeMs = (performance.now() - startMs) / 20_000;
    assert.equal(image.topicCount, 20_000);
    assert.equal(image.topicById('id777')!.kafkaName, 't777');
    assert.ok(perChangeMs < 0.5, `${perChangeMs.toFixed(3)} ms per change`);
  });
});

describe('Placement', () => {
  const broker = (id: number, host: string, rack?: string): PlacementBroker => ({ id, host, rack });

  it('spreads leaders evenly, and the replicas of a partition over racks and hosts', () => {
    const brokers = [
      broker(1, 'h1', 'r1'),
      broker(2, 'h1', 'r1'),
      broker(3, 'h2', 'r2'),
      broker(4, 'h2', 'r2'),
      broker(5, 'h3', 'r3'),
      broker(6, 'h3', 'r3'),
    ];
    const placed = placeReplicas({ brokers, partitions: 60, replicationFactor: 3, start: 4 });
    const rackOf = new Map(brokers.map(({ id, rack }) => [id, rack]));
    const leaders = new Map<number, number>();
    const replicas = new Map<number, number>();
    for (const list of placed) {
      assert.equal(new Set(list.map((id) => rackOf.get(id))).size, 3);
      leaders.set(list[0]!, (leaders.get(list[0]!) ?? 0) + 1);
      for (const id of list) replicas.set(id, (replicas.get(id) ?? 0) + 1);
    }
    assert.deepEqual([...leaders.values()], [10, 10, 10, 10, 10, 10]);
    for (const count of replicas.values()) assert.ok(Math.abs(count - 30) <= 3, String(count));
  });

  it('keeps the replicas on different hosts as long as there are enough', () => {
    const shape = fc.record({
      hosts: fc.array(fc.nat(5), { minLength: 1, maxLength: 12 }),
      partitions: fc.integer({ min: 1, max: 20 }),
      start: fc.nat(30),
      factor: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(shape, ({ hosts, partitions, start, factor }) => {
        const brokers = hosts.map((host, index) => broker(index, `h${host}`));
        const replicationFactor = Math.min(factor, brokers.length);
        const distinct = new Set(hosts).size;
        for (const list of placeReplicas({ brokers, partitions, replicationFactor, start })) {
          assert.equal(new Set(list).size, replicationFactor);
          const used = new Set(list.map((id) => brokers[id]!.host));
          assert.equal(used.size, Math.min(distinct, replicationFactor));
        }
      }),
    );
  });

  it('is refused when there are fewer brokers than replicas', () => {
    assert.throws(
      () => placeReplicas({ brokers: [broker(1, 'h')], partitions: 1, replicationFactor: 2, start: 0 }),
      { code: 'INVALID_REPLICATION_FACTOR' },
    );
  });
});

describe('A broker that starts again', () => {
  const record = (more: Partial<PartitionRecord>): PartitionRecord => ({
    leader: 1,
    leaderEpoch: 4,
    partitionEpoch: 9,
    replicas: [1, 2, 3],
    isr: [
      { id: 1, brokerEpoch: 10 },
      { id: 2, brokerEpoch: 20 },
    ],
    elr: [],
    ...more,
  });
  const start = (partition: PartitionRecord, options: { retained: boolean; alive?: number[] }) =>
    afterBrokerStart(partition, {
      brokerId: 1,
      brokerEpoch: 11,
      retained: options.retained,
      brokers: (id) => {
        if (id === 1) return { brokerEpoch: 11, shuttingDown: false };
        return (options.alive ?? [2, 3]).includes(id)
          ? { brokerEpoch: id * 10, shuttingDown: false }
          : undefined;
      },
      minInsyncReplicas: 1,
    });

  it('leads its only replica again, in a new epoch, however it stopped', () => {
    const alone = record({ replicas: [1], isr: [{ id: 1, brokerEpoch: 10 }] });
    for (const retained of [true, false]) {
      const after = start(alone, { retained })!;
      assert.deepEqual([after.leader, after.leaderEpoch], [1, 6]);
      assert.deepEqual(after.isr, [{ id: 1, brokerEpoch: 11 }]);
    }
  });

  it('leaves the ISR to those who stayed, and the lead as well', () => {
    const after = start(record({}), { retained: true })!;
    assert.deepEqual([after.leader, after.leaderEpoch], [2, 6]);
    assert.deepEqual(after.isr, [{ id: 2, brokerEpoch: 20 }]);
  });

  it('leaves the leader alone when another broker leads', () => {
    const after = start(record({ leader: 2 }), { retained: true })!;
    assert.deepEqual([after.leader, after.leaderEpoch], [2, 4]);
    assert.deepEqual(after.isr, [{ id: 2, brokerEpoch: 20 }]);
    assert.equal(
      start(record({ leader: 2, isr: [{ id: 2, brokerEpoch: 20 }] }), { retained: true }),
      undefined,
    );
  });

  it('does not lead what it may have lost as the last member of the ISR', () => {
    const last = record({ isr: [{ id: 1, brokerEpoch: 10 }] });
    const after = start(last, { retained: false })!;
    assert.deepEqual([after.leader, after.leaderEpoch], [-1, 5]);
    assert.deepEqual(start(last, { retained: true })!.leader, 1);
  });

  it('does not touch partitions that it has no replica of', () => {
    assert.equal(start(record({ replicas: [2, 3] }), { retained: true }), undefined);
  });
});

describe('Producer ids', () => {
  it('are unique over concurrent takers, brokers and crashes', async () => {
    const logs = new MemoryLogs();
    const seen = new Set<number>();
    for (let life = 0; life < 4; life++) {
      const { store } = await openCluster({ logs });
      const takers = [new ProducerIdBlocks(store), new ProducerIdBlocks(store)];
      const ids = await Promise.all(Array.from({ length: 1500 }, (_, index) => takers[index % 2]!.next()));
      for (const id of ids) {
        assert.ok(!seen.has(id), `${id} twice`);
        seen.add(id);
      }
      logs.crash();
    }
    assert.equal(seen.size, 6000);
  });

  it('are not handed out before their block is durable', async () => {
    const logs = new MemoryLogs();
    const { store } = await openCluster({ logs });
    logs.manual = true;
    let taken: number | undefined;
    const taking = new ProducerIdBlocks(store).next().then((id) => {
      taken = id;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(taken, undefined);
    logs.sync();
    await new Promise((resolve) => setTimeout(resolve, 5));
    logs.sync();
    await taking;
    assert.equal(taken, 0);
  });
});

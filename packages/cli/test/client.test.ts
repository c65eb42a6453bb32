import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import {
  describeLogDirs,
  findCoordinator,
  kafkaErrors,
  listOffsets,
  metadata,
  offsetFetch,
  type InitOf,
} from '@polylog/kafka-protocol';
import { Cluster } from '../src/client/cluster.ts';
import { committedOffsets } from '../src/client/groups.ts';
import { offsetsAt } from '../src/client/offsets.ts';
import { CliError } from '../src/errors.ts';
import { EXIT } from '../src/exit-codes.ts';
import { answer, FakeBroker, type Answer, type FakeBrokerOptions } from './fake-broker.ts';

const TIMEOUT_MS = 1000;

type Metadata = InitOf<typeof metadata.response>;

describe('the client of the command line', () => {
  const open: { stop(): Promise<void> }[] = [];
  after(async () => {
    for (const one of open) await one.stop();
  });

  async function start(answers: readonly Answer[], options?: FakeBrokerOptions): Promise<FakeBroker> {
    const broker = await FakeBroker.start(answers, options);
    open.push(broker);
    return broker;
  }

  function cluster(port: number): Cluster {
    const made = new Cluster({ bootstrap: [{ host: '127.0.0.1', port }], timeoutMs: TIMEOUT_MS });
    open.push({ stop: async () => made.close() });
    return made;
  }

  /** Metadata of brokers at these ports, numbered from 1, and of one topic. */
  function metadataOf(ports: readonly number[], partitions: { leader: number }[], errorCode = 0): Metadata {
    return {
      brokers: ports.map((port, index) => ({ nodeId: index + 1, host: '127.0.0.1', port })),
      clusterId: 'fake',
      controllerId: 1,
      topics: [
        {
          errorCode,
          name: 't',
          partitions: partitions.map(({ leader }, partitionIndex) => ({
            errorCode: 0,
            partitionIndex,
            leaderId: leader,
            replicaNodes: [1, 2],
            isrNodes: [1, 2],
            offlineReplicas: [],
          })),
        },
      ],
    };
  }

  function failsWith(code: string, exitCode: number, message: RegExp): (error: unknown) => boolean {
    return (error) => {
      assert.ok(error instanceof CliError, String(error));
      assert.deepEqual({ code: error.code, exitCode: error.exitCode }, { code, exitCode });
      assert.match(error.message, message);
      return true;
    };
  }

  it('speaks with a broker that knows only the first version of ApiVersions', async () => {
    const ports: number[] = [];
    const broker = await start([answer(metadata, () => metadataOf(ports, [{ leader: 1 }]), [0, 8])], {
      apiVersionsMax: 0,
    });
    ports.push(broker.port);
    const [topic] = await cluster(broker.port).topics();
    assert.equal(topic?.name, 't');
  });

  it('puts answers together that arrive byte by byte', async () => {
    const ports: number[] = [];
    const broker = await start([answer(metadata, () => metadataOf(ports, [{ leader: 1 }]))], { drips: true });
    ports.push(broker.port);
    const one = cluster(broker.port);
    await Promise.all([one.topics(), one.topics()]);
    assert.equal(one.clusterId, 'fake');
  });

  it('tells something else from a broker', async () => {
    for (const bytes of [
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      Buffer.alloc(100),
      Buffer.from([0, 0, 0, 6, 0, 0, 0, 1, 0, 0]),
    ]) {
      const other = await FakeBroker.startRaw(bytes);
      open.push(other);
      await assert.rejects(cluster(other.port).topics(), (error) => {
        assert.ok(error instanceof CliError, String(error));
        assert.equal(error.exitCode, EXIT.unreachable);
        return true;
      });
    }
  });

  it('does not wait for ever for an answer', async () => {
    const broker = await start([answer(metadata, () => undefined)]);
    await assert.rejects(
      cluster(broker.port).topics(),
      failsWith('UNREACHABLE', EXIT.unreachable, /did not answer Metadata within 1 s/),
    );
  });

  it('says which versions do not meet', async () => {
    const broker = await start([answer(metadata, () => metadataOf([], []), [14, 20])]);
    await assert.rejects(
      cluster(broker.port).topics(),
      failsWith('UNSUPPORTED_VERSION', EXIT.failed, /has Metadata 14 to 20; this program has 0 to 12/),
    );
  });

  it('tries the next address when nobody listens at the first', async () => {
    const ports: number[] = [];
    const broker = await start([answer(metadata, () => metadataOf(ports, []))]);
    ports.push(broker.port);
    const gone = await FakeBroker.start([]);
    await gone.stop();
    const bootstrap = [gone.port, broker.port].map((port) => ({ host: '127.0.0.1', port }));
    const both = new Cluster({ bootstrap, timeoutMs: TIMEOUT_MS });
    open.push({ stop: async () => both.close() });
    assert.equal((await both.topics()).length, 1);
  });

  it('asks each leader for its own partitions, and finds one that has moved', async () => {
    const ports: number[] = [];
    const asked: string[] = [];
    let leader = 1;
    const broker = (node: number): Promise<FakeBroker> =>
      start([
        answer(metadata, () => metadataOf(ports, [{ leader: 1 }, { leader }])),
        answer(listOffsets, ({ topics }) => ({
          topics: topics.map(({ name, partitions }) => ({
            name,
            partitions: partitions.map(({ partitionIndex }) => {
              asked.push(`${node}:${partitionIndex}`);
              const isHere = partitionIndex === 0 ? node === 1 : node === 2;
              // Whoever asks the old leader is told, and the metadata is right from then on.
              if (!isHere) leader = 2;
              return { partitionIndex, errorCode: isHere ? 0 : 6, offset: isHere ? node * 100 : -1 };
            }),
          })),
        })),
      ]);
    const [first, second] = [await broker(1), await broker(2)];
    ports.push(first.port, second.port);
    const offsets = await offsetsAt(cluster(first.port), [
      { topic: 't', partition: 0, timestamp: -1 },
      { topic: 't', partition: 1, timestamp: -1 },
    ]);
    assert.deepEqual(
      [...offsets],
      [
        ['t-0', 100],
        ['t-1', 200],
      ],
    );
    assert.deepEqual(asked, ['1:0', '1:1', '2:1']);
  });

  it('gives up on a partition without a leader after its time', async () => {
    const ports: number[] = [];
    const broker = await start([answer(metadata, () => metadataOf(ports, [{ leader: -1 }]))]);
    ports.push(broker.port);
    await assert.rejects(
      offsetsAt(cluster(broker.port), [{ topic: 't', partition: 0, timestamp: -1 }]),
      failsWith('LEADER_NOT_AVAILABLE', EXIT.failed, /partition t-0/),
    );
  });

  for (const [name, coordinatorVersions, fetchVersions] of [
    ['old', [0, 2], [1, 5]],
    ['new', [0, 6], [1, 9]],
  ] as const) {
    it(`reads committed offsets in ${name} versions, and waits for a coordinator that loads`, async () => {
      const ports: number[] = [];
      let loads = 2;
      const partitions = [
        { partitionIndex: 0, committedOffset: 7, metadata: 'm', errorCode: 0 },
        { partitionIndex: 1, committedOffset: -1, metadata: '', errorCode: 0 },
      ];
      const broker = await start([
        answer(metadata, () => metadataOf(ports, [])),
        answer(
          findCoordinator,
          ({ key, coordinatorKeys }, version) => {
            const found = { nodeId: 1, host: '127.0.0.1', port: ports[0]!, errorCode: 0 };
            assert.equal(version >= 4 ? coordinatorKeys[0] : key, 'g');
            return version >= 4
              ? { errorCode: 0, nodeId: 0, host: '', port: 0, coordinators: [{ key: 'g', ...found }] }
              : { ...found, coordinators: [] };
          },
          coordinatorVersions,
        ),
        answer(
          offsetFetch,
          ({ groupId, groups }, version) => {
            const errorCode = loads-- > 0 ? kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS.code : 0;
            const topics = errorCode === 0 ? [{ name: 't', partitions }] : [];
            assert.equal(version >= 8 ? groups[0]!.groupId : groupId, 'g');
            return version >= 8
              ? { topics: [], groups: [{ groupId: 'g', topics, errorCode }] }
              : { topics, errorCode, groups: [] };
          },
          fetchVersions,
        ),
      ]);
      ports.push(broker.port);
      assert.deepEqual(await committedOffsets(cluster(broker.port), 'g'), [
        { topic: 't', partition: 0, offset: 7, metadata: 'm' },
      ]);
      assert.ok(loads < 0);
    });
  }

  it('names a broker that is in the cluster but does not answer', async () => {
    const gone = await FakeBroker.start([]);
    await gone.stop();
    const ports: number[] = [];
    const broker = await start([
      answer(metadata, () => metadataOf(ports, [])),
      answer(describeLogDirs, () => ({ results: [] })),
    ]);
    ports.push(broker.port, gone.port);
    const one = cluster(broker.port);
    await one.topics();
    assert.deepEqual((await one.request(describeLogDirs, { topics: null }, { node: 1 })).results, []);
    await assert.rejects(
      one.request(describeLogDirs, { topics: null }, { node: 2 }),
      failsWith('UNREACHABLE', EXIT.unreachable, new RegExp(`nobody listens at 127.0.0.1:${gone.port}`)),
    );
    await assert.rejects(
      one.request(describeLogDirs, { topics: null }, { node: 9 }),
      failsWith('UNKNOWN_BROKER', EXIT.notFound, /no broker 9/),
    );
  });
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { describeCluster, describeLogDirs, metadata } from '@polylog/kafka-protocol';
import { answer, FakeBroker } from './fake-broker.ts';

const MAIN = path.resolve(import.meta.dirname, '../../broker/src/main.ts');

async function polylog(...args: string[]): Promise<{ code: number; stdout: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; stdout: string }>();
  const all = ['--conditions=@polylog/source', MAIN, ...args];
  const child = execFile(
    process.execPath,
    all,
    { env: { ...process.env, NO_COLOR: '1' } },
    (_error, stdout) => resolve({ code: child.exitCode ?? -1, stdout }),
  );
  return promise;
}

describe('polylog cluster, where not all is well', () => {
  let broker: FakeBroker;
  let gonePort: number;
  before(async () => {
    const gone = await FakeBroker.start([]);
    gonePort = gone.port;
    await gone.stop();
    const brokers = (): { nodeId: number; host: string; port: number }[] => [
      { nodeId: 1, host: '127.0.0.1', port: broker.port },
      { nodeId: 2, host: '127.0.0.1', port: gonePort },
    ];
    const partition = (partitionIndex: number, leaderId: number, isrNodes: number[]) => ({
      errorCode: 0,
      partitionIndex,
      leaderId,
      replicaNodes: [1, 2],
      isrNodes,
      offlineReplicas: [],
    });
    broker = await FakeBroker.start([
      answer(metadata, () => ({
        brokers: brokers(),
        clusterId: 'fake',
        controllerId: 1,
        topics: [
          {
            errorCode: 0,
            name: 't',
            partitions: [partition(0, 1, [1, 2]), partition(1, 1, [1]), partition(2, -1, [])],
          },
        ],
      })),
      answer(describeLogDirs, () => ({ results: [{ errorCode: 0, logDir: '/data', topics: [] }] })),
      answer(describeCluster, () => ({
        errorCode: 0,
        clusterId: 'fake',
        controllerId: 1,
        brokers: brokers().map(({ nodeId, host, port }) => ({ brokerId: nodeId, host, port })),
      })),
    ]);
  });
  after(() => broker.stop());

  it('health lists what is wrong, and ends with 5', async () => {
    const args = ['cluster', 'health', '--bootstrap', `127.0.0.1:${broker.port}`];
    assert.deepEqual(await polylog(...args), {
      code: 5,
      stdout: [
        'Not healthy: 3 problems',
        `  broker 2: nobody listens at 127.0.0.1:${gonePort}`,
        '  t-1: not in sync: 1 replica on 2',
        '  t-2 has no leader',
        '',
      ].join('\n'),
    });
    const { code, stdout } = await polylog(...args, '--json');
    assert.equal(code, 5);
    const { healthy, problems } = JSON.parse(stdout) as { healthy: boolean; problems: { kind: string }[] };
    assert.equal(healthy, false);
    assert.deepEqual(
      problems.map(({ kind }) => kind),
      ['broker_unreachable', 'under_replicated', 'no_leader'],
    );
  });

  it('describe shows the brokers that answer, and names those that do not', async () => {
    const { code, stdout } = await polylog('cluster', 'describe', '--bootstrap', `127.0.0.1:${broker.port}`);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^ +1 +127.0.0.1:${broker.port} +- +0 +0 B`, 'm'));
    assert.match(stdout, new RegExp(`^Broker 2: nobody listens at 127.0.0.1:${gonePort}$`, 'm'));
  });
});

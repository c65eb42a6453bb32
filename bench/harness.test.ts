import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, describe, test } from 'node:test';

import { requirePeer } from '../test/peers/peers.ts';

import { Comparison } from './compare.ts';
import { settingsOf, type Settings } from './options.ts';
import { markdownTables, table } from './report.ts';
import { summarise, type Metric, type Summary } from './summary.ts';
import { WORKLOADS } from './workloads.ts';

const MIB = 1024 ** 2;
const SHORT = { warmupMs: 100, measureMs: 200, requestsMax: 5000, bytesMax: 16 * MIB };
const PRODUCED: readonly Metric[] = [
  'messagesPerSecond',
  'megabytesPerSecond',
  'p99Ms',
  'cpuSecondsPerGigabyte',
  'cpuSecondsPerMillionMessages',
  'residentPeakMib',
  'brokerCpuShare',
  'generatorCpuShare',
];

/** The settings of a command line, but for a smoke of seconds. */
function shortened(...argv: string[]): Settings {
  const settings = settingsOf(['--quick', '--rounds', '1', ...argv]);
  assert.ok(typeof settings === 'object');
  return { ...settings, limits: SHORT, breakInMsMax: 0 };
}

async function measured(settings: Settings): Promise<Summary[]> {
  const comparison = new Comparison(settings);
  const summaries: Summary[] = [];
  try {
    for (const workload of settings.workloads)
      summaries.push(...summarise(workload.name, await comparison.run(workload)));
  } finally {
    await comparison.end();
  }
  return summaries;
}

function assertComplete({ row, peers }: Summary, metrics: readonly Metric[]): void {
  for (const peer of peers)
    for (const metric of metrics)
      assert.ok((peer.metrics[metric]?.median ?? 0) > 0, `${row}: ${metric} of ${peer.peer}`);
}

function hasGnuDd(): boolean {
  const { error, stdout } = spawnSync('dd', ['--version'], { encoding: 'utf8' });
  return error === undefined && stdout.includes('coreutils');
}

const { skip } = await requirePeer('java', 'kafka-jars');

describe('the harness with Polylog and Apache Kafka side by side', { skip }, () => {
  let summaries: Summary[];
  before(async () => {
    const workloads = ['produce-1k', 'fetch-64k', 'latency-1k'].flatMap((name) => ['--workload', name]);
    summaries = await measured(shortened(...workloads));
  });

  test('both have all figures of a workload that produces, and ratios', () => {
    const [produced] = summaries;
    assert.deepEqual(
      produced!.peers.map(({ peer }) => peer),
      ['polylog', 'kafka'],
    );
    assertComplete(produced!, PRODUCED);
    const [polylog, kafka] = produced!.peers;
    const ratio = polylog!.metrics.messagesPerSecond!.median / kafka!.metrics.messagesPerSecond!.median;
    assert.equal(produced!.ratios[0]!.metrics.messagesPerSecond, ratio);
  });

  test('both serve fetches, and messages end to end', () => {
    assertComplete(summaries[1]!, ['messagesPerSecond', 'p50Ms']);
    assertComplete(summaries[2]!, ['p50Ms', 'p99Ms', 'p999Ms']);
  });

  test('the tables show each broker and the ratio', () => {
    for (const summary of summaries) assert.match(table(summary), /^polylog .*\nkafka .*\nratio /m);
    assert.match(markdownTables(summaries), /^\| produce-1k \| polylog \|/m);
    assert.match(markdownTables(summaries), /^\| {2}\| ratio to kafka \|/m);
  });
});

describe('the harness with Polylog alone', () => {
  test('tells the time to the first message, memory, and the rate of the disk', async () => {
    const names = ['start', 'fsync'].flatMap((name) => ['--workload', name]);
    const [start, one, many] = await measured(shortened('--peer', 'polylog', ...names));
    assertComplete(start!, ['startMs', 'residentIdleMib']);
    assertComplete(one!, ['messagesPerSecond', 'diskOverwritesPerSecond', 'diskAppendsPerSecond']);
    const rate = (summary: Summary): number => summary.peers[0]!.metrics.messagesPerSecond!.median;
    assert.equal(many!.against!.row, 'fsync-1p');
    assert.equal(many!.against!.peers[0]!.metrics.messagesPerSecond, rate(many!) / rate(one!));
  });

  test('restarts on data after a stop and after kill -9, as many rounds as asked for', async () => {
    const settings = shortened('--peer', 'polylog', '--workload', 'restart');
    const [restart] = await measured({ ...settings, rounds: 2, bulkBytes: 16 * MIB });
    assertComplete(restart!, ['restartMs', 'restartKilledMs']);
    assert.equal(restart!.peers[0]!.rounds, 2);
  });

  test('a reader that catches up reads from the disk', { skip: !hasGnuDd() }, async () => {
    const settings = shortened('--peer', 'polylog', '--workload', 'catch-up-cold');
    const [cold] = await measured({ ...settings, bulkBytes: 256 * MIB });
    assertComplete(cold!, ['p99Ms', 'p99AloneMs', 'besideMegabytesPerSecond', 'fromDiskShare']);
  });

  test('a disk that is too small is named before anything is written', async () => {
    const settings = shortened('--peer', 'polylog', '--workload', 'restart');
    await assert.rejects(
      measured({ ...settings, bulkBytes: 2 ** 60 }),
      /restart needs [\d.]+ GiB free in .*, where [\d.]+ GiB are/,
    );
  });
});

describe('the command line of the bench', () => {
  test('there are 30 workloads at most, under names that nothing else has', () => {
    assert.ok(WORKLOADS.length <= 30, `${WORKLOADS.length}`);
    const names = WORKLOADS.flatMap(({ name, rows }) => [...new Set([name, ...rows.map((row) => row.name)])]);
    assert.equal(new Set(names).size, names.length);
    for (const { rows } of WORKLOADS)
      for (const { against } of rows)
        assert.ok(against === undefined || rows.some(({ name }) => name === against), `${against}`);
  });

  test('a workload is taken with all of its rows, a row without the others', () => {
    const rows = (...names: string[]): string[] =>
      shortened(...names.flatMap((name) => ['--workload', name])).workloads.flatMap((workload) =>
        workload.rows.map(({ name }) => name),
      );
    assert.deepEqual(rows('kafkajs'), ['kafkajs-produce', 'kafkajs-consume']);
    assert.deepEqual(rows('kafkajs-consume', 'fsync-1p'), ['kafkajs-consume', 'fsync-1p']);
    assert.deepEqual(rows('spread-1*'), ['spread-10p', 'spread-10000p']);
  });

  test('a star names several workloads, an unknown name none', () => {
    const settings = shortened('--workload', 'fetch-*');
    assert.ok(settings.workloads.length > 1);
    assert.ok(settings.workloads.every(({ name }) => name.startsWith('fetch-')));
    assert.throws(() => settingsOf(['--workload', 'fetch']), /no workload is called fetch/);
  });

  test('Polylog is what peers are compared with, also when only a peer is named', () => {
    const names = (...argv: string[]): string[] => shortened(...argv).peers.map(({ name }) => name);
    assert.deepEqual(names(), ['polylog', 'kafka']);
    assert.deepEqual(names('--peer', 'kafka'), ['polylog', 'kafka']);
    assert.deepEqual(names('--peer', 'polylog'), ['polylog']);
    assert.throws(() => settingsOf(['--peer', 'nobody']), /--peer nobody is none of polylog, kafka/);
  });
});

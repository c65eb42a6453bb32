import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { requirePeer } from '../test/peers/peers.ts';

import { Comparison } from './compare.ts';
import { settingsOf, type Settings } from './options.ts';
import { markdown, table } from './report.ts';
import { summarise, type Metric, type Summary } from './summary.ts';

const SHORT = { warmupMs: 100, measureMs: 200, requestsMax: 5000, bytesMax: 16 * 1024 * 1024 };
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
      summaries.push(summarise(workload, await comparison.run(workload)));
  } finally {
    await comparison.end();
  }
  return summaries;
}

function assertComplete({ workload, peers }: Summary, metrics: readonly Metric[]): void {
  for (const peer of peers)
    for (const metric of metrics)
      assert.ok((peer.metrics[metric]?.median ?? 0) > 0, `${workload}: ${metric} of ${peer.peer}`);
}

const { skip } = await requirePeer('java', 'kafka-jars');

describe('the harness with Polylog and Apache Kafka side by side', { skip }, () => {
  let summaries: Summary[];
  before(async () => {
    const workloads = ['produce-1k', 'fetch-16k', 'latency-1k'].flatMap((name) => ['--workload', name]);
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
    assert.match(markdown(summaries), /^\| produce-1k \| polylog \|/m);
    assert.match(markdown(summaries), /^\| {2}\| ratio to kafka \|/m);
  });
});

describe('the harness with Polylog alone', () => {
  test('tells the time to the first message, memory, and the rate of the disk', async () => {
    const names = ['start', 'fsync-1p'].flatMap((name) => ['--workload', name]);
    const [start, fsync] = await measured(shortened('--peer', 'polylog', ...names));
    assertComplete(start!, ['startMs']);
    assertComplete(fsync!, ['messagesPerSecond', 'diskOverwritesPerSecond', 'diskAppendsPerSecond']);
  });
});

describe('the command line of the bench', () => {
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

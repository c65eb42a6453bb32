import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';

import type { RowTurns, Turns } from './compare.ts';
import type { Figures } from './generator/job.ts';
import type { Round } from './measure.ts';
import { BEGIN_MARK, block, END_MARK, withBlock } from './page.ts';
import { PEERS } from './peers/peers.ts';
import { table } from './report.ts';
import { mergeReports, readReport, type RunReport } from './run-report.ts';
import { summarise, type Summary } from './summary.ts';
import { targetsTable } from './targets.ts';
import { WORKLOADS, type Row } from './workloads.ts';

const GB = 1e9;

/** A round of one second in which so many messages of 1 KB were carried, for so much CPU time. */
function round(messages: number, cpuSeconds = 0.5, more: Partial<Round> = {}): Round {
  const isSilent = messages === 0;
  const figures: Figures = {
    requests: messages,
    messages,
    bytes: messages * 1000,
    seconds: 1,
    beganAtUs: 0,
    p50Ms: isSilent ? undefined : 1,
    p99Ms: isSilent ? undefined : 2,
    p999Ms: isSilent ? undefined : 3,
    brokerCpuSeconds: cpuSeconds,
    brokerSystemSeconds: cpuSeconds / 2,
    generatorCpuSeconds: 0.2,
    otherCpuSeconds: 0.1,
  };
  return { figures, residentPeakBytes: 2 ** 30, ...more };
}

function rowNamed(name: string): Row {
  return WORKLOADS.flatMap(({ rows }) => rows).find((row) => row.name === name)!;
}

function turnsOf(row: string, polylog: readonly Round[], kafka: readonly Round[]): RowTurns {
  const turns = [polylog, kafka].map((rounds, index): Turns => ({ peer: PEERS[index]!, rounds }));
  return { row: rowNamed(row), turns };
}

function summaryOf(row: string, polylog: readonly Round[], kafka: readonly Round[]): Summary {
  const { name } = WORKLOADS.find(({ rows }) => rows.some((one) => one.name === row))!;
  return summarise(name, [turnsOf(row, polylog, kafka)])[0]!;
}

describe('the summary of a row', () => {
  test('has medians with their extremes, and their ratio', () => {
    const summary = summaryOf('produce-1k', [round(100), round(400), round(200)], [round(50)]);
    assert.deepEqual(summary.peers[0]!.metrics.messagesPerSecond, { median: 200, min: 100, max: 400 });
    assert.equal(summary.ratios[0]!.metrics.messagesPerSecond, 4);
    assert.equal(summary.ratios[0]!.to, 'kafka');
  });

  test('rounds without an answer count as throughput of 0, and are left out of what they have no value for', () => {
    const rounds = [round(0), round(1000, 0.5), round(2000, 1)];
    const [polylog, kafka] = summaryOf('produce-1m', rounds, [round(1000)]).peers;
    assert.equal(polylog!.silentRounds, 1);
    assert.equal(kafka!.silentRounds, 0);
    assert.deepEqual(polylog!.metrics.messagesPerSecond, { median: 1000, min: 0, max: 2000 });
    assert.equal(polylog!.metrics.p99Ms!.median, 2);
    assert.equal(polylog!.metrics.cpuSecondsPerGigabyte!.median, (0.5 * GB) / 1e6);
  });

  test('the tables say how many rounds had no answer, if any', () => {
    const silent = summaryOf('produce-1m', [round(0), round(1000)], [round(1000)]);
    assert.match(table(silent), /limit +silent\npolylog .* 1 of 2\nkafka .*\nratio /);
    assert.doesNotMatch(table(summaryOf('produce-1m', [round(1)], [round(1)])), /silent/);
  });

  test('a metric that no round has is not there', () => {
    const silent = summaryOf('produce-1m', [round(0)], [round(1000)]);
    assert.equal(silent.peers[0]!.metrics.p99Ms, undefined);
    assert.equal(silent.ratios[0]!.metrics.p99Ms, undefined);
    assert.match(table(silent), /^polylog .* - /m);
  });

  test('a row is compared with another row of its run, broker by broker', () => {
    const few = turnsOf('spread-10p', [round(1000, 0.1)], [round(1000, 0.4)]);
    const many = turnsOf('spread-10000p', [round(500, 0.1)], [round(1000, 0.4)]);
    const [base, spread] = summarise('spread', [few, many]);
    assert.equal(base!.against, undefined);
    assert.equal(spread!.against!.row, 'spread-10p');
    const times = spread!.against!.peers.map(({ peer, metrics }) => [
      peer,
      metrics.cpuSecondsPerMillionMessages,
    ]);
    assert.deepEqual(times, [
      ['polylog', 2],
      ['kafka', 1],
    ]);
    assert.match(table(spread!), /times what it is at spread-10p:\npolylog +0\.50 .* 2\.00/);
    assert.equal(summarise('spread', [many])[0]!.against, undefined);
  });
});

/** The cells of the line that begins with that work. */
function lineOf(results: readonly Summary[], work: string): string[] {
  const line = targetsTable(results)
    .split('\n')
    .find((text) => text.startsWith(`| ${work} |`));
  assert.ok(line, work);
  return line
    .split('|')
    .slice(2, -1)
    .map((cell) => cell.trim());
}

describe('the table of targets', () => {
  const produced = (row: string, own: number): Summary => summaryOf(row, [round(own)], [round(100)]);
  const small = ['produce-1k', 'produce-100b', 'produce-10k', 'produce-1p', 'produce-100p', 'produce-1000p'];

  test('a target is met when all of its figures are there and meet it, the bound included', () => {
    const results = small.map((row) => produced(row, 150));
    const [bound, measured, verdict] = lineOf(results, 'produce, raw: throughput');
    assert.equal(bound, '>= 1.5');
    assert.match(measured!, /^produce-1k 1\.50; produce-100b 1\.50; /);
    assert.equal(verdict, 'met');
  });

  test('one that is missed names what missed it', () => {
    const results = small.map((row) => produced(row, row === 'produce-1p' ? 149 : 150));
    assert.equal(lineOf(results, 'produce, raw: throughput')[2], '**missed** by produce-1p 1.49');
  });

  test('one with figures that are missing is open, unless another figure misses it', () => {
    assert.match(lineOf([], 'produce, raw: throughput')[1]!, /^produce-1k not measured; /);
    assert.equal(lineOf([], 'produce, raw: throughput')[2], 'open');
    assert.equal(lineOf([], 'memory under load')[2], 'open');
    assert.equal(
      lineOf([produced('produce-1k', 1)], 'produce, raw: throughput')[2],
      '**missed** by produce-1k 0.01',
    );
  });

  test("some are the broker's own, in their unit, or against another row", () => {
    const start = summaryOf('start', [{ startMs: 499.6 }], [{ startMs: 5000 }]);
    assert.deepEqual(lineOf([start], 'start to the first message'), ['<= 500 ms', 'start 500 ms', 'met']);
    assert.deepEqual(lineOf([start], 'start, ratio'), ['<= 0.15', 'start 0.10', 'met']);
    const alone = { ...round(1).figures!, p99Ms: 0.5 };
    const cold = summaryOf('catch-up-cold', [round(1, 1, { alone })], [round(1, 1, { alone })]);
    const work = "cold catch-up: the producer's p99 to that without";
    assert.deepEqual(lineOf([cold], work), [
      '<= 2',
      'catch-up-cold 4.00',
      '**missed** by catch-up-cold 4.00',
    ]);
    const rows = [
      turnsOf('fsync-1p', [round(100)], [round(9)]),
      turnsOf('fsync-100p', [round(60)], [round(9)]),
    ];
    const fsync = summarise('fsync', rows);
    const partitions = lineOf(fsync, 'fsync, 100 partitions to 1: throughput');
    assert.deepEqual(partitions, ['>= 0.5', 'fsync-100p 0.60', 'met']);
  });
});

function reportOf(command: string, results: readonly Summary[]): RunReport {
  return {
    date: '2026-01-02T03:04:05.678Z',
    processor: 'CPU',
    cores: 2,
    memoryGib: 8,
    kernel: 'linux 6',
    node: 'v26',
    loadBefore: 0.5,
    loadAfter: 1.25,
    command,
    versions: ['Polylog 1', 'Apache Kafka 4'],
    pin: true,
    rounds: 5,
    limits: { warmupMs: 1, measureMs: 1000, requestsMax: 1, bytesMax: 1 },
    seconds: 90,
    results,
  };
}

describe('reports of several runs', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-bench-report-'));
  after(() => rmSync(folder, { recursive: true }));
  const old = reportOf('--workload produce-*', [
    summaryOf('produce-1p', [round(100)], [round(100)]),
    summaryOf('produce-1k', [round(100)], [round(100)]),
  ]);
  const again = reportOf('--json /tmp/x.json --workload produce-1k --docs', [
    summaryOf('produce-1k', [round(300)], [round(100)]),
  ]);

  test('the last run counts, row by row, and rows stand in the order of the workloads', () => {
    const { results, runs } = mergeReports([old, again]);
    const ratios = results.map((summary) => [summary.row, summary.ratios[0]!.metrics.messagesPerSecond]);
    assert.deepEqual(ratios, [
      ['produce-1k', 3],
      ['produce-1p', 1],
    ]);
    assert.deepEqual(
      runs.map(({ rows }) => rows),
      [['produce-1p'], ['produce-1k']],
    );
  });

  test('a run of which nothing is left is not named', () => {
    assert.deepEqual(
      mergeReports([again, old]).runs.map(({ report }) => report.command),
      ['--workload produce-*'],
    );
  });

  test('the block of the page names machine, runs with command, date and load, results and targets', () => {
    const text = block(mergeReports([old, again]));
    assert.match(text, /^## What was run\n\nCPU, 2 cores, 8 GiB, linux 6\. Polylog 1; Apache Kafka 4\. /);
    const run =
      '| `npm run bench -- --workload produce-1k` | produce-1k | 2026-01-02 03:04 UTC | 2 | 0.5, 1.3 | 10 to 10 % |';
    assert.ok(text.includes(`${run} 5 of 1000 ms |`), text);
    for (const heading of ['## Results', '### Produce: the baseline', '## Against the targets'])
      assert.ok(text.includes(`\n\n${heading}`), heading);
    assert.match(text, /^\| produce-1k \| polylog \|/m);
    assert.match(text, /^\| +\| ratio to kafka \|/m);
  });

  test('the block replaces what stood between the marks of a page, and nothing else', () => {
    const page = `# Title\n\n${BEGIN_MARK}\nold\n${END_MARK}\n\n## Prose\n`;
    const once = withBlock(page, 'new $& text');
    assert.equal(once, `# Title\n\n${BEGIN_MARK}\n\nnew $& text\n\n${END_MARK}\n\n## Prose\n`);
    assert.equal(withBlock(once, 'new $& text'), once);
    for (const broken of ['# Title\n', `${END_MARK}${BEGIN_MARK}`, `${page}${page}`])
      assert.throws(() => withBlock(broken, 'new'), /the page has not one line/);
  });

  test('a report is read back as it was written, and another file is refused by name', () => {
    const file = path.join(folder, 'report.json');
    writeFileSync(file, JSON.stringify(old));
    assert.deepEqual(readReport(file), old);
    for (const text of [
      'not JSON',
      'null',
      '{"results":[]}',
      '{"command":"","results":[{"workload":"old"}]}',
    ]) {
      writeFileSync(file, text);
      assert.throws(() => readReport(file), /report\.json is/);
    }
    const renamed = { ...old, results: [{ ...old.results[0]!, row: 'gone' }] };
    assert.throws(() => mergeReports([renamed]), /no workload has the row gone/);
  });
});

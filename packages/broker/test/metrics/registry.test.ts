import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Histogram } from '../../src/metrics/histogram.ts';
import { BrokerMetrics } from '../../src/metrics/registry.ts';
import { OTHER_TOPICS, TOPIC_LABELS_MAX } from '../../src/metrics/types.ts';

async function linesOf(metrics: BrokerMetrics, name: string): Promise<string[]> {
  const { body } = await metrics.render();
  return body.split('\n').filter((line) => line.startsWith(`polylog_${name}`));
}

describe('The metrics of a broker', () => {
  it('read series with their labels when somebody scrapes, and not before', async () => {
    const metrics = new BrokerMetrics();
    let reads = 0;
    metrics.gauges({
      name: 'lag',
      help: 'h',
      labels: ['group', 'topic'],
      read: (add) => {
        reads++;
        add(7, 'billing', 'orders');
        add(0, 'a "quoted" \\ name\n', 'orders');
      },
    });
    assert.equal(reads, 0);
    assert.deepEqual(await linesOf(metrics, 'lag'), [
      'polylog_lag{group="billing",topic="orders"} 7',
      'polylog_lag{group="a \\"quoted\\" \\\\ name\\n",topic="orders"} 0',
    ]);
    assert.equal(reads, 1);
  });

  it("leave out the series beyond a metric's limit, and say at the next scrape how many", async () => {
    const metrics = new BrokerMetrics();
    let series = 5;
    metrics.gauges({
      name: 'many',
      help: 'h',
      labels: ['at'],
      seriesMax: 3,
      read: (add) => {
        for (let at = 0; at < series; at++) add(at, String(at));
      },
    });
    assert.deepEqual(await linesOf(metrics, 'metrics_series_dropped'), []);
    assert.equal((await linesOf(metrics, 'many')).length, 3);
    const dropped = 'polylog_metrics_series_dropped{metric="polylog_many"} 2';
    assert.deepEqual(await linesOf(metrics, 'metrics_series_dropped'), [dropped]);
    series = 3;
    await metrics.render();
    assert.deepEqual(await linesOf(metrics, 'metrics_series_dropped'), []);
  });

  it('count observations in buckets that include their bounds', async () => {
    const metrics = new BrokerMetrics();
    const histogram = new Histogram([1, 2]);
    metrics.histogram({ name: 'size', help: 'h', histogram });
    for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value);
    assert.deepEqual(await linesOf(metrics, 'size'), [
      'polylog_size_bucket{le="1"} 2',
      'polylog_size_bucket{le="2"} 3',
      'polylog_size_bucket{le="+Inf"} 4',
      'polylog_size_sum 12',
      'polylog_size_count 4',
    ]);
  });

  it('give topics beyond the limit one label together', async () => {
    const metrics = new BrokerMetrics();
    for (let topic = 0; topic <= TOPIC_LABELS_MAX; topic++) metrics.topic(`t${topic}`).bytesIn++;
    metrics.topic('another').bytesIn++;
    const lines = await linesOf(metrics, 'topic_bytes_in_total');
    assert.equal(lines.length, TOPIC_LABELS_MAX + 1);
    assert.equal(lines.at(-1), `polylog_topic_bytes_in_total{topic="${OTHER_TOPICS}"} 2`);
  });

  it('refuse a second metric of a name, and take new ones after the first scrape', async () => {
    const metrics = new BrokerMetrics();
    const gauge = { name: 'one', help: 'h', read: () => 1 };
    metrics.gauge(gauge);
    assert.throws(() => metrics.counter(gauge), /polylog_one exists already/);
    await metrics.render();
    metrics.gauges({ ...gauge, name: 'two', labels: ['of'], read: (add) => add(2, 'it') });
    assert.deepEqual(await linesOf(metrics, 'two'), ['polylog_two{of="it"} 2']);
    assert.deepEqual(
      metrics.families().filter(({ name }) => name === 'polylog_two'),
      [{ name: 'polylog_two', help: 'h', type: 'gauge', labels: ['of'] }],
    );
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { describeGroups, OFFSETS_MEASURED_MAX } from '../../src/groups/metrics.ts';
import type { GroupService } from '../../src/groups/service.ts';
import type { GroupSummary } from '../../src/groups/types.ts';
import { BrokerMetrics } from '../../src/metrics/registry.ts';
import { SERIES_MAX } from '../../src/metrics/types.ts';
import type { HostedPartitions } from '../../src/topics/types.ts';

const HIGH_WATERMARK = 1_000_000;

/** Groups that have committed these offsets in the partitions of `orders`; -1: this broker does not lead the partition. */
function metricsOf(...committed: (readonly number[])[]): BrokerMetrics {
  const summaries = committed.map((offsets, number): GroupSummary => {
    const byPartition = offsets.map(
      (offset, partition) => [partition, { offset, leaderEpoch: 0, metadata: '' }] as const,
    );
    return {
      groupId: number === 0 ? 'billing' : `group-${number}`,
      type: 'classic',
      state: 'Stable',
      members: 2,
      offsets: new Map([['orders', new Map(byPartition)]]),
    };
  });
  const groups = { counters: {}, shardCounters: {}, loadingCount: 0, summaries: () => summaries };
  const partitions = {
    get: (_topic: string, partition: number) => ({
      isLeader: committed[0]![partition] !== -1,
      highWatermark: HIGH_WATERMARK,
    }),
  };
  const metrics = new BrokerMetrics();
  describeGroups(metrics, groups as unknown as GroupService, partitions as unknown as HostedPartitions);
  return metrics;
}

async function seriesOf(metrics: BrokerMetrics, name: string): Promise<string[]> {
  const { body } = await metrics.render();
  return body.split('\n').filter((line) => line.startsWith(`polylog_${name}`));
}

describe('The lag of a group', () => {
  it('is never negative, and unknown for partitions that another broker leads', async () => {
    const metrics = metricsOf([HIGH_WATERMARK - 4, HIGH_WATERMARK + 7, -1]);
    assert.deepEqual(await seriesOf(metrics, 'consumer_group_partition_lag'), [
      'polylog_consumer_group_partition_lag{group="billing",topic="orders",partition="0"} 4',
      'polylog_consumer_group_partition_lag{group="billing",topic="orders",partition="1"} 0',
    ]);
    assert.deepEqual(await seriesOf(metrics, 'consumer_group_lag'), [
      'polylog_consumer_group_lag{group="billing",topic="orders"} 4',
    ]);
    assert.equal((await seriesOf(metrics, 'consumer_group_committed_offset')).length, 3);
  });

  it('has series for the partitions that lag most, where there are too many', async () => {
    // The lag of a partition is its number; the last hundred share the largest one.
    const count = 3 * SERIES_MAX;
    const lags = Array.from({ length: count }, (_, partition) => Math.min(partition, count - 100));
    const metrics = metricsOf(lags.map((lag) => HIGH_WATERMARK - lag));
    const values = (await seriesOf(metrics, 'consumer_group_partition_lag')).map((line) =>
      Number(line.split(' ')[1]),
    );
    assert.equal(values.length, SERIES_MAX);
    assert.deepEqual(
      values.toSorted((a, b) => a - b),
      lags.slice(-SERIES_MAX),
    );
    const dropped = await seriesOf(
      metrics,
      'metrics_series_dropped{metric="polylog_consumer_group_partition_lag"',
    );
    assert.deepEqual(dropped, [
      `polylog_metrics_series_dropped{metric="polylog_consumer_group_partition_lag"} ${count - SERIES_MAX}`,
    ]);
    const [total] = await seriesOf(metrics, 'consumer_group_lag');
    assert.equal(
      Number(total!.split(' ')[1]),
      lags.reduce((sum, lag) => sum + lag, 0),
    );
  });

  it('says how many offsets it does not contain', async () => {
    const full = Array.from({ length: OFFSETS_MEASURED_MAX }, () => 0);
    const metrics = metricsOf(full, [0, 0, 0]);
    assert.deepEqual(await seriesOf(metrics, 'consumer_group_offsets_unmeasured'), [
      'polylog_consumer_group_offsets_unmeasured 3',
    ]);
    assert.equal((await seriesOf(metrics, 'consumer_group_lag')).length, 1);
    assert.equal((await seriesOf(metrics, 'consumer_group_members{')).length, 2);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import process from 'node:process';

import type { Metrics } from './metrics/types.ts';

const NANOSECONDS_PER_SECOND = 1e9;
const EVENT_LOOP_RESOLUTION_MS = 20;
/** Quantiles since the start would hide what is slow now. */
const EVENT_LOOP_WINDOW_MS = 60_000;
const QUANTILES = { p50: 50, p99: 99, p999: 99.9 } as const;

/** Registers what is known of the process and its event loop. Returns what ends the measuring. */
export function describeProcess(metrics: Metrics): () => void {
  describeBuild(metrics);
  describeResources(metrics);
  describeDescriptors(metrics);
  return describeEventLoop(metrics);
}

/** Of this package. */
function version(): string {
  const require = createRequire(import.meta.url);
  return (require('../package.json') as { version: string }).version;
}

function describeBuild(metrics: Metrics): void {
  const broker = version();
  metrics.gauges({
    name: 'build_info',
    help: 'Versions of the broker and of its runtime',
    labels: ['version', 'node'],
    read: (add) => add(1, broker, process.versions.node),
  });
  metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, since the epoch',
    read: () => performance.timeOrigin / 1000,
  });
  const startedMs = performance.now();
  metrics.gauge({
    name: 'uptime_seconds',
    help: 'Time since the broker took up its work',
    read: () => (performance.now() - startedMs) / 1000,
  });
}

function describeResources(metrics: Metrics): void {
  const gauge = (name: string, help: string, read: () => number): void => metrics.gauge({ name, help, read });
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  gauge('process_heap_used_bytes', 'Used heap', () => process.memoryUsage().heapUsed);
  gauge('process_external_memory_bytes', 'Buffers outside of the heap', () => process.memoryUsage().external);
  metrics.counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time, user and system',
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  });
}

/** Where the system shows them; elsewhere they have no value. */
function describeDescriptors(metrics: Metrics): void {
  const isShown = process.platform === 'linux';
  metrics.gauges({
    name: 'process_open_fds',
    help: 'Open file descriptors (on Linux)',
    labels: [],
    read: (add) => isShown && add(readdirSync('/proc/self/fd').length),
  });
  metrics.gauges({
    name: 'process_max_fds',
    help: 'The most file descriptors that the process may have (on Linux)',
    labels: [],
    read: (add) => isShown && add(descriptorsMax() ?? Infinity),
  });
}

/** File descriptors that this process may have; undefined where that is not known, or not limited. */
export function descriptorsMax(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return limit === undefined ? undefined : Number(limit);
}

function describeEventLoop(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
  delay.enable();
  const quantilesOf = (): Record<keyof typeof QUANTILES, number> => {
    const quantile = (percentile: number): number =>
      // What is measured is the time between two ticks of a timer, which is due after the resolution.
      delay.count === 0
        ? 0
        : Math.max(
            0,
            delay.percentile(percentile) / NANOSECONDS_PER_SECOND - EVENT_LOOP_RESOLUTION_MS / 1000,
          );
    return { p50: quantile(QUANTILES.p50), p99: quantile(QUANTILES.p99), p999: quantile(QUANTILES.p999) };
  };
  let lastWindow: ReturnType<typeof quantilesOf> | undefined;
  const timer = setInterval(() => {
    lastWindow = quantilesOf();
    delay.reset();
  }, EVENT_LOOP_WINDOW_MS).unref();
  for (const name of Object.keys(QUANTILES) as (keyof typeof QUANTILES)[]) {
    metrics.gauge({
      name: `event_loop_delay_${name}_seconds`,
      help: `Delay of the event loop in the last whole minute (in the first one: since the start), ${name}`,
      read: () => (lastWindow ?? quantilesOf())[name],
    });
  }
  metrics.counter({
    name: 'event_loop_active_seconds_total',
    help: 'Time in which the event loop had work; its rate is the part of one core that is in use',
    read: () => performance.eventLoopUtilization().active / 1000,
  });
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}

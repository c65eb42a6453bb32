import type { MeasuredBroker } from './broker-process.ts';
import { runInGenerator } from './generator-process.ts';
import { createTopic, deleteTopic } from './generator/admin.ts';
import type { Target } from './generator/job.ts';
import { prepareBatch } from './generator/requests.ts';
import { newTopicName } from './measure.ts';

/** How much faster than ever before a broker must still become for its breaking-in to go on, */
const FASTER = 1.03;
/** and in how many steps one after the other it may fail to. */
const STEPS_WITHOUT_GAIN_MAX = 2;
const BREAK_IN_JOB_MS = 700;
const BATCHES = { batchBytes: 16 * 1024, recordBytes: 1024 };
/** Jobs travel as JSON, which has no infinity. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/**
 * A load that is not measured: a broker that has just started meets each path once, and a JVM compiles for tens of seconds on one
 * core. Goes on until it becomes no faster, at most so long (and one step more).
 */
export async function breakIn(
  broker: MeasuredBroker,
  { forMsMax, pin }: { forMsMax: number; pin: boolean },
): Promise<void> {
  const deadlineMs = performance.now() + forMsMax;
  if (forMsMax > 0) await joinGroups(broker.target, pin);
  let best = 0;
  for (let without = 0; without < STEPS_WITHOUT_GAIN_MAX && performance.now() < deadlineMs;) {
    const speed = await breakInStep(broker.target, pin);
    without = speed > best * FASTER ? 0 : without + 1;
    best = Math.max(best, speed);
  }
}

/** The first group of all makes a broker create the topic in which it keeps offsets. */
async function joinGroups(target: Target, pin: boolean): Promise<void> {
  const topic = newTopicName();
  await createTopic(target, { name: topic, partitions: 1, config: {} });
  const limits = { warmupMs: 0, measureMs: BREAK_IN_JOB_MS, requestsMax: UNLIMITED, bytesMax: UNLIMITED };
  await runInGenerator({ kind: 'fan-out', target, topic, consumers: 2, batch: BATCHES, limits }, pin);
  await deleteTopic(target, topic);
}

/** Single messages, batches and fetches; the geometric mean of their rates. */
async function breakInStep(target: Target, pin: boolean): Promise<number> {
  const name = newTopicName();
  await createTopic(target, { name, partitions: 1, config: {} });
  const common = { target, topic: name, partitions: 1, connections: 8, window: 5 };
  const limits = { warmupMs: 0, measureMs: BREAK_IN_JOB_MS, requestsMax: UNLIMITED, bytesMax: UNLIMITED };
  const batch = { batchBytes: 0, recordBytes: 1024 };
  const single = await runInGenerator({ kind: 'produce', ...common, batch, limits }, pin);
  const reading = { batchCount: single.requestsTotal, responseBytes: prepareBatch(batch, 0).bytes.length };
  const fetched = await runInGenerator({ kind: 'fetch', ...common, batch, ...reading, limits }, pin);
  const batched = await runInGenerator({ kind: 'produce', ...common, batch: BATCHES, limits }, pin);
  await deleteTopic(target, name);
  const rates = [single, fetched, batched].map(({ figures }) => figures.requests / figures.seconds);
  return Math.cbrt(rates.reduce((product, rate) => product * rate, 1));
}

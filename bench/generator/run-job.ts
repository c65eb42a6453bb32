import { FetchSender } from './fetch.ts';
import type { FetchJob, Figures, Job, JobResult, LatencyJob, ProduceJob } from './job.ts';
import { ProduceSender } from './produce.ts';
import { prepareBatch, type PreparedBatch } from './requests.ts';
import { Run } from './run.ts';

/** The long poll of the latency job: longer than the gap between two messages. */
const POLL_MS = 500;
const POLL_BYTES_MAX = 1024 * 1024;
/** Messages without acknowledgement at most; a broker that falls so far behind its producer has failed the job. */
const LATENCY_WINDOW = 10_000;
/** Node's timers are no finer; a late tick sends what has become due. */
const TICK_MS = 1;

/** Runs a job to its end. Rejects on any error code, lost connection or missing answer: there are no figures with errors. */
export async function runJob(job: Job): Promise<JobResult> {
  const run = new Run(job.limits, job.target.pid);
  const batch = prepareBatch(job.batch, Date.now());
  const senders: { close(): void }[] = [];
  try {
    const figures = await execute(job, { run, batch, senders });
    return { figures, requestsTotal: run.answeredTotal, recordsPerRequest: batch.recordCount };
  } finally {
    for (const sender of senders) sender.close();
  }
}

interface Running {
  readonly run: Run;
  readonly batch: PreparedBatch;
  /** To be closed at the end. */
  readonly senders: { close(): void }[];
}

async function execute(job: Job, running: Running): Promise<Figures> {
  switch (job.kind) {
    case 'produce':
      return runProduce(job, running);
    case 'fetch':
      return runFetch(job, running);
    case 'latency':
      return runLatency(job, running);
  }
}

async function runProduce(job: ProduceJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, partitions, window } = job;
  const opened: ProduceSender[] = [];
  for (let index = 0; index < job.connections; index++) {
    const options = { topic, partitions, firstPartition: index, batch, window, refill: true };
    const sender = await ProduceSender.open(target, run, options);
    opened.push(sender);
    senders.push(sender);
  }
  const figures = run.start();
  for (const sender of opened) sender.send(window);
  return figures;
}

async function runFetch(job: FetchJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, connections, responseBytes, batchCount } = job;
  const opened: FetchSender[] = [];
  for (let index = 0; index < connections; index++) {
    const sender = await FetchSender.open(target, run, {
      shape: { topic, partition: 0, bytesMax: responseBytes, minBytes: 1, maxWaitMs: POLL_MS },
      batchBytes: batch.bytes.length,
      recordsPerBatch: batch.recordCount,
      // Spread over the log, so that connections do not read the same bytes at the same time.
      startOffset: Math.floor((batchCount * index) / connections) * batch.recordCount,
      endOffset: batchCount * batch.recordCount,
      received: ({ recordBytes, latencyMs }) => run.count(recordBytes, latencyMs),
    });
    opened.push(sender);
    senders.push(sender);
  }
  const figures = run.start();
  for (const sender of opened) sender.send();
  return figures;
}

async function runLatency(job: LatencyJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, messagesPerSecond } = job;
  const producer = await ProduceSender.open(target, run, {
    topic,
    partitions: 1,
    firstPartition: 0,
    batch,
    window: LATENCY_WINDOW,
    refill: false,
  });
  senders.push(producer);
  const fetcher = await FetchSender.open(target, run, {
    shape: { topic, partition: 0, bytesMax: POLL_BYTES_MAX, minBytes: 1, maxWaitMs: POLL_MS },
    batchBytes: batch.bytes.length,
    recordsPerBatch: 1,
    startOffset: 0,
    endOffset: Infinity,
    received({ offset, batches, nowMs }) {
      for (let index = offset; index < offset + batches; index++)
        run.count(batch.bytes.length, nowMs - producer.sentAtMs(index));
    },
  });
  senders.push(fetcher);
  const figures = run.start();
  fetcher.send();
  const beganMs = performance.now();
  const ticks = setInterval(() => {
    const due = Math.floor(((performance.now() - beganMs) * messagesPerSecond) / 1000) - producer.sent;
    if (due > producer.free) run.fail(new Error('the broker falls behind the producer'));
    else if (run.sending && due > 0) producer.send(due);
  }, TICK_MS);
  return figures.finally(() => clearInterval(ticks));
}

import { FetchSender, type Fetched } from './fetch.ts';
import { GroupMember } from './group-member.ts';
import type {
  FanOutJob,
  FetchJob,
  Figures,
  Job,
  JobResult,
  LatencyJob,
  PacedProduceJob,
  ProduceJob,
} from './job.ts';
import { ProduceSender } from './produce.ts';
import { prepareBatch, type PreparedBatch } from './requests.ts';
import { Run } from './run.ts';

/** The long poll of those who follow the end of a log: longer than the gap between two messages. */
const POLL_MS = 500;
const POLL_BYTES_MAX = 1024 * 1024;
/** Messages without acknowledgement at most; a broker that falls so far behind its producer has failed the job. */
const PACED_WINDOW = 10_000;
/** Node's timers are no finer; a late tick sends what has become due. */
const TICK_MS = 1;
/** How far the slowest consumer of a fan-out may be behind the producer: it reads what is in the page cache for certain. */
const FAN_OUT_LAG_BYTES_MAX = 8 * 1024 * 1024;
const FAN_OUT_WINDOW = 16;

/** Runs a job to its end. Rejects on any error code, lost connection or missing answer: there are no figures with errors. */
export async function runJob(job: Job): Promise<JobResult> {
  const run = new Run(job.limits, job.target.pid);
  const batch = prepareBatch(job.batch, Date.now());
  const senders: Closeable[] = [];
  let figures: Figures;
  try {
    figures = await execute(job, { run, batch, senders });
  } catch (error) {
    // What went wrong first is what there is to say: a broken connection cannot be closed in order.
    await Promise.allSettled(senders.map(async (sender) => sender.close()));
    throw error;
  }
  for (const sender of senders) await sender.close();
  const recordsPerRequest = job.kind === 'stock-produce' ? job.messagesPerCall : batch.recordCount;
  const { answeredTotal: requestsTotal, bytesTotal } = run;
  return { figures, requestsTotal, recordsPerRequest, bytesTotal };
}

interface Closeable {
  close(): void | Promise<void>;
}

export interface Running {
  readonly run: Run;
  readonly batch: PreparedBatch;
  /** To be closed at the end. */
  readonly senders: Closeable[];
}

async function execute(job: Job, running: Running): Promise<Figures> {
  switch (job.kind) {
    case 'produce':
      return runProduce(job, running);
    case 'fetch':
      return runFetch(job, running);
    case 'latency':
      return runLatency(job, running);
    case 'paced-produce':
      return runPacedProduce(job, running);
    case 'fan-out':
      return runFanOut(job, running);
    case 'stock-produce':
      return (await stockClients()).runStockProduce(job, running);
    case 'stock-consume':
      return (await stockClients()).runStockConsume(job, running);
  }
}

/** Loaded by those who need them: to load them takes longer than a short round. */
function stockClients(): Promise<typeof import('./stock-clients.ts')> {
  return import('./stock-clients.ts');
}

async function runProduce(job: ProduceJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, window, acks = -1 } = job;
  const opened: ProduceSender[] = [];
  for (let index = 0; index < job.connections; index++) {
    const partitions = partitionsOf(index, job);
    const sender = await ProduceSender.open(target, run, {
      topic,
      partitions,
      batch,
      acks,
      window,
      refill: true,
      counts: true,
    });
    opened.push(sender);
    senders.push(sender);
  }
  const figures = run.start();
  for (const sender of opened) sender.send(window);
  return figures;
}

/** Each partition belongs to a connection where there are enough of them, else each connection writes all. */
function partitionsOf(connection: number, { partitions, connections }: ProduceJob): number[] {
  if (connections >= partitions) return [connection % partitions];
  const count = Math.ceil((partitions - connection) / connections);
  return Array.from({ length: count }, (_, index) => connection + index * connections);
}

async function runFetch(job: FetchJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, connections, responseBytes, batchCount } = job;
  const endOffset = batchCount * batch.recordCount;
  const opened: FetchSender[] = [];
  for (let index = 0; index < connections; index++) {
    const sender = await FetchSender.open(target, run, {
      shape: { topic, partition: 0, bytesMax: responseBytes, minBytes: 1, maxWaitMs: POLL_MS },
      batchBytes: batch.bytes.length,
      recordsPerBatch: batch.recordCount,
      // Spread over the log, so that connections do not read the same bytes at the same time.
      startOffset: Math.floor((batchCount * index) / connections) * batch.recordCount,
      endOffset,
      received: (fetched) => {
        countFetched(run, batch, fetched);
        if (job.once === true && fetched.offset + fetched.batches * batch.recordCount >= endOffset) run.end();
      },
    });
    opened.push(sender);
    senders.push(sender);
  }
  const figures = run.start();
  for (const sender of opened) sender.send();
  return figures;
}

function countFetched(run: Run, { recordCount }: PreparedBatch, fetched: Fetched): void {
  const { batches, recordBytes, latencyMs } = fetched;
  run.count({ bytes: recordBytes, messages: batches * recordCount, latencyMs });
}

/** Reads partition 0 from its beginning and on, as it grows. */
async function openFollower(
  { target, topic }: LatencyJob | FanOutJob,
  { run, batch, senders }: Running,
  received: (fetched: Fetched) => void,
): Promise<FetchSender> {
  const follower = await FetchSender.open(target, run, {
    shape: { topic, partition: 0, bytesMax: POLL_BYTES_MAX, minBytes: 1, maxWaitMs: POLL_MS },
    batchBytes: batch.bytes.length,
    recordsPerBatch: batch.recordCount,
    startOffset: 0,
    endOffset: Infinity,
    received,
  });
  senders.push(follower);
  return follower;
}

async function runLatency(job: LatencyJob, running: Running): Promise<Figures> {
  const { target, topic, messagesPerSecond } = job;
  const { run, batch, senders } = running;
  const one = { topic, partitions: [0], batch, window: PACED_WINDOW, refill: false, counts: false };
  const producer = await ProduceSender.open(target, run, one);
  senders.push(producer);
  const follower = await openFollower(job, running, ({ offset, batches, nowMs }) => {
    for (let index = offset; index < offset + batches; index++)
      run.count({ bytes: batch.bytes.length, messages: 1, latencyMs: nowMs - producer.sentAtMs(index) });
  });
  const figures = run.start();
  follower.send();
  return paced(figures, { run, producer, messagesPerSecond });
}

async function runPacedProduce(job: PacedProduceJob, { run, batch, senders }: Running): Promise<Figures> {
  const { target, topic, messagesPerSecond } = job;
  const one = { topic, partitions: [0], batch, window: PACED_WINDOW, refill: false, counts: true };
  const producer = await ProduceSender.open(target, run, one);
  senders.push(producer);
  return paced(run.start(), { run, producer, messagesPerSecond });
}

/** Sends until the figures are there. */
async function paced(
  figures: Promise<Figures>,
  { run, producer, messagesPerSecond }: { run: Run; producer: ProduceSender; messagesPerSecond: number },
): Promise<Figures> {
  const beganMs = performance.now();
  const ticks = setInterval(() => {
    const due = Math.floor(((performance.now() - beganMs) * messagesPerSecond) / 1000) - producer.sent;
    if (due > producer.free) run.fail(new Error('the broker falls behind the producer'));
    else if (run.sending && due > 0) producer.send(due);
  }, TICK_MS);
  return figures.finally(() => clearInterval(ticks));
}

async function runFanOut(job: FanOutJob, running: Running): Promise<Figures> {
  const { run, batch, senders } = running;
  const received = new Float64Array(job.consumers);
  const lagBatchesMax = Math.max(1, Math.floor(FAN_OUT_LAG_BYTES_MAX / batch.bytes.length));
  const produce = (): void => {
    const slowest = received.reduce((least, batches) => Math.min(least, batches), Infinity);
    const allowed = slowest + lagBatchesMax - producer.sent;
    if (run.sending) producer.send(Math.max(0, Math.min(producer.free, allowed)));
  };
  const producer = await ProduceSender.open(job.target, run, {
    topic: job.topic,
    partitions: [0],
    batch,
    window: FAN_OUT_WINDOW,
    refill: false,
    counts: false,
    answered: produce,
  });
  senders.push(producer);
  const followers: FetchSender[] = [];
  for (let index = 0; index < job.consumers; index++) {
    const follower = await openFollower(job, running, (fetched) => {
      received[index]! += fetched.batches;
      if (fetched.batches > 0) countFetched(run, batch, fetched);
      produce();
    });
    followers.push(follower);
  }
  const members = await Promise.all(
    followers.map(async (_, index) => {
      const member = await GroupMember.join(job.target, {
        groupId: fanOutGroup(job.topic, index),
        topic: job.topic,
        position: () => received[index]! * batch.recordCount,
        failed: (error) => run.fail(error),
      });
      senders.push(member);
      return member;
    }),
  );
  const figures = run.start();
  for (const member of members) member.start();
  for (const follower of followers) follower.send();
  produce();
  return figures;
}

/** The group of a fan-out's reader with that index. */
export function fanOutGroup(topic: string, index: number): string {
  return `${topic}-reader-${index}`;
}

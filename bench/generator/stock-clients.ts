import process from 'node:process';

import { Consumer, MessagesStreamModes, ProduceAcks, Producer } from '@platformatic/kafka';
import kafkajs from 'kafkajs';

import type { Address } from './connection.ts';
import type { Figures, StockClientName, StockConsumeJob, StockProduceJob } from './job.ts';
import type { Running } from './run-job.ts';

const ACKS_ALL = -1;
/** Another one in each process: a group that has read the topic before would go on where it was. */
const GROUP = `bench-${process.pid}`;

interface StockProducer {
  /** Resolves when the broker has acknowledged all of them. */
  send(partition: number, values: readonly Buffer[]): Promise<unknown>;
  close(): Promise<void>;
}

interface ConsumeListener {
  readonly received: (messages: number, bytes: number) => void;
  readonly failed: (error: Error) => void;
}

/** Clients with the settings that they come with, but for acks=all and reading from the start. */
interface StockClient {
  producer(address: Address, topic: string): Promise<StockProducer>;
  /** Calls `received` with the number of messages and the bytes of their values until it is closed. */
  consume(address: Address, topic: string, listener: ConsumeListener): Promise<{ close(): Promise<void> }>;
}

const platformatic: StockClient = {
  producer({ host, port }, topic) {
    const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [`${host}:${port}`] });
    return Promise.resolve({
      send: (partition, values) =>
        producer.send({
          acks: ProduceAcks.ALL,
          messages: values.map((value) => ({ topic, partition, value })),
        }),
      close: () => producer.close(true),
    });
  },
  async consume({ host, port }, topic, { received, failed }) {
    const bootstrapBrokers = [`${host}:${port}`];
    const consumer = new Consumer({ clientId: 'bench', groupId: GROUP, bootstrapBrokers });
    const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST });
    stream.on('data', ({ value }) => received(1, value.length));
    stream.on('error', failed);
    return { close: () => consumer.close(true) };
  },
};

const kafkaJs: StockClient = {
  async producer({ host, port }, topic) {
    const producer = kafkaJsOf({ host, port }).producer();
    await producer.connect();
    return {
      send: (partition, values) =>
        producer.send({ topic, acks: ACKS_ALL, messages: values.map((value) => ({ partition, value })) }),
      close: () => producer.disconnect(),
    };
  },
  async consume(address, topic, { received, failed }) {
    const consumer = kafkaJsOf(address).consumer({ groupId: GROUP });
    consumer.on(consumer.events.CRASH, ({ payload }) => failed(payload.error));
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachBatch: ({ batch: { messages } }) => {
        let bytes = 0;
        for (const { value } of messages) bytes += value?.length ?? 0;
        received(messages.length, bytes);
        return Promise.resolve();
      },
    });
    return { close: () => consumer.disconnect() };
  },
};

function kafkaJsOf({ host, port }: Address): InstanceType<typeof kafkajs.Kafka> {
  return new kafkajs.Kafka({
    clientId: 'bench',
    brokers: [`${host}:${port}`],
    logLevel: kafkajs.logLevel.NOTHING,
  });
}

const CLIENTS: Readonly<Record<StockClientName, StockClient>> = { platformatic, kafkajs: kafkaJs };

/** Bytes are those of the values: what a user of the client sees. */
export async function runStockProduce(job: StockProduceJob, { run, senders }: Running): Promise<Figures> {
  const { client, target, topic, partitions, messagesPerCall, callsInFlight, batch } = job;
  const producer = await CLIENTS[client].producer(target, topic);
  senders.push(producer);
  const values = Array.from({ length: messagesPerCall }, () => Buffer.alloc(batch.recordBytes, 'x'));
  const bytes = messagesPerCall * batch.recordBytes;
  let calls = 0;
  const sendOn = async (): Promise<void> => {
    while (run.sending) {
      const sentAtMs = performance.now();
      run.sent(1);
      await producer.send(calls++ % partitions, values);
      run.count({ bytes, messages: messagesPerCall, latencyMs: performance.now() - sentAtMs });
      run.answered();
    }
  };
  const figures = run.start();
  for (let index = 0; index < callsInFlight; index++)
    sendOn().catch((error: unknown) => run.fail(asError(error)));
  return figures;
}

/** The warm-up begins with the first message: joining the group is not measured. */
export async function runStockConsume(job: StockConsumeJob, { run, senders }: Running): Promise<Figures> {
  const { promise: first, resolve, reject } = Promise.withResolvers<void>();
  const failed = (error: Error): void => {
    reject(error);
    run.fail(error);
  };
  const timer = setTimeout(() => failed(new Error(`nothing was read within ${JOIN_MS_MAX} ms`)), JOIN_MS_MAX);
  let total = 0;
  const consumer = await CLIENTS[job.client].consume(job.target, job.topic, {
    received(messages, bytes) {
      resolve();
      run.sent(1);
      run.answered();
      run.count({ bytes, messages });
      total += messages;
      if (total >= job.recordCount) run.end();
    },
    failed,
  });
  senders.push(consumer);
  await first.finally(() => clearTimeout(timer));
  return run.start();
}

const JOIN_MS_MAX = 30_000;

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

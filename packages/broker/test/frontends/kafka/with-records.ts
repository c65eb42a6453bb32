import { apis } from '@polylog/kafka-protocol';

import { batchOf, produceBody, world } from './harness.ts';

/** A broker whose topic `t` has each value twice, in a batch of its own, and a client of it. */
export async function withRecords(values: readonly string[]) {
  const w = await world();
  const topic = w.broker.add('t');
  const client = await w.connect();
  for (const value of values) await client.call(apis.produce, 9, produceBody('t', batchOf([value, value])));
  return { ...w, topic, log: topic.logs[0]!, client };
}

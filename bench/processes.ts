import { setTimeout as sleep } from 'node:timers/promises';

import { BrokerProcess } from './broker-process.ts';
import { createTopic } from './generator/admin.ts';
import { residentBytesOf } from './generator/process-stats.ts';
import { fill, type MeasureOptions, type Round } from './measure.ts';
import type { Peer } from './peers/peer.ts';
import type { ProcessWork } from './workloads.ts';

const FILLED = 'filled';
const FILLED_PARTITIONS = 10;

/** One round of what concerns a process alone, with one that is started for it. */
export async function measureProcess(work: ProcessWork, peer: Peer, options: MeasureOptions): Promise<Round> {
  const launch = { settings: {}, pin: options.pin, profileFolder: undefined };
  switch (work.kind) {
    case 'start': {
      const broker = await BrokerProcess.prepare(peer, launch);
      return thenRemove(broker, async () => ({ startMs: await broker.launchToFirstMessage('first') }));
    }
    case 'idle': {
      const broker = await BrokerProcess.start(peer, launch);
      return thenRemove(broker, async () => {
        await sleep(work.afterMs);
        const { pid } = broker.target;
        return { residentIdleBytes: pid === undefined ? undefined : residentBytesOf(pid)?.now };
      });
    }
    case 'restart': {
      const broker = await BrokerProcess.start(peer, launch);
      return thenRemove(broker, async () => measureRestart(broker, work, options));
    }
  }
}

async function measureRestart(
  broker: BrokerProcess,
  { batch }: Extract<ProcessWork, { kind: 'restart' }>,
  { bulkBytes, pin }: MeasureOptions,
): Promise<Round> {
  const topic = { name: FILLED, partitions: FILLED_PARTITIONS };
  await createTopic(broker.target, { ...topic, config: broker.peer.topicConfig('os') });
  await fill(broker.target, { topic, batch, batchCount: Math.floor(bulkBytes / batch.batchBytes), pin });
  await broker.kill();
  const restartKilledMs = await broker.launchToFirstMessage('after-kill');
  await broker.stop();
  const restartMs = await broker.launchToFirstMessage('after-stop');
  return { restartMs, restartKilledMs };
}

async function thenRemove(broker: BrokerProcess, measure: () => Promise<Round>): Promise<Round> {
  try {
    return await measure();
  } finally {
    await broker.remove();
  }
}

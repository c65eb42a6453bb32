import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/cluster-bench.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('hosted partitions look after themselves now and then, until the broker stops', async () => {
  // Its timers fire with the next turn of the loop.
  const { admin, partitions, made } = await openCluster();
  await admin.autoCreateTopic('t');
  let ticks = 0;
  made[0]!.tick = () => void ticks++;
  partitions.startHousekeeping();
  for (let turns = 0; turns < 5; turns++) await turn();
  assert.ok(ticks >= 2, `${ticks} ticks`);
  await partitions.close();
  const atClose = ticks;
  for (let turns = 0; turns < 5; turns++) await turn();
  assert.equal(ticks, atClose);
});

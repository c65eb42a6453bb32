import { testCompute } from '../../packages/broker/test/platform/compute-contract.ts';
import { testDisk } from '../../packages/broker/test/platform/disk-contract.ts';
import { testNetwork } from '../../packages/broker/test/platform/network-contract.ts';
import { testTime } from '../../packages/broker/test/platform/time-contract.ts';
import { SimWorld } from './world.ts';

testDisk('the simulation', () => {
  const world = new SimWorld({ seed: 11 });
  const { disk } = world.node('a').boot();
  disk.makeDirectory('/data');
  return { disk, root: '/data', settle: (promise) => world.settle(promise), close: () => undefined };
});

for (const seed of [1, 2, 3, 4, 5]) {
  testNetwork(`the simulation (seed ${seed})`, () => {
    const world = new SimWorld({ seed });
    return {
      server: world.node('b').boot().network,
      client: world.node('a').boot().network,
      host: 'b',
      settle: (promise) => world.settle(promise),
      until: (condition) => world.runUntil(condition, 60_000),
      pass: (milliseconds) => world.advance(milliseconds),
      close: () => undefined,
    };
  });
}

testTime('the simulation', () => {
  const world = new SimWorld({ seed: 12 });
  return { ...world.node('a').boot(), pass: (milliseconds) => world.advance(milliseconds) };
});

testCompute('the simulation', () => {
  const world = new SimWorld({ seed: 13 });
  return { compute: world.node('a').boot().compute, settle: (promise) => world.settle(promise) };
});

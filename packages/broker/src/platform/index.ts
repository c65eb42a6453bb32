export * from './clock.ts';
export * from './compute.ts';
export * from './disk.ts';
export type * from './log.ts';
export type * from './loop.ts';
export * from './network.ts';

import type { Clock, Random, Timers } from './clock.ts';
import type { Compute } from './compute.ts';
import type { Disk } from './disk.ts';
import type { Logger } from './log.ts';
import type { Loop } from './loop.ts';
import type { Network } from './network.ts';

/** Everything outside of the process, given to each part by the composition root, or by the simulator. */
export interface Platform {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly loop: Loop;
  readonly disk: Disk;
  readonly network: Network;
  readonly compute: Compute;
  readonly logger: Logger;
}

export * from './clock.ts';
export * from './compute.ts';
export * from './crypto.ts';
export * from './disk.ts';
export * from './documents.ts';
export type * from './log.ts';
export type * from './loop.ts';
export * from './network.ts';
export type * from './tls.ts';

import type { Clock, Random, Timers } from './clock.ts';
import type { Compute } from './compute.ts';
import type { Crypto } from './crypto.ts';
import type { Disk } from './disk.ts';
import type { Documents } from './documents.ts';
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
  readonly documents: Documents;
  readonly network: Network;
  readonly compute: Compute;
  readonly crypto: Crypto;
  readonly logger: Logger;
}

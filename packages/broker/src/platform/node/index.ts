import type { Platform } from '../index.ts';
import { NodeClock, NodeRandom, NodeTimers } from './clock.ts';
import { NodeCompute } from './compute.ts';
import { NodeCrypto } from './crypto.ts';
import { NodeDisk } from './disk.ts';
import { NodeDocuments } from './documents.ts';
import { NodeLogger, type LoggerOptions } from './logger.ts';
import { NodeLoop } from './loop.ts';
import { NodeNetwork } from './network.ts';

export type { LoggerOptions } from './logger.ts';

/** The real world. Its `compute` wants to be closed; nothing else of it keeps a process alive. */
export function createNodePlatform(options: { readonly logger: LoggerOptions }): Platform {
  const logger = NodeLogger.create(options.logger);
  const loop = new NodeLoop();
  return {
    clock: new NodeClock(),
    timers: new NodeTimers(),
    random: new NodeRandom(),
    loop,
    disk: new NodeDisk(),
    documents: new NodeDocuments(),
    network: new NodeNetwork({ loop, logger }),
    compute: new NodeCompute(),
    crypto: new NodeCrypto(),
    logger,
  };
}

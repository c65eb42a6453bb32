import { kafka } from './kafka.ts';
import type { Peer } from './peer.ts';
import { polylog } from './polylog.ts';

/** The first is what the others are compared with. */
export const PEERS: readonly Peer[] = [polylog, kafka];

import { array, field, int32, nullable, string, struct } from '../schema/index.ts';

/** "Not asked for" in every field of authorized operations (KIP-430). */
export const AUTHORIZED_OPERATIONS_OMITTED = -0x8000_0000;

/**
 * The leader to turn to instead (KIP-951); -1/-1 says nothing. A hint, so that versions without it drop it, where Kafka
 * would rather fail.
 */
export const leaderIdAndEpoch = struct({
  leaderId: field(int32, { default: -1 }),
  leaderEpoch: field(int32, { default: -1 }),
});

/** Where the leaders named in a response listen (KIP-951). */
export const nodeEndpoints = array(
  struct({
    nodeId: field(int32),
    host: field(string),
    port: field(int32),
    rack: field(nullable(string), { default: null }),
  }),
);

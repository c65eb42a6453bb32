import {
  apis,
  encodeWithSpans,
  FRAME_LENGTH_BYTES,
  type ConsumerGroupHeartbeatRequest,
  type FetchRequest,
  type JoinGroupRequest,
} from '@polylog/kafka-protocol';

import type { Prediction } from './expectation.ts';

/** A burst that is neither answered nor ended by then is a hang: nothing that is sent may wait for nearly so long, see {@link withoutLongWaits}. */
export const ANSWER_MS_MAX = 30_000;

const FETCH_WAIT_MS_MAX = 5;
const FETCH_BYTES_MAX = 65_536;
/**
 * A join is answered when all members have joined or the longest of their rebalance time-outs is over. It is the least session time-out that a broker
 * takes (group.min.session.timeout.ms), which v0 has for both.
 */
const REBALANCE_MS_MAX = 6000;
/** group.max.session.timeout.ms: beyond it a join is refused at once. */
const SESSION_MS_MAX = 1_800_000;

/**
 * The frame, or one that asks for the same and less patience. A broker may rightly keep a fetch and a member that joins waiting for weeks: a run that
 * sent such requests could not tell that from a hang.
 */
export function withoutLongWaits(frame: Uint8Array, { api, version, body, bodyAt }: Prediction): Uint8Array {
  if (api === undefined || typeof body !== 'object' || body === null) return frame;
  const changes = shorterWaits(api.key, body);
  if (changes === undefined) return frame;
  const { bytes } = encodeWithSpans(api.request, version, { ...body, ...changes } as never);
  const shorter = Buffer.concat([frame.subarray(0, bodyAt), bytes]);
  shorter.writeInt32BE(shorter.length - FRAME_LENGTH_BYTES);
  return shorter;
}

/** What to change in the body of that API; undefined if it is right as it is. */
function shorterWaits(apiKey: number, body: object): object | undefined {
  switch (apiKey) {
    case apis.fetch.key:
      return shorterFetch(body as FetchRequest);
    case apis.joinGroup.key:
      return shorterJoin(body as JoinGroupRequest);
    case apis.consumerGroupHeartbeat.key: {
      // Where the last member of KIP-848 leaves, the classic members inherit its time-out.
      const { rebalanceTimeoutMs } = body as ConsumerGroupHeartbeatRequest;
      return rebalanceTimeoutMs > REBALANCE_MS_MAX ? { rebalanceTimeoutMs: REBALANCE_MS_MAX } : undefined;
    }
    default:
      return undefined;
  }
}

function shorterFetch({ maxWaitMs, maxBytes }: FetchRequest): object | undefined {
  if (maxWaitMs <= FETCH_WAIT_MS_MAX && maxBytes <= FETCH_BYTES_MAX) return undefined;
  return {
    maxWaitMs: Math.min(maxWaitMs, FETCH_WAIT_MS_MAX),
    maxBytes: Math.min(maxBytes, FETCH_BYTES_MAX),
  };
}

function shorterJoin({ sessionTimeoutMs, rebalanceTimeoutMs }: JoinGroupRequest): object | undefined {
  if (sessionTimeoutMs > SESSION_MS_MAX) return undefined;
  if (rebalanceTimeoutMs > REBALANCE_MS_MAX) return { rebalanceTimeoutMs: REBALANCE_MS_MAX };
  const isFromSession = rebalanceTimeoutMs < 0 && sessionTimeoutMs > REBALANCE_MS_MAX;
  return isFromSession ? { sessionTimeoutMs: REBALANCE_MS_MAX } : undefined;
}

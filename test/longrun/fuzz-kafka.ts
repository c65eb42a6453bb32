// npm run fuzz:kafka -- --frames 1000000 [--seed N]
// Sends a broker every Kafka API in every version that it offers, with each field mutated; then decompression bombs and
// slow senders. Ends with code 1 if the broker crashed, hung, grew, logged an error, or answered anything that the
// schemas do not lead to, or if a healthy client beside all this lost its data or its latency.
import process from 'node:process';

import { commandOptions, integer } from '../../scripts/options.ts';
import { bombs } from './fuzz/bombs.ts';
import { growthsOf } from './fuzz/growth.ts';
import { CONNECTIONS_PER_ADDRESS_MAX, fuzz } from './fuzz/run.ts';
import { slowSenders } from './fuzz/slow-senders.ts';

const WARM_UP_FRAMES_MAX = 200_000;
const ALONE_MS = 10_000;
const IDLE_MS = 6000;
const BOMB_CLIENTS = 8;
const BOMB_ROUNDS = 2;
const HOLD_MS = 15_000;
const REACHED_BODY_MIN = 0.5;
/** A bound for machines with other work, far above what is measured; the figures are printed. */
const ACK_P99_MS_MAX = 1000;

const { frames, seed } = commandOptions({
  command: 'fuzz:kafka',
  summary:
    'Sends a broker every Kafka API in every version, with each field mutated, beside a healthy client.',
  options: {
    frames: integer('frames to send; decompression bombs and slow senders come on top', {
      default: 1_000_000,
      min: 1,
    }),
    seed: integer('the frames follow from it', { default: 1 }),
  },
});
console.log(
  `fuzz:kafka: ${frames} frames, seed ${seed}, node ${process.version}, ${new Date().toISOString()}`,
);
const { findings, counts, warm, end, during } = await fuzz({
  frames,
  seed,
  warmUpFrames: Math.min(WARM_UP_FRAMES_MAX, Math.floor(frames / 4)),
  aloneMs: ALONE_MS,
  idleMs: IDLE_MS,
  print: (line) => console.log(line),
  afterFrames: async (session) => {
    await bombs(session, { clients: BOMB_CLIENTS, rounds: BOMB_ROUNDS });
    await slowSenders(session, {
      holdMs: HOLD_MS,
      connectionsPerAddressMax: CONNECTIONS_PER_ADDRESS_MAX,
    });
  },
});
const growths = growthsOf(warm, end);
for (const { description } of growths) console.log(description);
const failures = [
  ...(findings.list.length > 0 ? [`${findings.list.length} findings, see above`] : []),
  ...growths.flatMap(({ what, bytes, bytesMax }) => (bytes > bytesMax ? [`${what} grew by too much`] : [])),
  ...(counts.reachedBody < counts.frames * REACHED_BODY_MIN ? ['too few frames reached a body decoder'] : []),
  ...(during.ack.p99 > ACK_P99_MS_MAX
    ? [`p99 of a healthy client beside the frames: ${during.ack.p99} ms`]
    : []),
];
for (const failure of failures) console.error(`FAILED: ${failure}`);
if (failures.length === 0) console.log('passed');
process.exitCode = failures.length === 0 ? 0 : 1;

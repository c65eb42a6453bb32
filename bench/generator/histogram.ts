/** Buckets per power of two, halved: a value is off by at most 1/64 of itself. */
const BUCKET_BITS = 5;
const EXACT_BELOW = 1 << (BUCKET_BITS + 1);
const VALUE_US_MAX = 2 ** 31 - 1;

/** Counts durations in microseconds: constant memory, no allocation per value. */
export class Histogram {
  readonly #counts = new Float64Array(bucketOf(VALUE_US_MAX) + 1);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(us: number): void {
    const value = us >= VALUE_US_MAX ? VALUE_US_MAX : us | 0;
    this.#counts[bucketOf(value)]!++;
    this.#total++;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** The least duration in microseconds that so large a part (0 to 1) of all values does not exceed; 0 without values. */
  quantileUs(part: number): number {
    const rank = Math.max(1, Math.ceil(part * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return middleOf(bucket);
    }
    return 0;
  }
}

function bucketOf(value: number): number {
  if (value < EXACT_BELOW) return value;
  const shift = 31 - Math.clz32(value) - BUCKET_BITS;
  return (shift << BUCKET_BITS) + (value >>> shift);
}

function middleOf(bucket: number): number {
  if (bucket < EXACT_BELOW) return bucket;
  const shift = (bucket >>> BUCKET_BITS) - 1;
  const low = (bucket - (shift << BUCKET_BITS)) * 2 ** shift;
  return low + 2 ** (shift - 1);
}

/** Upper bounds of the buckets of latencies, in seconds, as Prometheus wants them. */
export const LATENCY_BUCKETS_S: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Counts observations by size. Observing adds to two numbers; nothing is allocated. */
export class Histogram {
  /** Inclusive upper bounds, rising, in the unit of the observations; above the last one there is one more bucket. */
  readonly bounds: readonly number[];
  /** Observations in each bucket; one more than there are bounds. */
  readonly counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[] = LATENCY_BUCKETS_S) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    this.#sum += value;
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.counts[bucket]!++;
  }
}

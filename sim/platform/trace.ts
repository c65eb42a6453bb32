/** Lines kept for people; the hash covers all. */
const LINES_KEPT_MAX = 20_000;

/** What happened, in order, with a running 64-bit hash: two runs of one seed must end with the same one. */
export class Trace {
  #lines: string[] = [];
  #count = 0;
  #high = 0x811c9dc5;
  #low = 0x9e3779b9;

  add(line: string): void {
    this.#count++;
    this.#lines.push(line);
    if (this.#lines.length >= 2 * LINES_KEPT_MAX) this.#lines = this.#lines.slice(-LINES_KEPT_MAX);
    for (let index = 0; index < line.length; index++) this.mix(line.charCodeAt(index));
    this.mix(10);
  }

  /** Adds a number to the hash, without a line. */
  mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193);
    this.#low = Math.imul((this.#low << 5) ^ (this.#low >>> 27) ^ value, 0x85ebca6b) ^ this.#high;
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  get count(): number {
    return this.#count;
  }

  /** The last lines. */
  tail(linesMax = LINES_KEPT_MAX): readonly string[] {
    return this.#lines.slice(-linesMax);
  }
}

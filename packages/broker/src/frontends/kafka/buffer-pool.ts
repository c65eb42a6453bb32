const CLASS_BYTES_MIN = 4096;

/**
 * Buffers that are used over and over: large allocations cost page faults and zeroing. Sizes are powers of two; what comes
 * back beyond `retainedBytesMax` goes to the garbage collector.
 */
export class BufferPool {
  readonly #retainedBytesMax: number;
  readonly #free = new Map<number, Buffer[]>();
  #retained = 0;

  constructor(options: { retainedBytesMax: number }) {
    this.#retainedBytesMax = options.retainedBytesMax;
  }

  get retainedBytes(): number {
    return this.#retained;
  }

  /** At least `bytes` long, with whatever was in it. */
  take(bytes: number): Buffer {
    const size = classOf(bytes);
    const buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size);
    this.#retained -= size;
    return buffer;
  }

  /** Takes a buffer of {@link take} back: nobody may touch it any more. */
  give(buffer: Buffer): void {
    if (this.#retained + buffer.length > this.#retainedBytesMax) return;
    this.#retained += buffer.length;
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}

function classOf(bytes: number): number {
  let size = CLASS_BYTES_MIN;
  while (size < bytes) size *= 2;
  return size;
}

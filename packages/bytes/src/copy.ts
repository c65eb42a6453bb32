/** Below this a loop beats the call overhead of the typed array's own methods. */
const BULK_COPY_BYTES_MIN = 48;

/** Copies `length` bytes from `source[at]` to `target[targetAt]`: two different buffers. The ranges must be in bounds. */
export function copyBytes(
  source: Uint8Array,
  at: number,
  target: Uint8Array,
  targetAt: number,
  length: number,
): void {
  if (length >= BULK_COPY_BYTES_MIN) {
    target.set(source.subarray(at, at + length), targetAt);
    return;
  }
  for (let index = 0; index < length; index++) target[targetAt + index] = source[at + index]!;
}

/**
 * Repeats what stands `distance` bytes before `at`, `length` bytes long: the back reference of the LZ77 family. With a
 * distance below the length the copy reads what it has just written. The ranges must be in bounds.
 */
export function copyMatch(target: Uint8Array, at: number, distance: number, length: number): void {
  if (length < BULK_COPY_BYTES_MIN) {
    for (let index = at; index < at + length; index++) target[index] = target[index - distance]!;
    return;
  }
  if (distance === 1) {
    target.fill(target[at - 1]!, at, at + length);
    return;
  }
  // Each round copies what is there, up to the whole period so far, so that the ranges never overlap.
  const start = at - distance;
  const end = at + length;
  for (let to = at; to < end;) {
    const bytes = Math.min(to - start, end - to);
    target.copyWithin(to, start, start + bytes);
    to += bytes;
  }
}

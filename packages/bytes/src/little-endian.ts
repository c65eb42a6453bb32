/** An unsigned little-endian number of `count` (1 to 8) bytes; beyond 2^53 the nearest double. The range must be in bounds. */
export function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = count - 1; index >= 0; index--) value = value * 256 + bytes[at + index]!;
  return value;
}

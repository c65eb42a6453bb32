import type { SeededRandom } from './random.ts';

/** A value at the edge of what so many bytes can hold, big-endian. */
export function boundary(size: number, random: SeededRandom): Uint8Array {
  const bytes = new Uint8Array(size);
  switch (random.int(0, 6)) {
    case 0:
      break;
    case 1:
      bytes.fill(0xff);
      break;
    case 2:
      bytes.fill(0xff);
      bytes[0] = 0x7f;
      break;
    case 3:
      bytes[0] = 0x80;
      break;
    case 4:
      bytes[size - 1] = 1;
      break;
    case 5:
      // -2
      bytes.fill(0xff);
      bytes[size - 1] = 0xfe;
      break;
    default:
      bytes.set(random.bytes(size));
  }
  return bytes;
}

/** Unsigned varints at their edges, such that are too long included. */
const VARINTS: readonly (readonly number[])[] = [
  [0],
  [1],
  [2],
  [0x7f],
  [0x80, 1],
  [0xff, 0xff, 0x03],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x08],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x1f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x00],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
];

export function varint(random: SeededRandom): Uint8Array {
  return Uint8Array.from(random.pick(VARINTS));
}

/** A copy with one to eight bits turned. */
export function flipBits(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0) return copy;
  for (let flips = random.int(1, 8); flips > 0; flips--) {
    const at = random.int(0, copy.length - 1);
    copy[at] = copy[at]! ^ (1 << random.int(0, 7));
  }
  return copy;
}

/** `bytes` with `[start, end)` replaced. */
export function splice(bytes: Uint8Array, start: number, end: number, inserted: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length - (end - start) + inserted.length);
  result.set(bytes.subarray(0, start));
  result.set(inserted, start);
  result.set(bytes.subarray(end), start + inserted.length);
  return result;
}

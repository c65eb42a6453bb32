/** Entries per chunk: a change copies one chunk and the list of chunks, a few KiB at 100,000 entries. */
const CHUNK_ENTRIES_MAX = 256;
const CHUNK_ENTRIES_MIN = CHUNK_ENTRIES_MAX / 8;

interface Chunk<V> {
  readonly keys: readonly string[];
  readonly values: readonly V[];
}

/**
 * An immutable map, sorted by key (by UTF-16 code units). A change returns a new map that shares all but one chunk with the old one;
 * lookups are two binary searches.
 */
export class SortedMap<V> {
  readonly size: number;
  /** None is empty. */
  readonly #chunks: readonly Chunk<V>[];

  private constructor(chunks: readonly Chunk<V>[], size: number) {
    this.#chunks = chunks;
    this.size = size;
  }

  static empty<V>(): SortedMap<V> {
    return new SortedMap<V>([], 0);
  }

  /** From entries in any order; of equal keys the last one counts. */
  static from<V>(entries: Iterable<readonly [string, V]>): SortedMap<V> {
    const sorted = [...new Map(entries)].sort(([left], [right]) => (left < right ? -1 : 1));
    const chunks: Chunk<V>[] = [];
    const step = CHUNK_ENTRIES_MAX / 2;
    for (let at = 0; at < sorted.length; at += step) {
      const part = sorted.slice(at, at + step);
      chunks.push({ keys: part.map(([key]) => key), values: part.map(([, value]) => value) });
    }
    return new SortedMap(chunks, sorted.length);
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    return chunk.keys[at] === key ? chunk.values[at] : undefined;
  }

  set(key: string, value: V): SortedMap<V> {
    if (this.#chunks.length === 0) return new SortedMap([{ keys: [key], values: [value] }], 1);
    const index = this.#chunkOf(key);
    const { keys, values } = this.#chunks[index]!;
    const at = lowerBound(keys, key);
    const replaces = keys[at] === key;
    const chunk = {
      keys: replaces ? keys : keys.toSpliced(at, 0, key),
      values: values.toSpliced(at, replaces ? 1 : 0, value),
    };
    return new SortedMap(this.#chunks.toSpliced(index, 1, ...halved(chunk)), this.size + (replaces ? 0 : 1));
  }

  delete(key: string): SortedMap<V> {
    const index = this.#chunkOf(key);
    const chunk = this.#chunks[index];
    if (chunk === undefined) return this;
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] !== key) return this;
    const rest = { keys: chunk.keys.toSpliced(at, 1), values: chunk.values.toSpliced(at, 1) };
    const neighbour = this.#chunks[index + 1];
    if (rest.keys.length < CHUNK_ENTRIES_MIN && neighbour !== undefined) {
      const joined = {
        keys: [...rest.keys, ...neighbour.keys],
        values: [...rest.values, ...neighbour.values],
      };
      return new SortedMap(this.#chunks.toSpliced(index, 2, ...halved(joined)), this.size - 1);
    }
    const replacement = rest.keys.length === 0 ? [] : [rest];
    return new SortedMap(this.#chunks.toSpliced(index, 1, ...replacement), this.size - 1);
  }

  /** In the order of the keys. */
  *values(): Generator<V, undefined> {
    for (const { values } of this.#chunks) yield* values;
  }

  /** In the order of the keys. */
  *entries(): Generator<readonly [string, V], undefined> {
    for (const { keys, values } of this.#chunks) {
      for (let at = 0; at < keys.length; at++) yield [keys[at]!, values[at]!];
    }
  }

  /** The values of `from` and the keys after it. */
  *valuesFrom(from: string): Generator<V, undefined> {
    const first = this.#chunkOf(from);
    for (let index = first; index < this.#chunks.length; index++) {
      const { keys, values } = this.#chunks[index]!;
      for (let at = index === first ? lowerBound(keys, from) : 0; at < keys.length; at++) yield values[at]!;
    }
  }

  /** The chunk that holds the key, or would: the last one that starts at or before it, else the first. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#chunks[middle]!.keys[0]! <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Index of the first key at or above `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function halved<V>(chunk: Chunk<V>): readonly Chunk<V>[] {
  const { keys, values } = chunk;
  if (keys.length <= CHUNK_ENTRIES_MAX) return [chunk];
  const half = keys.length >>> 1;
  return [
    { keys: keys.slice(0, half), values: values.slice(0, half) },
    { keys: keys.slice(half), values: values.slice(half) },
  ];
}

import type { Writer } from '@polylog/bytes';

/** The place of one value, length or tag in an encoded message: what a field-by-field fuzzer aims at. */
export interface Span {
  /** For example `topicData.0.partitionData.0.records`; a prefix carries the path of what it counts. */
  readonly path: string;
  /** Offsets in bytes, `end` exclusive. */
  readonly start: number;
  readonly end: number;
  /** The kind of the value, or what a prefix stands for. Structs and arrays span all of their content. */
  readonly type: string;
}

/**
 * Collects spans while a message is encoded. Codecs compiled without one carry no trace of it, so the hot path pays
 * nothing.
 */
export class SpanRecorder {
  readonly #path: string[] = [];
  #spans: { path: string; start: number; end: number; type: string }[] = [];

  record(writer: Writer, type: string, encode: () => void): void {
    const start = writer.length;
    const index = this.#spans.push({ path: this.#path.join('.'), start, end: start, type }) - 1;
    encode();
    this.#spans[index]!.end = writer.length;
  }

  within(segment: string, encode: () => void): void {
    this.#path.push(segment);
    encode();
    this.#path.pop();
  }

  /** Runs an encoding into a writer of its own; `moved` then gives where in the outer bytes that writer's bytes start. */
  nested(encode: () => void, moved: () => number): void {
    const first = this.#spans.length;
    encode();
    const last = this.#spans.length;
    const offset = moved();
    for (const span of this.#spans.slice(first, last)) {
      span.start += offset;
      span.end += offset;
    }
  }

  /** The spans since the last call, in order of their start, outer ones first. */
  take(): Span[] {
    const spans = this.#spans;
    this.#spans = [];
    return spans.sort((a, b) => a.start - b.start || b.end - a.end);
  }
}

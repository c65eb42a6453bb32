import type { TopicView } from './types.ts';
import { forEachOf, type Work } from './work.core.ts';

/** Multipliers of two independent hashes of 32 bits, by which one of 64 is made without big integers for each character. */
const LEFT_PRIME = 0x0100_0193;
const RIGHT_PRIME = 0x5bd1_e995;
/** Of looking one topic up, and of hashing its id. */
const HASH_STEPS = 8;

interface Subscribed {
  /** Lists of topics that it is in. */
  lists: number;
  /** What it adds to the hash. */
  left: number;
  right: number;
}

/** Names of the topics that somebody in a group subscribes to, whether they exist or not. A change costs what changes, however many there are. */
export class SubscribedTopics {
  readonly #topics = new Map<string, Subscribed>();
  /** They may differ from what the hash stands for. */
  readonly #unhashed = new Set<string>();
  #left = 0;
  #right = 0;

  has(name: string): boolean {
    return this.#topics.has(name);
  }

  add(names: readonly string[]): void {
    for (const name of names) {
      const known = this.#topics.get(name);
      if (known !== undefined) known.lists++;
      else {
        this.#topics.set(name, { lists: 1, left: 0, right: 0 });
        this.#unhashed.add(name);
      }
    }
  }

  /** What was added before. */
  remove(names: readonly string[]): void {
    for (const name of names) {
      const known = this.#topics.get(name)!;
      if (--known.lists > 0) continue;
      this.#hash(known, 0, 0);
      this.#topics.delete(name);
      this.#unhashed.delete(name);
    }
  }

  /** Of those that exist: how many there are. */
  partitions(view: TopicView): number {
    let count = 0;
    for (const name of this.#topics.keys()) count += view.byName(name)?.partitions ?? 0;
    return count;
  }

  /** Topics came, changed or went. */
  changed(names: readonly string[]): void {
    for (const name of names) if (this.#topics.has(name)) this.#unhashed.add(name);
  }

  /** Tells one state of the topics from another: their ids and numbers of partitions. Never 0, which says that it is not known. */
  hash(view: TopicView): bigint {
    for (const name of this.#unhashed) this.#hashTopic(name, view);
    this.#unhashed.clear();
    const hash = (BigInt(this.#left >>> 0) << 32n) | BigInt(this.#right >>> 0);
    return BigInt.asIntN(64, hash === 0n ? 1n : hash);
  }

  /** What {@link hash} has to do, beforehand: it may be spread over turns, and whatever changes meanwhile is done by the one or the other. */
  *hashing(view: TopicView): Work<void> {
    yield* forEachOf(this.#unhashed, (name) => {
      this.#hashTopic(name, view);
      this.#unhashed.delete(name);
      return HASH_STEPS;
    });
  }

  #hashTopic(name: string, view: TopicView): void {
    const topic = view.byName(name);
    if (topic === undefined) this.#hash(this.#topics.get(name)!, 0, 0);
    else this.#hash(this.#topics.get(name)!, ...hashOf(topic.id, topic.partitions));
  }

  /** A sum: the order of the topics does not count, and one of them can be taken out again. */
  #hash(topic: Subscribed, left: number, right: number): void {
    this.#left = (this.#left + left - topic.left) | 0;
    this.#right = (this.#right + right - topic.right) | 0;
    topic.left = left;
    topic.right = right;
  }
}

function hashOf(topicId: string, partitions: number): readonly [left: number, right: number] {
  let left = partitions;
  let right = ~partitions;
  for (let at = 0; at < topicId.length; at++) {
    const code = topicId.charCodeAt(at);
    left = Math.imul(left ^ code, LEFT_PRIME);
    right = Math.imul(right ^ code, RIGHT_PRIME) ^ (right >>> 15);
  }
  return [Math.imul(left ^ (left >>> 16), RIGHT_PRIME), Math.imul(right ^ (right >>> 13), LEFT_PRIME)];
}

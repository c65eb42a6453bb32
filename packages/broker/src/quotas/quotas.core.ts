import { SampledRate, TokenBucket, windowMsOf, type QuotaWindow } from './rate.core.ts';

/** Who a request comes from. */
export interface Client {
  readonly user: string;
  /** Empty if it sends none. */
  readonly clientId: string;
}

/** An entity whose limit may count for a client, by its key, and who shares that limit then. */
export interface Candidate {
  readonly key: string;
  readonly scope: string;
}

/** A limit, and who shares it. */
export interface ResolvedLimit {
  readonly limit: number;
  /** Those who share it have the same. */
  readonly scope: string;
}

/**
 * Whose limits may count for a client; the first that has one does, by Kafka's order: its user and client id together, each of them or both by default, before the user
 * alone, before the default user in the same order, before the client id alone, before the default of client ids. A limit for a user is
 * shared by all its clients; one with a client id by those who use that id, also where the entity is a default.
 */
export function candidatesOf(
  { user, clientId }: Client,
  keyOf: (part: { readonly user?: string | null; readonly clientId?: string | null }) => string,
): readonly Candidate[] {
  const both = keyOf({ user, clientId });
  const ofUser = keyOf({ user });
  const ofClientId = keyOf({ clientId });
  return [
    { key: both, scope: both },
    { key: keyOf({ user, clientId: null }), scope: both },
    { key: ofUser, scope: ofUser },
    { key: keyOf({ user: null, clientId }), scope: both },
    { key: keyOf({ user: null, clientId: null }), scope: both },
    { key: keyOf({ user: null }), scope: ofUser },
    { key: ofClientId, scope: ofClientId },
    { key: keyOf({ clientId: null }), scope: ofClientId },
  ];
}

/** What one scope has used of one quota. */
export class Usage {
  readonly rate: SampledRate;
  readonly bucket: TokenBucket;
  /** It was given up for others: who still holds it looks again. */
  forgotten = false;
  /** When it last moved to the end of the table's order. */
  touchedMs: number;

  constructor(window: QuotaWindow, nowMs: number) {
    this.rate = new SampledRate(window);
    this.bucket = new TokenBucket(window);
    this.touchedMs = nowMs;
  }
}

/**
 * The usage of all scopes: bounded, so that clients cannot fill the memory with client ids that they make up. The one unused for longest
 * makes room; after a window without use it holds nothing anyway.
 */
export class UsageTable {
  readonly #window: QuotaWindow;
  readonly #entriesMax: number;
  /** In the order of their last use, as far as a sample's length. */
  readonly #usages = new Map<string, Usage>();

  constructor(options: { readonly window: QuotaWindow; readonly entriesMax: number }) {
    this.#window = options.window;
    this.#entriesMax = options.entriesMax;
  }

  get size(): number {
    return this.#usages.size;
  }

  of(key: string, nowMs: number): Usage {
    let usage = this.#usages.get(key);
    if (usage === undefined) {
      this.#makeRoom(nowMs);
      usage = new Usage(this.#window, nowMs);
      this.#usages.set(key, usage);
    }
    return usage;
  }

  /** Its holder uses it: once per sample that moves it away from the end of the table that is given up first. */
  touch(key: string, usage: Usage, nowMs: number): void {
    if (nowMs - usage.touchedMs < this.#window.sampleMs || usage.forgotten) return;
    usage.touchedMs = nowMs;
    this.#usages.delete(key);
    this.#usages.set(key, usage);
  }

  #makeRoom(nowMs: number): void {
    const idleBeforeMs = nowMs - windowMsOf(this.#window);
    for (const [key, usage] of this.#usages) {
      if (usage.touchedMs > idleBeforeMs && this.#usages.size < this.#entriesMax) return;
      usage.forgotten = true;
      this.#usages.delete(key);
    }
  }
}

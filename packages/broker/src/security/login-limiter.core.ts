/**
 * Failed logins that one address may have for one user at once, and how fast they are forgiven. One client with an old password tries every few
 * seconds, and should not keep out those beside it that have the new one.
 */
export const FAILURES_PER_USER_MAX = 30;
export const FAILURES_PER_USER_PER_MINUTE = 30;
/** The same for all users together: many clients may share an address. */
export const FAILURES_PER_ADDRESS_MAX = 300;
export const FAILURES_PER_ADDRESS_PER_MINUTE = 300;
/** Above it the oldest are forgotten: who has so many addresses is not slowed by this anyway. */
export const LIMITER_ENTRIES_MAX = 20_000;

const MINUTE_MS = 60_000;

interface Bucket {
  /** Failures that are not forgiven yet. */
  level: number;
  /** Monotonic. */
  atMs: number;
}

/**
 * Slows down whoever tries passwords or tokens: by address and user, so that nobody can keep a user out from elsewhere, and by address. An attempt whose
 * outcome takes time counts as failed until it has succeeded, so that many at once gain nothing. Times are monotonic milliseconds.
 */
export class LoginLimiter {
  /** In the order of their last attempt. */
  readonly #buckets = new Map<string, Bucket>();

  get size(): number {
    return this.#buckets.size;
  }

  /** How long an attempt has to wait; 0 if it may be made. Without a user: as the address alone says. */
  waitMs(address: string, user: string | undefined, nowMs: number): number {
    const ofAddress = this.#waitMs(address, FAILURES_PER_ADDRESS_MAX, FAILURES_PER_ADDRESS_PER_MINUTE, nowMs);
    if (user === undefined) return ofAddress;
    const key = keyOf(address, user);
    return Math.max(ofAddress, this.#waitMs(key, FAILURES_PER_USER_MAX, FAILURES_PER_USER_PER_MINUTE, nowMs));
  }

  /** {@link waitMs}; where that is 0 the attempt is made, and counts as failed. */
  attempt(address: string, user: string | undefined, nowMs: number): number {
    const waitMs = this.waitMs(address, user, nowMs);
    if (waitMs === 0) this.failed(address, user, nowMs);
    return waitMs;
  }

  /** An attempt failed that was not counted when it began. Without a user it counts for the address only. */
  failed(address: string, user: string | undefined, nowMs: number): void {
    this.#add(address, FAILURES_PER_ADDRESS_PER_MINUTE, nowMs);
    if (user !== undefined) this.#add(keyOf(address, user), FAILURES_PER_USER_PER_MINUTE, nowMs);
  }

  /** The attempt that was counted was none of a guesser; what failed before it stays. */
  succeeded(address: string, user: string | undefined): void {
    this.#forgive(address);
    if (user !== undefined) this.#forgive(keyOf(address, user));
  }

  #forgive(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.level -= 1;
  }

  #waitMs(key: string, max: number, perMinute: number, nowMs: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    const excess = levelAt(bucket, perMinute, nowMs) - (max - 1);
    return excess <= 0 ? 0 : Math.ceil((excess / perMinute) * MINUTE_MS);
  }

  #add(key: string, perMinute: number, nowMs: number): void {
    const before = this.#buckets.get(key);
    const level = before === undefined ? 0 : levelAt(before, perMinute, nowMs);
    this.#buckets.delete(key);
    if (this.#buckets.size >= LIMITER_ENTRIES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(key, { level: level + 1, atMs: nowMs });
  }
}

function levelAt({ level, atMs }: Bucket, perMinute: number, nowMs: number): number {
  return Math.max(0, level - ((nowMs - atMs) / MINUTE_MS) * perMinute);
}

/** Addresses have no blanks. */
function keyOf(address: string, user: string): string {
  return `${address} ${user}`;
}

import {
  FRAME_BYTES_PER_SECOND_MIN,
  FRAME_UNDER_PRESSURE_BYTES_PER_SECOND_MIN,
  FRAME_UNDER_PRESSURE_MS,
  UNSENT_UNDER_PRESSURE_MS,
  type KafkaLimits,
} from './limits.ts';

/** What a session is doing when its deadlines are looked at. */
export interface SessionView {
  /** Whether the broker has begun to serve. */
  readonly isServed: boolean;
  /** Whether reading from it is paused, and whether that is because the peer does not take its responses, or for the broker's own reasons. */
  readonly paused: 'no' | 'by-peer' | 'by-broker';
  readonly owesResponses: boolean;
  /** A part of a frame has come. */
  readonly frame: boolean;
  /** That frame holds memory that others may need. */
  readonly holdsMemory: boolean;
  readonly underPressure: boolean;
  /** Its responses hold memory that others need. */
  readonly unsentUnderPressure: boolean;
}

/** How many bytes came since when. */
class Progress {
  #sinceMs: number;
  #bytes = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  restart(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }

  /** Undefined before `overMs` have passed. */
  isSlow(nowMs: number, bytesPerSecondMin: number, overMs: number): boolean | undefined {
    const elapsedMs = nowMs - this.#sinceMs;
    return elapsedMs < overMs ? undefined : this.#bytes < (elapsedMs / 1000) * bytesPerSecondMin;
  }
}

/** The deadlines of one connection. Times are monotonic. */
export class SessionDeadlines {
  /** Whether it has made a request, and, where it has to say who it is, has done so. */
  isAccepted = false;
  readonly #limits: KafkaLimits;
  readonly #openedMs: number;
  #activeMs: number;
  /** Since when the socket has not taken what was written. */
  #unsentSinceMs: number | undefined;
  /** Of the frame in progress: since the last time it was fast enough for {@link KafkaLimits.frameProgressMs}, and for the pressure of others. */
  readonly #progress: Progress;
  readonly #recent: Progress;

  constructor(limits: KafkaLimits, nowMs: number) {
    this.#limits = limits;
    this.#openedMs = nowMs;
    this.#activeMs = nowMs;
    this.#progress = new Progress(nowMs);
    this.#recent = new Progress(nowMs);
  }

  /** When the connection last moved bytes. */
  get activeMs(): number {
    return this.#activeMs;
  }

  received(bytes: number, nowMs: number): void {
    this.#activeMs = nowMs;
    this.#progress.add(bytes);
    this.#recent.add(bytes);
  }

  wrote(nowMs: number): void {
    this.#unsentSinceMs ??= nowMs;
  }

  drained(nowMs: number): void {
    this.#unsentSinceMs = undefined;
    this.#activeMs = nowMs;
  }

  frameBegins(nowMs: number): void {
    this.#restart(nowMs);
  }

  /** The silence so far was the broker's doing. */
  readingResumed(nowMs: number): void {
    this.#restart(nowMs);
  }

  #restart(nowMs: number): void {
    this.#progress.restart(nowMs);
    this.#recent.restart(nowMs);
  }

  /** Why the connection is to be closed, if it is. */
  overdue(nowMs: number, view: SessionView): string | undefined {
    const limits = this.#limits;
    if (!view.isServed) {
      this.#restart(nowMs);
      this.#activeMs = nowMs;
      return undefined;
    }
    if (view.paused === 'by-broker') this.#restart(nowMs);
    else if (this.#wasSlow(nowMs) && view.holdsMemory && view.underPressure) {
      return 'a request came too slowly while others waited for the memory that it holds';
    }
    if (this.#unsentSinceMs !== undefined) {
      const unsentMs = nowMs - this.#unsentSinceMs;
      if (unsentMs >= limits.drainMs) return 'the peer does not read its responses';
      return view.unsentUnderPressure && unsentMs >= UNSENT_UNDER_PRESSURE_MS
        ? 'the peer did not read its responses while others waited for the memory that they hold'
        : undefined;
    }
    if (view.paused !== 'no') return undefined;
    return view.frame ? this.#overdueFrame(nowMs) : this.#overdueRequest(nowMs, view);
  }

  #wasSlow(nowMs: number): boolean {
    const isSlow = this.#recent.isSlow(
      nowMs,
      FRAME_UNDER_PRESSURE_BYTES_PER_SECOND_MIN,
      FRAME_UNDER_PRESSURE_MS,
    );
    if (isSlow !== undefined) this.#recent.restart(nowMs);
    return isSlow === true;
  }

  /** A frame that was begun has to go on, whatever else the connection waits for. */
  #overdueFrame(nowMs: number): string | undefined {
    if (!this.isAccepted && nowMs - this.#openedMs >= this.#limits.handshakeMs) return NO_REQUEST;
    const isSlow = this.#progress.isSlow(nowMs, FRAME_BYTES_PER_SECOND_MIN, this.#limits.frameProgressMs);
    if (isSlow === true) return 'a request stalled half-way';
    if (isSlow === false) this.#progress.restart(nowMs);
    return undefined;
  }

  #overdueRequest(nowMs: number, view: SessionView): string | undefined {
    this.#restart(nowMs);
    // The broker owes something: the peer is not to blame for the silence.
    if (view.owesResponses) return undefined;
    if (!this.isAccepted && nowMs - this.#openedMs >= this.#limits.handshakeMs) return NO_REQUEST;
    return nowMs - this.#activeMs >= this.#limits.idleMs ? 'idle' : undefined;
  }
}

const NO_REQUEST = 'no complete request, or no authentication, since it was opened';

import type { Clock, Loop } from '../platform/index.ts';
import type { LogStore } from '../storage/types.ts';

/** A partition in which something happened in the present turn. The three steps are taken for all such partitions, one step after the other. */
export interface TurnParticipant {
  /** Writes what was reserved, or takes it back. No completion is called yet. */
  writeTurn(nowMs: number): void;
  /** Calls the completions that are due. They may append again: that belongs to the next turn. */
  completeTurn(): void;
  /** Tells subscribers, once, if they have something to look at. */
  wakeSubscribers(): void;
}

/**
 * One per broker: gathers the partitions that a turn of the event loop has touched, and at its end writes each with one gathered
 * append, starts one group commit for all, completes, and wakes.
 */
export class TurnScheduler {
  readonly #loop: Loop;
  readonly #clock: Clock;
  readonly #store: Pick<LogStore, 'flushTurn' | 'diskFull'>;
  #participants: TurnParticipant[] = [];
  #spare: TurnParticipant[] = [];
  #scheduled = false;
  #writing = false;

  constructor(options: {
    readonly loop: Loop;
    readonly clock: Clock;
    readonly store: Pick<LogStore, 'flushTurn' | 'diskFull'>;
  }) {
    this.#loop = options.loop;
    this.#clock = options.clock;
    this.#store = options.store;
  }

  get diskFull(): boolean {
    return this.#store.diskFull;
  }

  /** While it holds, nobody's completions may be called: storage is in the middle of a turn's writes. */
  get writing(): boolean {
    return this.#writing;
  }

  /** To be called by a participant once per turn. */
  register(participant: TurnParticipant): void {
    this.#participants.push(participant);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#loop.afterTurn(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const participants = this.#participants;
    this.#participants = this.#spare;
    this.#spare = [];
    const nowMs = this.#clock.nowMs();
    this.#writing = true;
    try {
      for (let at = 0; at < participants.length; at++) participants[at]!.writeTurn(nowMs);
      this.#store.flushTurn();
    } finally {
      this.#writing = false;
    }
    for (let at = 0; at < participants.length; at++) participants[at]!.completeTurn();
    for (let at = 0; at < participants.length; at++) participants[at]!.wakeSubscribers();
    participants.length = 0;
    this.#spare = participants;
  };
}

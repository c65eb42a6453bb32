/**
 * The end of the present turn of the event loop. A turn starts when the first socket becomes readable and ends when all
 * that could be read has been parsed; what a turn gathered (writes, wake-ups, responses) is then done once.
 */
export interface Loop {
  /**
   * Runs the callback once, after the I/O callbacks of this turn and before the next ones. Callbacks run in the order in
   * which they were given; one given while they run waits for the next turn.
   */
  afterTurn(callback: () => void): void;
  /**
   * The same, but after all `afterTurn` callbacks of the turn, also when one of those gives it: what the whole turn has gathered leaves here,
   * as one write per socket, instead of a turn later.
   */
  lastInTurn(callback: () => void): void;
}

import type { CrashKind } from './disk.ts';

/** One run of the broker on a machine. */
export interface SimProcess {
  readonly name: string;
  readonly host: string;
  alive: boolean;
  /** Runs what waits for the end of the turn. */
  readonly endTurn: () => void;
  readonly kill: (kind: CrashKind) => void;
}

/** Thrown by whatever a dead process still calls; not a DiskError, so that nothing handles it as one. */
export class ProcessDead extends Error {
  override readonly name = 'ProcessDead';

  constructor(process: SimProcess) {
    super(`${process.name} is dead`);
  }
}

export function assertAlive(process: SimProcess): void {
  if (!process.alive) throw new ProcessDead(process);
}

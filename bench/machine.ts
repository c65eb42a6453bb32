import { cpus, loadavg, release, totalmem } from 'node:os';
import process from 'node:process';

const GIB = 1024 ** 3;

/** Where and when a run took place. */
export interface Machine {
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  /** Processes that wanted a core on average during the last minute: above a little, the figures are others' as well. */
  readonly loadBefore: number;
}

export function machineNow(): Machine {
  return {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / GIB),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    loadBefore: loadNow(),
  };
}

export function loadNow(): number {
  return loadavg()[0]!;
}

import { readFileSync, writeFileSync } from 'node:fs';

/** Linux reports times to programs in this unit on every architecture (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** CPU time in seconds. */
export interface CpuSeconds {
  readonly user: number;
  readonly system: number;
}

/** CPU time of a process, its threads included; undefined where /proc does not tell. */
export function cpuSecondsOf(pid: number): CpuSeconds | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field, the program's name, may hold spaces: count from behind its parenthesis (field 3 is the first there).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / TICKS_PER_SECOND, system: Number(fields[12]) / TICKS_PER_SECOND };
}

/** CPU time that all processes have used together, in seconds. */
export function busySecondsOfMachine(): number | undefined {
  const stat = readProc('/proc/stat');
  if (stat === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = stat
    .slice(0, stat.indexOf('\n'))
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** Memory of a process in bytes. */
export interface Resident {
  readonly now: number;
  /** The most that it has had since its start, or since {@link forgetPeak}. */
  readonly peak: number;
}

/** Undefined where /proc does not tell. */
export function residentBytesOf(pid: number): Resident | undefined {
  const status = readProc(`/proc/${pid}/status`) ?? '';
  const of = (field: string): number | undefined => {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
    return match === null ? undefined : Number(match[1]) * 1024;
  };
  const now = of('VmRSS');
  const peak = of('VmHWM');
  return now === undefined || peak === undefined ? undefined : { now, peak };
}

/** The peak of a process counts from what it has now (proc_pid_clear_refs(5)); without the right to say so it stays. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EACCES') throw error;
  }
}

/** Bytes that a process has had read from disks since its start (proc_pid_io(5)); undefined where /proc does not tell. */
export function diskReadBytesOf(pid: number): number | undefined {
  const match = /^read_bytes: (\d+)$/m.exec(readProc(`/proc/${pid}/io`) ?? '');
  return match === null ? undefined : Number(match[1]);
}

/** What the page cache has not yet written to the disk, in bytes; undefined where /proc does not tell. */
export function dirtyBytes(): number | undefined {
  const meminfo = readProc('/proc/meminfo');
  if (meminfo === undefined) return undefined;
  let kib = 0;
  for (const [, value] of meminfo.matchAll(/^(?:Dirty|Writeback):\s+(\d+) kB$/gm)) kib += Number(value);
  return kib * 1024;
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // No such process, or no such file system; ESRCH comes from a process that ended between open and read.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/**
 * A world of simulated machines under one seed: virtual time, disks that lose what was not synced, a network that delays, cuts and
 * drops. The same seed and the same scenario give the same trace, event by event.
 *
 *     const world = new SimWorld({ seed: 42 });
 *     const node = world.node('a');
 *     node.disk.faults.datasyncError = 0.01;             // probabilities per operation; all are 0 at first
 *     const broker = await world.settle(startBroker(node.boot()));   // boot() returns a Platform
 *     await world.settle(broker.append(...));            // runs events until the promise settles
 *     await world.advance(5_000);                        // runs the events of five seconds
 *     node.crash({ kind: 'power' });                     // unsynced bytes and entries: lost, kept or torn, by the seed
 *     await world.settle(startBroker(node.boot()));      // the same disk, a new process
 *     node.killWithin(50, 'power');                      // dies inside one of its next 50 disk operations, also during a start
 *     world.faults;                                      // Map of what fired: 'disk.page-lost' -> 17, ...
 *     world.trace.hash;                                  // equal for equal seeds
 *
 * A scenario runs between events, never inside of them. Its own events are `world.after(delayMs, callback)`. One event is
 * one callback of one process (a timer, a received chunk, a finished disk operation), then all microtasks. The end of a turn
 * (Loop.afterTurn) comes after each event, or, as in a real event loop that has several sockets readable at once, after
 * a few events of the same process that are due together: the seed decides.
 *
 * When a process dies inside a disk operation, that operation and all later ones throw {@link ProcessDead}: whoever awaits the work of a
 * process that may be killed expects it (`world.attempt` does).
 */
import { DocumentError, type Platform } from '../../packages/broker/src/platform/index.ts';
import { SimClock, SimLoop, SimTimers, createSimLogger } from './clock.ts';
import { SimCompute } from './compute.ts';
import { SimCrypto } from './crypto.ts';
import { SimDisk, type CrashKind } from './disk.ts';
import { EventQueue, type SimEvent } from './event-queue.ts';
import { SimNetwork } from './network.ts';
import { ProcessDead, type SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { Trace } from './trace.ts';

export { ProcessDead } from './process.ts';
export type { CrashKind } from './disk.ts';

export interface SimWorldOptions {
  /** An integer; its low 32 bits count. */
  readonly seed: number;
  /** The wall clock at the start; default 2026-01-01. */
  readonly startMs?: number;
}

export interface SimNodeOptions {
  /** Added to the wall clock; the monotonic one is the world's time. */
  readonly clockSkewMs?: number;
}

/** 2026-01-01. */
const START_MS = 1_767_225_600_000;

/** Events of one process that are this close may fall into one turn. */
const TURN_MS_MAX = 0.2;
const EVENTS_PER_TURN_MAX = 8;
const JOIN_TURN_PROBABILITY = 0.5;

/** More events than this for one promise mean that the scenario does not end. */
const EVENTS_PER_WAIT_MAX = 20_000_000;
const SETTLE_MS_MAX = 24 * 3600 * 1000;

interface WorldEvent extends SimEvent {
  readonly process: SimProcess | undefined;
}

export interface SimEventHandle {
  cancel(): void;
}

export class SimWorld {
  readonly seed: number;
  readonly random: SimRandom;
  readonly trace = new Trace();
  /** How often each fault fired. */
  readonly faults = new Map<string, number>();
  readonly network: SimNetwork;
  readonly startMs: number;
  readonly #queue = new EventQueue<WorldEvent>();
  readonly #nodes = new Map<string, SimNode>();
  readonly #ties: SimRandom;
  #nowMs = 0;
  #sequence = 0;
  #running = false;

  constructor(options: SimWorldOptions) {
    this.seed = options.seed;
    this.startMs = options.startMs ?? START_MS;
    this.random = new SimRandom(options.seed);
    this.#ties = this.random.fork('ties');
    this.network = new SimNetwork(this);
  }

  /** Virtual milliseconds since the start, with a fraction. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** The machine of this name, made when first asked for. */
  node(name: string, options: SimNodeOptions = {}): SimNode {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new SimNode(this, name, options);
      this.#nodes.set(name, node);
    }
    return node;
  }

  get nodes(): readonly SimNode[] {
    return [...this.#nodes.values()];
  }

  count(fault: string, times = 1): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + times);
  }

  /** An event of the scenario; of a process, if one is given: it does not run once that is dead. */
  after(delayMs: number, run: () => void, process?: SimProcess): SimEventHandle {
    const event: WorldEvent = {
      timeMs: this.#nowMs + Math.max(0, delayMs),
      tie: this.#ties.uint32(),
      sequence: ++this.#sequence,
      run,
      process,
      cancelled: false,
    };
    this.#queue.push(event);
    return { cancel: () => void (event.cancelled = true) };
  }

  /** Runs all events of the next `durationMs`. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await this.#runTurns(() => false, endMs);
    this.#nowMs = endMs;
  }

  /** Runs events until the condition holds; throws when it does not within the time. */
  async runUntil(condition: () => boolean, withinMs: number = SETTLE_MS_MAX): Promise<void> {
    await this.#runTurns(condition, this.#nowMs + withinMs);
    if (!condition()) throw new Error(`seed ${this.seed}: the condition did not hold within ${withinMs} ms`);
  }

  /** Runs events until the promise settles, and returns or throws what it does. */
  async settle<T>(promise: Promise<T>, withinMs: number = SETTLE_MS_MAX): Promise<T> {
    let settled = false;
    const mark = (): void => void (settled = true);
    promise.then(mark, mark);
    await this.runUntil(() => settled, withinMs);
    return promise;
  }

  /** Like {@link settle} for the work of a process that may die meanwhile: undefined if it did. */
  async attempt<T>(
    process: Platform | SimProcess,
    work: Promise<T>,
    withinMs?: number,
  ): Promise<T | undefined> {
    const owner = 'alive' in process ? process : this.#processOf(process);
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    work.then(
      (value) => void (outcome = { value }),
      (error: unknown) => void (outcome = { error }),
    );
    await this.runUntil(() => outcome !== undefined || !owner.alive, withinMs);
    if (outcome !== undefined && 'value' in outcome) return outcome.value;
    if (!owner.alive || outcome === undefined) return undefined;
    throw outcome.error;
  }

  #processOf(platform: Platform): SimProcess {
    const process = (platform.loop as SimLoop).process;
    return process;
  }

  async #runTurns(until: () => boolean, endMs: number): Promise<void> {
    if (this.#running) throw new Error('the world runs already: a scenario waits for one thing at a time');
    this.#running = true;
    try {
      await drainMicrotasks();
      for (let turns = 0; !until(); turns++) {
        if (turns > EVENTS_PER_WAIT_MAX) throw new Error(`seed ${this.seed}: too many events`);
        const event = this.#nextEvent(endMs);
        if (event === undefined) return;
        await this.#runTurn(event, endMs);
      }
    } finally {
      this.#running = false;
    }
  }

  /** Takes the next event that is due until `endMs` and still wanted. */
  #nextEvent(endMs: number): WorldEvent | undefined {
    for (;;) {
      const event = this.#queue.peek();
      if (event === undefined || event.timeMs > endMs) return undefined;
      this.#queue.pop();
      if (!event.cancelled && event.process?.alive !== false) return event;
    }
  }

  async #runTurn(first: WorldEvent, endMs: number): Promise<void> {
    const { process } = first;
    const turnEndMs = Math.min(endMs, first.timeMs + TURN_MS_MAX);
    let event: WorldEvent | undefined = first;
    for (let events = 0; event !== undefined; events++) {
      await this.#runEvent(event);
      if (process === undefined || events === EVENTS_PER_TURN_MAX) break;
      const next = this.#queue.peek();
      const joins = next?.process === process && next.timeMs <= turnEndMs;
      event = joins && this.#ties.chance(JOIN_TURN_PROBABILITY) ? this.#queue.pop() : undefined;
      if (event?.cancelled === true || !process.alive) event = undefined;
    }
    if (process?.alive === true) await this.#call(process, process.endTurn);
  }

  async #runEvent(event: WorldEvent): Promise<void> {
    this.#nowMs = Math.max(this.#nowMs, event.timeMs);
    this.trace.mix(event.sequence);
    this.trace.mix(Math.round(event.timeMs * 1000) | 0);
    await this.#call(event.process, event.run);
  }

  async #call(process: SimProcess | undefined, callback: () => void): Promise<void> {
    try {
      callback();
    } catch (error) {
      // What a process does after its death is no concern of anybody: every call of it throws.
      if (process === undefined || process.alive) throw error;
    }
    await drainMicrotasks();
  }
}

/** There is nothing outside of the simulated world. */
const NO_DOCUMENTS: Platform['documents'] = {
  read: (url) => Promise.reject(new DocumentError(`cannot read ${url}: the simulator has no documents`)),
};

/** A machine: a disk and an address that outlive its processes. One process at a time. */
export class SimNode {
  readonly world: SimWorld;
  readonly name: string;
  readonly disk: SimDisk;
  readonly #options: SimNodeOptions;
  #process: SimProcess | undefined;
  #boots = 0;

  constructor(world: SimWorld, name: string, options: SimNodeOptions) {
    this.world = world;
    this.name = name;
    this.#options = options;
    this.disk = new SimDisk(world, name, () => world.startMs + world.nowMs + (options.clockSkewMs ?? 0));
  }

  get isUp(): boolean {
    return this.#process?.alive === true;
  }

  /** Starts a process on this machine. */
  boot(): Platform {
    if (this.isUp) throw new Error(`${this.name} runs already`);
    const world = this.world;
    const name = `${this.name}#${++this.#boots}`;
    const process: SimProcess = {
      name,
      host: this.name,
      alive: true,
      endTurn: () => loop.endTurn(),
      kill: (kind) => this.crash({ kind }),
    };
    const loop = new SimLoop(world, process);
    this.#process = process;
    world.trace.add(`${world.nowMs.toFixed(3)} ${name} boots`);
    return {
      clock: new SimClock(world, this.#options.clockSkewMs ?? 0),
      timers: new SimTimers(world, process),
      random: world.random.fork(name),
      loop,
      disk: this.disk.forProcess(process),
      documents: NO_DOCUMENTS,
      network: world.network.forProcess(process, loop),
      compute: new SimCompute(world, process),
      crypto: new SimCrypto(world, process),
      logger: createSimLogger(world, name),
    };
  }

  /** Ends the process, as kill -9 does or as a loss of power does; a crash of the machine counts also when no process runs. */
  crash({ kind }: { readonly kind: CrashKind }): void {
    const process = this.#process;
    this.#process = undefined;
    this.world.count(`crash.${kind}`);
    this.world.trace.add(`${this.world.nowMs.toFixed(3)} ${process?.name ?? this.name} crashes (${kind})`);
    if (process !== undefined) process.alive = false;
    this.disk.crash(kind);
    if (process !== undefined) this.world.network.processDied(process, kind);
  }

  /** Lets the process die inside one of its next disk operations, chosen by the seed; a write may then be done in part. */
  killWithin(operationsMax: number, kind: CrashKind): void {
    this.disk.killAtOperation(1 + this.world.random.integer(operationsMax), kind);
  }
}

/** Immediates run only when there are no microtasks left. */
function drainMicrotasks(): Promise<void> {
  // oxlint-disable-next-line no-restricted-globals -- the one real wait: nothing else runs after all microtasks
  return new Promise((resolve) => setImmediate(resolve));
}

/** True for what every call of a dead process throws. */
export function isProcessDead(error: unknown): boolean {
  return error instanceof ProcessDead;
}

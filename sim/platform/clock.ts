import {
  checkDelay,
  type Clock,
  type Logger,
  type LogFields,
  type Loop,
  type TimerHandle,
  type Timers,
} from '../../packages/broker/src/platform/index.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimWorld } from './world.ts';

export class SimClock implements Clock {
  readonly #world: SimWorld;
  readonly #skewMs: number;

  constructor(world: SimWorld, skewMs: number) {
    this.#world = world;
    this.#skewMs = skewMs;
  }

  nowMs(): number {
    return Math.floor(this.#world.startMs + this.#world.nowMs + this.#skewMs);
  }

  monotonicMs(): number {
    return this.#world.nowMs;
  }
}

export class SimTimers implements Timers {
  readonly #world: SimWorld;
  readonly #process: SimProcess;

  constructor(world: SimWorld, process: SimProcess) {
    this.#world = world;
    this.#process = process;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    assertAlive(this.#process);
    checkDelay(delayMs);
    return this.#world.after(delayMs, callback, this.#process);
  }
}

export class SimLoop implements Loop {
  readonly process: SimProcess;
  readonly #world: SimWorld;
  #callbacks: (() => void)[] = [];
  #last: (() => void)[] = [];
  #wakeUp = false;

  constructor(world: SimWorld, process: SimProcess) {
    this.#world = world;
    this.process = process;
  }

  afterTurn(callback: () => void): void {
    assertAlive(this.process);
    this.#callbacks.push(callback);
    this.#needTurn();
  }

  lastInTurn(callback: () => void): void {
    assertAlive(this.process);
    this.#last.push(callback);
    this.#needTurn();
  }

  #needTurn(): void {
    // Outside of an event, or while a turn ends, there is no turn to wait for: an empty event makes one.
    if (this.#wakeUp) return;
    this.#wakeUp = true;
    this.#world.after(0, () => undefined, this.process);
  }

  endTurn(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    this.#wakeUp = false;
    for (const callback of callbacks) if (this.process.alive) callback();
    const last = this.#last;
    this.#last = [];
    for (const callback of last) if (this.process.alive) callback();
  }
}

/** Log lines become part of the trace. */
export function createSimLogger(world: SimWorld, name: string, bound: LogFields = {}): Logger {
  const log = (level: string) => (fields: LogFields, message: string) => {
    const text = JSON.stringify({ ...bound, ...fields }, (_key, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      return value instanceof Error ? `${value.name}: ${value.message}` : value;
    });
    world.trace.add(`${world.nowMs.toFixed(3)} ${name} ${level} ${message} ${text}`);
  };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (fields) => createSimLogger(world, name, { ...bound, ...fields }),
  };
}

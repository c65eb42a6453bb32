import type { StepsPerTurn } from '../../packages/broker/src/config/broker-config.ts';
import { Violation } from '../invariants/history.ts';
import type { SimWorld } from '../platform/world.ts';
import type { Scenario } from '../report.ts';
import type { BaseHost } from './clients.ts';
import { BrokerMachine, brokerConfig, PORT } from './machine.ts';

export const STEP_MS_MAX = 25;

/** One seed of a scenario on a whole broker: clients at work, a machine that is disturbed meanwhile, and calm at the end. */
export abstract class BrokerRun {
  readonly world: SimWorld;
  readonly machine: BrokerMachine;
  operations = 0;
  protected draining = false;
  protected stopped = false;
  #failure: Error | undefined;

  constructor(
    world: SimWorld,
    name: string,
    settings: Readonly<Record<string, string>> = {},
    stepsPerTurn?: StepsPerTurn,
  ) {
    this.world = world;
    this.machine = new BrokerMachine(world, world.random.fork(name), brokerConfig(settings, stepsPerTurn), {
      begun: () => this.operations > 0,
      crashed: () => this.crashed(),
      powerLost: () => this.powerLost(),
      advance: (durationMs) => this.advance(durationMs),
      check: () => this.check(),
      fail: (error) => this.#fail(error),
    });
  }

  /** From the start of the broker to the last check. */
  abstract run(): Promise<void>;
  /** The broker was not stopped cleanly. */
  protected crashed(): void {}
  protected powerLost(): void {}

  /** What its clients share, but for what they know. */
  protected baseHost(): BaseHost {
    return {
      world: this.world,
      platform: this.world.node('clients').boot(),
      address: { host: 'broker', port: PORT },
      boot: () => this.machine.boots,
      isUp: () => this.machine.node.isUp,
      draining: () => this.draining,
      stopped: () => this.stopped,
      operation: () => this.operations++,
      fail: (error) => this.#fail(error),
    };
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.stopped = true;
  }

  protected check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  protected async advance(durationMs: number): Promise<void> {
    await this.world.advance(durationMs);
    this.check();
  }

  /** Lets the clients work, and disturbs the machine, until both have had enough of it. */
  protected async disturb(operations: number, crashes: number): Promise<void> {
    while (this.operations < operations || this.machine.crashes < crashes) {
      if (!this.machine.node.isUp) await this.machine.afterDeath();
      await this.advance(this.machine.random.fraction() * STEP_MS_MAX);
      await this.machine.disturb();
    }
    this.machine.calm();
    if (!this.machine.node.isUp) await this.machine.afterDeath();
  }

  protected async restartAfter(kind: 'process' | 'power'): Promise<void> {
    this.machine.crash(kind);
    await this.machine.start();
  }

  /** Lets time pass until the condition holds for `forMs` without a break. Throws Violation when that takes too long. */
  protected async until(
    condition: () => boolean,
    limits: { readonly forMs: number; readonly withinMs: number; readonly otherwise: () => string },
  ): Promise<void> {
    const deadlineMs = this.world.nowMs + limits.withinMs;
    let sinceMs = condition() ? this.world.nowMs : Infinity;
    while (!(this.world.nowMs - sinceMs >= limits.forMs)) {
      if (!this.machine.node.isUp) await this.machine.afterDeath();
      await this.advance(STEP_MS_MAX);
      sinceMs = condition() ? Math.min(sinceMs, this.world.nowMs) : Infinity;
      if (this.world.nowMs > deadlineMs) throw new Violation('unavailable', limits.otherwise());
    }
  }
}

/** A scenario whose seeds are such runs. */
export function brokerRunScenario(
  scenario: Omit<Scenario, 'run'>,
  makeRun: (world: SimWorld) => BrokerRun,
): Scenario {
  return {
    ...scenario,
    run: async (world) => {
      const run = makeRun(world);
      try {
        await run.run();
      } finally {
        world.count('operations', run.operations);
        world.count('crashes', run.machine.crashes);
      }
    },
  };
}

import type { MeasuredBroker } from './broker-process.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import { Bench, PARTITIONS_DELETED_MAX, type MeasureOptions, type Round } from './measure.ts';
import type { Peer } from './peers/peer.ts';
import { measureProcess } from './processes.ts';
import { processWork, type ProcessWork, type Workload } from './workloads.ts';

/** Other processes' CPU time per second above which a turn counts as disturbed, */
const DISTURBED_SHARE = 0.2;
/** and is repeated, in so many rounds more at most. */
const MORE_ROUNDS_MAX = 3;

export interface CompareOptions extends MeasureOptions, FleetOptions {
  readonly rounds: number;
  /** Whether disturbed rounds are repeated. */
  readonly patient: boolean;
  /** A broker that runs already, instead of those that are started. */
  readonly target: MeasuredBroker | undefined;
}

/** One broker's kept rounds. */
export interface Turns {
  readonly peer: Peer;
  readonly rounds: readonly Round[];
}

/** Runs workloads against all peers, in turns. */
export class Comparison {
  readonly #options: CompareOptions;
  readonly #fleet: Fleet;

  constructor(options: CompareOptions) {
    this.#options = options;
    this.#fleet = new Fleet(options);
  }

  /** Rejects if a single request went wrong, at whichever broker. */
  async run(workload: Workload): Promise<Turns[]> {
    const work = processWork(workload);
    if (work !== undefined) return this.#ofProcesses(work);
    const { target } = this.#options;
    const brokers = target === undefined ? await this.#fleet.brokersFor(workload) : [target];
    try {
      return await this.#inTurns(
        brokers.map((broker) => ({
          peer: broker.peer,
          bench: new Bench(workload, broker, this.#options),
        })),
      );
    } finally {
      if (workload.partitions > PARTITIONS_DELETED_MAX) await this.#fleet.removeAll();
    }
  }

  async end(): Promise<void> {
    await this.#fleet.removeAll();
  }

  async #inTurns(sides: readonly { peer: Peer; bench: Bench }[]): Promise<Turns[]> {
    const { rounds, patient } = this.#options;
    const attempts = sides.map(({ peer }) => ({ peer, rounds: [] as Round[] }));
    try {
      for (const { bench } of sides) await bench.turn(); // not counted
      for (let round = 0; ; round++) {
        const enough = attempts.every((side) => quiet(side.rounds) >= rounds);
        if (round >= rounds && (enough || !patient || round >= rounds + MORE_ROUNDS_MAX)) break;
        for (const index of shuffled(sides.length))
          attempts[index]!.rounds.push(await sides[index]!.bench.turn());
      }
    } finally {
      for (const { bench } of sides) await bench.end();
    }
    return attempts.map((side) => ({ peer: side.peer, rounds: quietest(side.rounds, rounds) }));
  }

  async #ofProcesses(work: ProcessWork): Promise<Turns[]> {
    const { peers, rounds, target } = this.#options;
    if (target !== undefined) throw new Error('needs brokers that the bench starts itself');
    // What they do meanwhile would be measured, too.
    await this.#fleet.removeAll();
    const results = peers.map((peer) => ({ peer, rounds: [] as Round[] }));
    for (let round = 0; round < (work.kind === 'restart' ? 1 : rounds); round++) {
      for (const index of shuffled(peers.length)) {
        const result = results[index]!;
        result.rounds.push(await measureProcess(work, result.peer, this.#options));
      }
    }
    return results;
  }
}

/** What other processes take on two cores makes a broker slower, and its CPU time longer. */
function disturbance({ figures }: Round): number {
  return figures === undefined ? 0 : (figures.otherCpuSeconds ?? 0) / figures.seconds;
}

function quiet(rounds: readonly Round[]): number {
  return rounds.filter((round) => disturbance(round) <= DISTURBED_SHARE).length;
}

function quietest(rounds: readonly Round[], count: number): Round[] {
  return rounds.toSorted((a, b) => disturbance(a) - disturbance(b)).slice(0, count);
}

/** The numbers from 0 to below `count`, in an order by chance. */
function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

import { tmpdir } from 'node:os';

import type { MeasuredBroker } from './broker-process.ts';
import { requireFreeBytes } from './disk-probe.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import { Bench, PARTITIONS_PER_ROUND_MAX, type MeasureOptions, type Round, type Side } from './measure.ts';
import { requireOpenFiles } from './open-files.ts';
import type { Peer } from './peers/peer.ts';
import { fitTogether, processSide } from './processes.ts';
import { isProcessWork, type ProcessWork, type Row, type Workload } from './workloads.ts';

/** Other processes' CPU time per second above which a turn counts as disturbed, */
const DISTURBED_SHARE = 0.2;
/** and is repeated, in so many rounds more at most. */
const MORE_ROUNDS_MAX = 3;

export interface CompareOptions extends MeasureOptions, FleetOptions {
  readonly rounds: number;
  /** Of rows of which a turn is slow. */
  readonly slowRounds: number;
  /** Before those that count, where brokers serve several rounds. */
  readonly uncountedRounds: number;
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

/** A row, and what came of it. */
export interface RowTurns {
  readonly row: Row;
  readonly turns: readonly Turns[];
}

/** Of the disk, besides the data that a workload wants much of: what a round writes, twice. */
const BYTES_BESIDE_PER_BROKER = 2 * 1024 ** 3;

/** Runs workloads against all peers, in turns. */
export class Comparison {
  readonly #options: CompareOptions;
  readonly #fleet: Fleet;

  constructor(options: CompareOptions) {
    this.#options = options;
    this.#fleet = new Fleet(options);
  }

  /** Row by row. Rejects if a single request went wrong, at whichever broker. */
  async run({ rows, freshBrokers }: Workload): Promise<RowTurns[]> {
    const results: RowTurns[] = [];
    if (freshBrokers) await this.#fleet.removeAll();
    try {
      for (const row of rows) {
        const { work } = row;
        const turns = isProcessWork(work) ? await this.#ofProcesses(work) : await this.#ofBrokers(row);
        results.push({ row, turns });
      }
    } catch (error) {
      // What went wrong with a broker may go on, and is not the next workload's.
      await this.#fleet.discardAll();
      throw error;
    }
    if (freshBrokers) await this.#fleet.discardAll();
    return results;
  }

  async end(): Promise<void> {
    await this.#fleet.removeAll();
  }

  async #ofBrokers(row: Row): Promise<Turns[]> {
    const { target, peers, bulkBytes, limits } = this.#options;
    requireOpenFiles(row.partitions, row.name);
    const keptRounds = row.partitions > PARTITIONS_PER_ROUND_MAX ? this.#options.rounds : 0;
    const keptBytes = row.work.kind === 'catch-up' ? bulkBytes : keptRounds * limits.bytesMax;
    const bytes = BYTES_BESIDE_PER_BROKER + keptBytes;
    requireFreeBytes(tmpdir(), bytes * peers.length, row.name);
    const brokers = target === undefined ? await this.#fleet.brokersFor(row) : [target];
    const sides = brokers.map((broker) => new Bench(row, broker, this.#options));
    const { rounds, slowRounds, uncountedRounds } = this.#options;
    return this.#inTurns(sides, { rounds: row.slow ? slowRounds : rounds, uncounted: uncountedRounds });
  }

  async #ofProcesses(work: ProcessWork): Promise<Turns[]> {
    const { peers, target, rounds } = this.#options;
    const counts = { rounds, uncounted: 0 };
    if (target !== undefined) throw new Error('needs brokers that the bench starts itself');
    const together = fitTogether(work, peers.length, this.#options);
    // What they do meanwhile would be measured, too.
    await this.#fleet.removeAll();
    const sides = peers.map((peer) => processSide(work, peer, this.#options));
    if (together) return this.#inTurns(sides, counts);
    const turns: Turns[] = [];
    for (const side of sides) turns.push(...(await this.#inTurns([side], counts)));
    return turns;
  }

  async #inTurns(
    sides: readonly Side[],
    { rounds, uncounted }: { readonly rounds: number; readonly uncounted: number },
  ): Promise<Turns[]> {
    const { patient } = this.#options;
    const attempts = sides.map(({ peer }) => ({ peer, rounds: [] as Round[] }));
    try {
      for (let round = 0; round < uncounted; round++) for (const side of sides) await turnOf(side);
      for (let round = 0; ; round++) {
        const enough = attempts.every((side) => quiet(side.rounds) >= rounds);
        if (round >= rounds && (enough || !patient || round >= rounds + MORE_ROUNDS_MAX)) break;
        for (const index of shuffled(sides.length)) attempts[index]!.rounds.push(await turnOf(sides[index]!));
      }
    } catch (error) {
      // The first thing that went wrong is what there is to say; a broker that failed may not even end in order.
      await Promise.allSettled(sides.map((side) => side.end()));
      throw error;
    }
    for (const side of sides) await side.end();
    return attempts.map((side) => ({ peer: side.peer, rounds: quietest(side.rounds, rounds) }));
  }
}

/** Whose turn it was is the first thing to know of one that failed. */
async function turnOf(side: Side): Promise<Round> {
  try {
    return await side.turn();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${side.peer.name}: ${reason}`, { cause: error });
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

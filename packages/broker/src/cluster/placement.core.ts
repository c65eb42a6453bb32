import { BrokerError } from '../errors.ts';

/** What placement looks at. */
export interface PlacementBroker {
  readonly id: number;
  readonly rack: string | undefined;
  readonly host: string;
}

export interface PlacementOptions {
  readonly brokers: readonly PlacementBroker[];
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Where in the round of brokers the first partition begins: random for a new topic, so that first leaders spread. */
  readonly start: number;
}

/**
 * Replica lists for new partitions, the preferred leader first. Leaders go round robin. The replicas of one partition lie on different
 * racks as far as there are enough, then on different hosts (several brokers of one machine fail together), then on
 * different brokers. Throws BrokerError INVALID_REPLICATION_FACTOR when there are fewer brokers than replicas.
 */
export function placeReplicas(options: PlacementOptions): number[][] {
  const { partitions, replicationFactor, start } = options;
  if (replicationFactor < 1 || replicationFactor > options.brokers.length) {
    throw new BrokerError(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor ${replicationFactor} is not possible: ${options.brokers.length} brokers are registered`,
    );
  }
  const ring = interleaved(options.brokers);
  const load = new Map(ring.map(({ id }) => [id, 0]));
  return Array.from({ length: partitions }, (_, partition) => {
    const leaderAt = (start + partition) % ring.length;
    // Followers begin one further with each round of leaders, so that one broker's partitions do not all share a follower.
    const shift = 1 + (Math.floor((start + partition) / ring.length) % Math.max(1, ring.length - 1));
    const chosen = [ring[leaderAt]!];
    while (chosen.length < replicationFactor) {
      const next = followerOf(ring, chosen, leaderAt + shift, load);
      chosen.push(next);
      load.set(next.id, load.get(next.id)! + 1);
    }
    return chosen.map(({ id }) => id);
  });
}

/** Brokers in an order in which neighbours differ in rack and host where possible. */
function interleaved(brokers: readonly PlacementBroker[]): PlacementBroker[] {
  const sorted = [...brokers].sort((left, right) => left.id - right.id);
  const rounds: { readonly round: number; readonly rackRound: number; readonly broker: PlacementBroker }[] =
    [];
  const perHost = new Map<string, number>();
  const perRack = new Map<string, number>();
  for (const broker of sorted) {
    const rack = rackOf(broker);
    const round = perHost.get(broker.host) ?? 0;
    const rackRound = perRack.get(rack) ?? 0;
    perHost.set(broker.host, round + 1);
    perRack.set(rack, rackRound + 1);
    rounds.push({ round, rackRound, broker });
  }
  return rounds
    .sort(
      (left, right) =>
        left.rackRound - right.rackRound || left.round - right.round || left.broker.id - right.broker.id,
    )
    .map(({ broker }) => broker);
}

function followerOf(
  ring: readonly PlacementBroker[],
  chosen: readonly PlacementBroker[],
  from: number,
  load: ReadonlyMap<number, number>,
): PlacementBroker {
  let best: PlacementBroker | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (let step = 0; step < ring.length; step++) {
    const candidate = ring[(from + step) % ring.length]!;
    if (chosen.includes(candidate)) continue;
    const sameRack = chosen.some((other) => rackOf(other) === rackOf(candidate)) ? 1 : 0;
    const sameHost = chosen.some(({ host }) => host === candidate.host) ? 1 : 0;
    const score = ((sameRack * 2 + sameHost) * 1_000_000_000 + load.get(candidate.id)!) * ring.length + step;
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best!;
}

/** A broker without a rack is its own rack as far as hosts tell. */
function rackOf(broker: PlacementBroker): string {
  return broker.rack ?? `host:${broker.host}`;
}

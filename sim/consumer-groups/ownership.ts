import { Violation } from '../invariants/history.ts';

interface Claim {
  readonly partitions: ReadonlySet<number>;
  /** Virtual ms: until then the coordinator cannot have given the member up. */
  readonly untilMs: number;
}

/**
 * Who has which partition of one group, as the members themselves believe. A member that the coordinator has not heard for a session's time may be
 * wrong about it, so that a claim holds for that long only; while it does, nobody else may have the same partition.
 */
export class Ownership {
  readonly groupId: string;
  readonly #claims = new Map<string, Claim>();

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  /** What a member has from now on, which has been heard when it sent its last request. */
  claim(member: string, partitions: Iterable<number>, untilMs: number, nowMs: number): void {
    const claim = { partitions: new Set(partitions), untilMs };
    this.#claims.set(member, claim);
    if (untilMs <= nowMs) return;
    for (const [other, { partitions: theirs, untilMs: theirsUntilMs }] of this.#claims) {
      if (other === member || theirsUntilMs <= nowMs) continue;
      for (const partition of claim.partitions) {
        if (!theirs.has(partition)) continue;
        throw new Violation('two-owners', `${this.groupId}: ${member} and ${other} both have ${partition}`);
      }
    }
  }

  drop(member: string): void {
    this.#claims.delete(member);
  }
}

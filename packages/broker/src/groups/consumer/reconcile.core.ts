import type { StoredMemberState } from '@polylog/record';
import {
  type Assignment,
  type AssignmentEpochs,
  epochsOf,
  intersects,
  NOTHING_ASSIGNED,
  splitBy,
  union,
} from './assignment.core.ts';

/**
 * Where a member stands on its way to what it shall get (KIP-848):
 * - `stable`: it has what the target assignment of its epoch gives it;
 * - `unrevoked`: it was told to give partitions up, and has not said yet that it did; until then it stays in its epoch;
 * - `unreleased`: it is in the epoch of the target, but some of its partitions are still with their former owners.
 */
export type MemberState = StoredMemberState;

/** What a member has: the part that decides who owns a partition, so that it changes by whole steps only. */
export interface CurrentAssignment {
  readonly epoch: number;
  /** The one before, as far as the member is known to have heard of it: it may say that one while answers to it are lost. */
  readonly previousEpoch: number;
  readonly state: MemberState;
  readonly assigned: Assignment;
  /** What it has been told to give up. Nobody else gets it before it says that it has. */
  readonly revoking: Assignment;
  /** Of all of those: an offset that was committed in an earlier epoch counts if the member had the partition then, and has it still (KIP-1251). */
  readonly epochs: AssignmentEpochs;
}

export const JOINING: CurrentAssignment = {
  epoch: 0,
  previousEpoch: 0,
  state: 'stable',
  assigned: NOTHING_ASSIGNED,
  revoking: NOTHING_ASSIGNED,
  epochs: new Map(),
};

export interface ReconcileInput {
  readonly current: CurrentAssignment;
  readonly targetEpoch: number;
  readonly target: Assignment;
  /** The epoch that the member says it is in: the present one, or an earlier one while answers to it are lost. */
  readonly saidEpoch: number;
  /** What the member says that it has; undefined: it does not say, since nothing has changed. */
  readonly owned: Assignment | undefined;
  /** Whether nobody has the partition, to be asked of those only that the member does not have. */
  readonly isFree: (topicId: string, partition: number) => boolean;
}

/** The next step of a member towards the target; the same object if there is none. */
export function reconcile(input: ReconcileInput): CurrentAssignment {
  const { current, targetEpoch, owned } = input;
  switch (current.state) {
    case 'stable':
      return current.epoch === targetEpoch ? current : nextStep(input);
    case 'unrevoked':
      // Its word that it has given up everything is what the others wait for.
      if (owned === undefined || intersects(owned, current.revoking)) return current;
      return nextStep(input);
    case 'unreleased':
      return nextStep(input);
  }
}

function nextStep({
  current,
  targetEpoch,
  target,
  saidEpoch,
  owned,
  isFree,
}: ReconcileInput): CurrentAssignment {
  const { inside: kept, outside: revoking } = splitBy(current.assigned, target);
  const hasToRevoke = revoking.size > 0 && (owned === undefined || intersects(owned, revoking));
  if (hasToRevoke) {
    const epochs = epochsOf([kept, revoking], current.epochs, current.epoch);
    return { ...current, state: 'unrevoked', assigned: kept, revoking, epochs };
  }
  const { outside: wanted } = splitBy(target, kept);
  const { free, isAll } = freeOf(wanted, current, isFree);
  const state = isAll ? 'stable' : 'unreleased';
  const isNewEpoch = current.epoch !== targetEpoch;
  if (!isNewEpoch && current.state === state && free.size === 0 && revoking.size === 0) return current;
  const assigned = union(kept, free);
  const epochsOfKept = epochsOf([kept], current.epochs, current.epoch);
  return {
    epoch: targetEpoch,
    previousEpoch: saidEpoch,
    state,
    assigned,
    revoking: NOTHING_ASSIGNED,
    epochs: epochsOf([assigned], epochsOfKept, targetEpoch),
  };
}

function freeOf(
  wanted: Assignment,
  { revoking }: CurrentAssignment,
  isFree: ReconcileInput['isFree'],
): { readonly free: Assignment; readonly isAll: boolean } {
  const free = new Map<string, readonly number[]>();
  let isAll = true;
  for (const [topicId, partitions] of wanted) {
    // What it has just given up itself, and shall get again after all.
    const own = revoking.get(topicId);
    const got = partitions.filter(
      (partition) => own?.includes(partition) === true || isFree(topicId, partition),
    );
    if (got.length > 0) free.set(topicId, got);
    if (got.length < partitions.length) isAll = false;
  }
  return { free, isAll };
}

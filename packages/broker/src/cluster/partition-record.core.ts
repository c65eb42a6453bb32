/**
 * A partition's record in the metadata store, and the rules by which it may change (KIP-497, KIP-903, KIP-966). Pure: the store
 * applies them inside one compare-and-swap on `partitionEpoch`.
 */

/** A replica together with the registration under which it was in sync: an entry of an older registration proves nothing (KIP-903). */
export interface IsrMember {
  readonly id: number;
  readonly brokerEpoch: number;
}

export interface PartitionRecord {
  /** Broker id, or -1. */
  readonly leader: number;
  /** Rises with every election. */
  readonly leaderEpoch: number;
  /** Rises with every change of the record. */
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly IsrMember[];
  /** Replicas outside of the ISR that hold everything below the HW. */
  readonly elr: readonly IsrMember[];
}

/** What the leader asks for. */
export interface IsrProposal {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly isr: readonly IsrMember[];
}

/** A broker as the store knows it: absent means not registered. */
export interface RegisteredBroker {
  readonly brokerEpoch: number;
  readonly shuttingDown: boolean;
}

export type BrokerView = (id: number) => RegisteredBroker | undefined;

export type ProposalVerdict =
  | { readonly kind: 'applied'; readonly record: PartitionRecord }
  | { readonly kind: 'stale' }
  | { readonly kind: 'ineligible' };

/** KIP-966: a factor below min.insync.replicas lowers it. */
export function effectiveMinIsr(minInsyncReplicas: number, replicas: number): number {
  return Math.min(minInsyncReplicas, replicas);
}

/** Rule 5: what makes an ISR change invalid. `stale`: the proposer has missed a change; `ineligible`: a member may not be added. */
export function applyProposal(
  record: PartitionRecord,
  proposal: IsrProposal,
  brokers: BrokerView,
  minInsyncReplicas: number,
): ProposalVerdict {
  if (
    proposal.leaderEpoch !== record.leaderEpoch ||
    proposal.partitionEpoch !== record.partitionEpoch ||
    proposal.leader !== record.leader
  ) {
    return { kind: 'stale' };
  }
  if (!contains(proposal.isr, record.leader)) return { kind: 'ineligible' };
  for (const member of proposal.isr) {
    const broker = brokers(member.id);
    const present = record.isr.some(
      (other) => other.id === member.id && other.brokerEpoch === member.brokerEpoch,
    );
    if (present) continue;
    if (!record.replicas.includes(member.id)) return { kind: 'ineligible' };
    if (broker === undefined || broker.shuttingDown || broker.brokerEpoch !== member.brokerEpoch) {
      return { kind: 'ineligible' };
    }
  }
  return {
    kind: 'applied',
    record: {
      ...record,
      partitionEpoch: record.partitionEpoch + 1,
      isr: proposal.isr,
      elr: nextElr(record, proposal.isr, minInsyncReplicas),
    },
  };
}

/** Rule 6: whoever leaves while the ISR is too small for the HW to move still holds everything below it. */
export function nextElr(
  record: PartitionRecord,
  isr: readonly IsrMember[],
  minInsyncReplicas: number,
): readonly IsrMember[] {
  if (isr.length >= effectiveMinIsr(minInsyncReplicas, record.replicas.length)) return [];
  const result: IsrMember[] = [];
  for (const member of [...record.elr, ...record.isr]) {
    if (!contains(isr, member.id) && !contains(result, member.id)) result.push(member);
  }
  return result;
}

/** Elects from the ISR, then the ELR, then nobody. Undefined when nothing changes. */
export function electLeader(
  record: PartitionRecord,
  brokers: BrokerView,
  minInsyncReplicas: number,
): PartitionRecord | undefined {
  const electable = (member: IsrMember): boolean => {
    const broker = brokers(member.id);
    return broker !== undefined && !broker.shuttingDown && broker.brokerEpoch === member.brokerEpoch;
  };
  if (record.isr.some((member) => member.id === record.leader && electable(member))) return undefined;
  const next = { leaderEpoch: record.leaderEpoch + 1, partitionEpoch: record.partitionEpoch + 1 };
  const fromIsr = record.isr.find(electable);
  if (fromIsr !== undefined) return { ...record, ...next, leader: fromIsr.id };
  const fromElr = record.elr.find(electable);
  if (fromElr !== undefined) {
    const isr = [fromElr];
    return { ...record, ...next, leader: fromElr.id, isr, elr: nextElr(record, isr, minInsyncReplicas) };
  }
  return record.leader === -1 ? undefined : { ...record, ...next, leader: -1 };
}

/**
 * A broker that is gone leaves the ISR and the leadership, unless it is the last member: then the record keeps it, to know who has
 * the data. The election follows.
 */
export function withoutBroker(
  record: PartitionRecord,
  id: number,
  minInsyncReplicas: number,
): PartitionRecord | undefined {
  if (!contains(record.isr, id) || record.isr.length === 1) return undefined;
  const isr = record.isr.filter((member) => member.id !== id);
  const led = record.leader === id;
  return {
    ...record,
    leader: led ? -1 : record.leader,
    leaderEpoch: led ? record.leaderEpoch + 1 : record.leaderEpoch,
    partitionEpoch: record.partitionEpoch + 1,
    isr,
    elr: nextElr(record, isr, minInsyncReplicas),
  };
}

/**
 * A broker has registered again. `retained`: it can prove that it holds all it had acknowledged (flush=fsync on an intact disk; a clean
 * stop; the same boot of the system). If so its entries move to the new registration, else it leaves both sets.
 */
export function withRestartedBroker(
  record: PartitionRecord,
  broker: { readonly id: number; readonly brokerEpoch: number; readonly retained: boolean },
  minInsyncReplicas: number,
): PartitionRecord | undefined {
  if (!contains(record.isr, broker.id) && !contains(record.elr, broker.id)) return undefined;
  const renewed = (member: IsrMember): IsrMember =>
    member.id === broker.id ? { id: broker.id, brokerEpoch: broker.brokerEpoch } : member;
  const others = (member: IsrMember): boolean => member.id !== broker.id;
  // What it led ended with its old registration: it may lead again, but in a new epoch, for what it had not synced is gone.
  const led = record.leader === broker.id;
  const next = {
    ...record,
    leader: led ? -1 : record.leader,
    leaderEpoch: led ? record.leaderEpoch + 1 : record.leaderEpoch,
    partitionEpoch: record.partitionEpoch + 1,
  };
  if (!broker.retained) {
    const isr = record.isr.filter(others);
    return { ...next, isr, elr: nextElr(record, isr, minInsyncReplicas).filter(others) };
  }
  const kept = { ...next, isr: record.isr.map(renewed), elr: record.elr.map(renewed) };
  const isr = kept.isr.filter(others);
  if (isr.length === 0 || isr.length === kept.isr.length) return kept;
  return { ...kept, isr, elr: nextElr(kept, isr, minInsyncReplicas) };
}

export function contains(members: readonly IsrMember[], id: number): boolean {
  for (const member of members) if (member.id === id) return true;
  return false;
}

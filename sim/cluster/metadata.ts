import {
  applyProposal,
  contains,
  effectiveMinIsr,
  electLeader,
  type IsrProposal,
  type PartitionRecord,
  withoutBroker,
  withRestartedBroker,
} from '../../packages/broker/src/replication/partition-record.core.ts';
import type { AlterIsrResult } from '../../packages/broker/src/replication/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimWorld } from '../platform/world.ts';

const SESSION_MS = 400;
export const MIN_ISR = 2;

interface Registration {
  brokerEpoch: number;
  lastHeartbeatMs: number;
  fenced: boolean;
}

/**
 * The metadata store and the controller in one: a linearizable record with compare-and-swap, leases by heartbeat, and elections by the rules of
 * partition-record.core.ts. It never fails; what fails is the way to it.
 */
export class MetadataSim {
  readonly #world: SimWorld;
  readonly #registrations = new Map<number, Registration>();
  #brokerEpochs = 0;
  record: PartitionRecord;
  onChange: ((record: PartitionRecord) => void) | undefined;

  constructor(world: SimWorld, replicas: readonly number[]) {
    this.#world = world;
    this.record = { leader: -1, leaderEpoch: 0, partitionEpoch: 0, replicas, isr: [], elr: [] };
  }

  /** A broker starts: a new broker epoch, and its old entries are renewed or dropped before it may serve. */
  register(id: number, retained: boolean): number {
    const brokerEpoch = ++this.#brokerEpochs;
    this.#registrations.set(id, { brokerEpoch, lastHeartbeatMs: this.#world.nowMs, fenced: false });
    if (this.record.partitionEpoch === 0) {
      if (this.#registrations.size === this.record.replicas.length) this.#initialise();
      return brokerEpoch;
    }
    const next = withRestartedBroker(this.record, { id, brokerEpoch, retained }, MIN_ISR);
    if (next !== undefined) this.#change(next, 'restarted');
    this.#elect();
    return brokerEpoch;
  }

  heartbeat(id: number, brokerEpoch: number): void {
    const registration = this.#registrations.get(id);
    if (registration?.brokerEpoch !== brokerEpoch) return;
    registration.lastHeartbeatMs = this.#world.nowMs;
    registration.fenced = false;
    this.#elect();
  }

  alterIsr(proposal: IsrProposal): AlterIsrResult {
    const verdict = applyProposal(this.record, proposal, this.#view, MIN_ISR);
    this.#world.count(`isr.${verdict.kind}`);
    if (verdict.kind === 'ineligible') return { kind: 'ineligible' };
    if (verdict.kind === 'stale') return { kind: 'stale', record: this.record };
    const grows = verdict.record.isr.length > this.record.isr.length;
    this.#change(verdict.record, grows ? 'expand' : 'shrink');
    return { kind: 'applied', record: this.record };
  }

  /** What the controller does now and then. */
  controllerPass(): void {
    for (const [id, registration] of this.#registrations) {
      if (registration.fenced || this.#world.nowMs - registration.lastHeartbeatMs <= SESSION_MS) continue;
      registration.fenced = true;
      this.#world.count('controller.fenced');
      const next = withoutBroker(this.record, id, MIN_ISR);
      if (next !== undefined) this.#change(next, 'removed');
    }
    this.#elect();
  }

  isCurrent(id: number, brokerEpoch: number): boolean {
    return this.#registrations.get(id)?.brokerEpoch === brokerEpoch;
  }

  readonly #view = (id: number): { brokerEpoch: number; shuttingDown: boolean } | undefined => {
    const registration = this.#registrations.get(id);
    if (registration === undefined || registration.fenced) return undefined;
    return { brokerEpoch: registration.brokerEpoch, shuttingDown: false };
  };

  #initialise(): void {
    const isr = this.record.replicas.map((id) => ({
      id,
      brokerEpoch: this.#registrations.get(id)!.brokerEpoch,
    }));
    const leader = this.record.replicas[0]!;
    this.#change({ ...this.record, leader, leaderEpoch: 1, partitionEpoch: 1, isr }, 'created');
  }

  #elect(): void {
    if (this.record.partitionEpoch === 0) return;
    const before = this.record;
    const next = electLeader(before, this.#view, MIN_ISR);
    if (next === undefined) return;
    const from = next.leader === -1 ? 'none' : contains(before.isr, next.leader) ? 'isr' : 'elr';
    this.#change(next, `elected-from-${from}`);
  }

  #change(next: PartitionRecord, why: string): void {
    this.record = next;
    this.#world.count(`record.${why}`);
    const members = (list: PartitionRecord['isr']): string =>
      list.map(({ id, brokerEpoch }) => `${id}@${brokerEpoch}`).join(' ');
    this.#world.trace.add(
      `${this.#world.nowMs.toFixed(3)} record ${why}: leader ${next.leader} epoch ${next.leaderEpoch}.${next.partitionEpoch} isr [${members(next.isr)}] elr [${members(next.elr)}]`,
    );
    if (next.leader !== -1 && !contains(next.isr, next.leader)) throw new Violation('leader-in-isr', why);
    if (next.elr.length > 0 && next.isr.length >= effectiveMinIsr(MIN_ISR, next.replicas.length)) {
      throw new Violation('elr-empty', `the ELR has members though the ISR is large enough (${why})`);
    }
    this.onChange?.(next);
  }
}

import type { Clock, Logger, Timers } from '../platform/index.ts';
import type { LogId } from '../storage/types.ts';
import type { PartitionCore } from './partition.core.ts';
import type { IsrProposal, PartitionRecord } from './partition-record.core.ts';
import type { IsrStore } from './transport.ts';

/** Pause before a proposal whose outcome is unknown is sent again. */
const PROPOSAL_RETRY_MS = 200;

export interface IsrProposalsOptions {
  readonly store: IsrStore;
  readonly core: PartitionCore;
  readonly id: LogId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** The partition takes no answers any more. */
  readonly isClosed: () => boolean;
  /** The store told its present record. */
  readonly learned: (record: PartitionRecord) => void;
  /** After each answer: what is in sync has changed, and the HW may have moved. */
  readonly settled: () => void;
}

/** Carries what the core proposes to the metadata store, and the answers back. */
export class IsrProposals {
  readonly #store: IsrStore;
  readonly #core: PartitionCore;
  readonly #id: LogId;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #isClosed: () => boolean;
  readonly #learned: (record: PartitionRecord) => void;
  readonly #settled: () => void;

  constructor(options: IsrProposalsOptions) {
    this.#store = options.store;
    this.#core = options.core;
    this.#id = options.id;
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#logger = options.logger;
    this.#isClosed = options.isClosed;
    this.#learned = options.learned;
    this.#settled = options.settled;
  }

  propose(proposal: IsrProposal): void {
    const { topic, partition } = this.#id;
    this.#logger.info(
      { topic, partition, isr: proposal.isr.map((member) => member.id) },
      'Proposing another ISR.',
    );
    this.#send(proposal);
  }

  #send(proposal: IsrProposal): void {
    const { topicId, partition } = this.#id;
    this.#store.alterIsr({ topicId, partition }, proposal).then(
      (result) => {
        if (this.#isClosed()) return;
        if (result.kind === 'ineligible') this.#core.proposalRefused(proposal, this.#clock.monotonicMs());
        else this.#learned(result.record);
        this.#settled();
      },
      () => {
        // The outcome is unknown: the proposal may have been applied. It stays in the maximal ISR until the store has answered.
        this.#timers.after(PROPOSAL_RETRY_MS, () => {
          if (this.#isWanted(proposal)) this.#send(proposal);
        });
      },
    );
  }

  #isWanted(proposal: IsrProposal): boolean {
    const { role } = this.#core;
    return !this.#isClosed() && role.kind === 'leader' && role.isr.proposed === proposal;
  }
}

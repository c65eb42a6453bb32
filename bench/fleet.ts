import { breakIn } from './break-in.ts';
import { BrokerProcess, type MeasuredBroker } from './broker-process.ts';
import type { Peer } from './peers/peer.ts';
import type { Row } from './workloads.ts';

export interface FleetOptions {
  readonly peers: readonly Peer[];
  readonly pin: boolean;
  readonly breakInMsMax: number;
}

interface Running {
  readonly broker: BrokerProcess;
  /** What it was started with, as text. */
  readonly settings: string;
}

/** The brokers of a run, each started when it is first needed, and anew when a workload wants other settings. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #running = new Map<Peer, Running>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  async brokersFor({ settings }: Row): Promise<MeasuredBroker[]> {
    const { peers, pin, breakInMsMax } = this.#options;
    const brokers: MeasuredBroker[] = [];
    for (const peer of peers) {
      const wanted = settings?.[peer.name] ?? {};
      const text = JSON.stringify(wanted);
      let running = this.#running.get(peer);
      if (running?.settings !== text) {
        await this.#remove(peer);
        const broker = await BrokerProcess.start(peer, { settings: wanted, pin, profileFolder: undefined });
        running = { broker, settings: text };
        this.#running.set(peer, running);
        await breakIn(broker, { forMsMax: breakInMsMax, pin });
      }
      brokers.push(running.broker);
    }
    return brokers;
  }

  /** Ends all of them. Rejects if one had ended before, or could not be ended. */
  async removeAll(): Promise<void> {
    for (const peer of this.#running.keys()) await this.#remove(peer);
  }

  /** Ends all of them without giving them the time to leave their data in order: they go with them. */
  async discardAll(): Promise<void> {
    for (const [peer, { broker }] of this.#running) {
      this.#running.delete(peer);
      await broker.discard();
    }
  }

  async #remove(peer: Peer): Promise<void> {
    const running = this.#running.get(peer);
    this.#running.delete(peer);
    await running?.broker.remove();
  }
}

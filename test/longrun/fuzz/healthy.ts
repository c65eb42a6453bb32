import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import type { HealthyReport, HealthyWorkerData } from './healthy-client.ts';

export type { HealthyReport } from './healthy-client.ts';

const STOP_MS_MAX = 60_000;

/** The healthy client in its thread: its event loop does not wait for that of the attackers. */
export class HealthyClient {
  readonly #worker: Worker;

  constructor(port: number, topic: string) {
    const workerData: HealthyWorkerData = { port, topic };
    this.#worker = new Worker(new URL('./healthy-client.ts', import.meta.url), { workerData });
  }

  /** What happened since the last report. */
  async report(): Promise<HealthyReport> {
    return this.#ask('report');
  }

  /** Ends the producing, waits until all has been consumed, and reports. */
  async stop(): Promise<HealthyReport> {
    const report = await this.#ask('stop');
    await this.#worker.terminate();
    return report;
  }

  async #ask(command: 'report' | 'stop'): Promise<HealthyReport> {
    const signal = AbortSignal.timeout(STOP_MS_MAX);
    const answer = once(this.#worker, 'message', { signal });
    this.#worker.postMessage(command);
    const [report] = (await answer) as [HealthyReport];
    return report;
  }
}

/** One line. */
export function describeHealth(
  phase: string,
  { ack, largeAck, delivery, sent, received }: HealthyReport,
): string {
  const ms = ({ p50, p99, max }: HealthyReport['ack']): string =>
    `${p50.toFixed(1)}/${p99.toFixed(1)}/${max.toFixed(0)}`;
  return (
    `  healthy client ${phase}: acknowledgement p50/p99/max ${ms(ack)} ms, of 300 kB ${ms(largeAck)} ms, ` +
    `delivery ${ms(delivery)} ms; ${sent} sent, ${received} received`
  );
}

import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaClient } from '../longrun/fuzz/client.ts';

const RECONNECT_MS = 20;

/** One connection that is opened again when it is lost. */
export class LastingClient {
  readonly #port: number;
  #client: KafkaClient | undefined;
  #closed = false;

  constructor(address: string) {
    this.#port = Number(address.split(':')[1]);
  }

  /** Resolves with what `ask` answers, or with undefined if the connection was lost meanwhile: who knows what happened then. */
  async use<T>(ask: (client: KafkaClient) => Promise<T>): Promise<T | undefined> {
    try {
      this.#client ??= await KafkaClient.open(this.#port);
      return await ask(this.#client);
    } catch (error) {
      if (!isLostConnection(error)) throw error;
      this.#client?.close();
      this.#client = undefined;
      if (!this.#closed) await sleep(RECONNECT_MS);
      return undefined;
    }
  }

  close(): void {
    this.#closed = true;
    this.#client?.close();
  }
}

function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return 'code' in error || error.message.includes('closed the connection');
}

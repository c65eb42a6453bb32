import { DiskError, type Logger, type TimerHandle, type Timers } from '../platform/index.ts';
import type { FetchProgress } from './follower.ts';
import type { LocalPartition } from './partition.ts';
import type { ReplicaFetchRequest, ReplicaTransport } from './transport.ts';

/** Kafka's defaults of `replica.fetch.max.bytes`, `replica.fetch.wait.max.ms` and, much shorter, `replica.fetch.backoff.ms`. */
const FETCH_BYTES_MAX = 1024 * 1024;
const FETCH_WAIT_MS_MAX = 500;
const FETCH_BACKOFF_MS = 100;

/**
 * Keeps one follower in step with its leader: one fetch at a time. It fetches ahead of its own disk; while the leader has nothing new
 * and bytes are still unsynced it waits for the disk, because the next fetch is what reports them as durable.
 */
export class ReplicaFetcher {
  readonly #partition: LocalPartition;
  readonly #transport: ReplicaTransport;
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #unsubscribe: () => void;
  #state: 'idle' | 'fetching' | 'waiting-for-disk' | 'backing-off' | 'stopped' = 'idle';
  #backoff: TimerHandle | undefined;

  constructor(options: {
    readonly partition: LocalPartition;
    readonly transport: ReplicaTransport;
    readonly timers: Timers;
    readonly logger: Logger;
  }) {
    this.#partition = options.partition;
    this.#transport = options.transport;
    this.#timers = options.timers;
    this.#logger = options.logger;
    this.#unsubscribe = options.partition.subscribeLog(() => this.#wake());
    this.#wake();
  }

  stop(): void {
    this.#state = 'stopped';
    this.#unsubscribe();
    this.#backoff?.cancel();
  }

  /** The log or the role has changed. */
  #wake(): void {
    if (this.#state === 'idle') this.#next();
    else if (this.#state === 'waiting-for-disk') {
      const { durableOffset, endOffset } = this.#partition.log;
      if (durableOffset >= endOffset || this.#partition.role !== 'follower') this.#next();
    }
  }

  #next(): void {
    if (this.#state === 'stopped') return;
    const request = this.#partition.nextFetch({ bytesMax: FETCH_BYTES_MAX, waitMsMax: FETCH_WAIT_MS_MAX });
    if (request === undefined) {
      this.#state = 'idle';
      return;
    }
    this.#state = 'fetching';
    this.#transport.fetch(this.#partition.leader, request).then(
      (response) => {
        if (this.#state === 'fetching') this.#after(request, this.#handle(request, response));
      },
      (error: unknown) => {
        if (this.#state !== 'fetching') return;
        this.#logger.debug(
          { leader: this.#partition.leader, error: String(error) },
          'A replica fetch failed.',
        );
        this.#backOff();
      },
    );
  }

  #handle(
    request: ReplicaFetchRequest,
    response: Parameters<LocalPartition['handleFetchResponse']>[1],
  ): FetchProgress {
    try {
      return this.#partition.handleFetchResponse(request, response);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#logger.error({ error: error.message }, 'A follower could not write what it fetched.');
      return 'refused';
    }
  }

  #after(request: ReplicaFetchRequest, progress: FetchProgress): void {
    if (progress === 'refused') {
      this.#backOff();
      return;
    }
    const { log } = this.#partition;
    const unreported = log.durableOffset > request.durableOffset;
    if (progress === 'idle' && !unreported && log.durableOffset < log.endOffset)
      this.#state = 'waiting-for-disk';
    else this.#next();
  }

  #backOff(): void {
    this.#state = 'backing-off';
    this.#backoff = this.#timers.after(FETCH_BACKOFF_MS, () => {
      if (this.#state === 'backing-off') this.#next();
    });
  }
}

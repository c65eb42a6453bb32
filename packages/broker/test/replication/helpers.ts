import { MAGIC_V2, patchCrc, writeBatchHeader } from '@polylog/record';
import type { Clock, Logger, Loop, TimerHandle, Timers } from '../../src/platform/index.ts';
import { LocalPartition, standaloneRecord, TurnScheduler } from '../../src/replication/index.ts';
import type { AppendResult } from '../../src/replication/types.ts';
import { FakeLog } from './fake-log.ts';

/** One opaque byte stands for the records: nothing below the topics layer reads them. */
export function batch(options: {
  readonly records?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly sequence?: number;
  readonly attributes?: number;
}): Uint8Array {
  const bytes = new Uint8Array(62);
  const records = options.records ?? 1;
  writeBatchHeader(bytes, 0, {
    baseOffset: 0,
    batchLength: bytes.length - 12,
    partitionLeaderEpoch: -1,
    magic: MAGIC_V2,
    crc: 0,
    attributes: options.attributes ?? 0,
    lastOffsetDelta: records - 1,
    baseTimestamp: 1000,
    maxTimestamp: 1000,
    producerId: options.producerId ?? -1,
    producerEpoch: options.producerEpoch ?? (options.producerId === undefined ? -1 : 0),
    baseSequence: options.sequence ?? -1,
    recordCount: records,
  });
  patchCrc(bytes);
  return bytes;
}

export class ManualLoop implements Loop {
  #callbacks: (() => void)[] = [];
  #last: (() => void)[] = [];
  afterTurn(callback: () => void): void {
    this.#callbacks.push(callback);
  }
  lastInTurn(callback: () => void): void {
    this.#last.push(callback);
  }
  turn(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
    const last = this.#last;
    this.#last = [];
    for (const callback of last) callback();
  }
}

export class ManualClock implements Clock, Timers {
  now = 0;
  nowMs(): number {
    return this.now;
  }
  monotonicMs(): number {
    return this.now;
  }
  after(): TimerHandle {
    return { cancel: () => undefined };
  }
}

export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

export interface Bench {
  readonly loop: ManualLoop;
  readonly clock: ManualClock;
  readonly log: FakeLog;
  readonly store: { flushTurn: () => void; diskFull: boolean; flushes: number };
  readonly turns: TurnScheduler;
  readonly partition: LocalPartition;
  /** Appends and returns the place where the result will stand. */
  append(bytes: Uint8Array, acks?: -1 | 0 | 1): { result: AppendResult | undefined };
}

/** A standalone leader over a fake log. */
export function bench(log = new FakeLog()): Bench {
  const loop = new ManualLoop();
  const clock = new ManualClock();
  const store = {
    flushes: 0,
    diskFull: false,
    flushTurn(): void {
      store.flushes++;
    },
  };
  const turns = new TurnScheduler({ loop, clock, store });
  const partition = new LocalPartition({
    log,
    brokerId: 1,
    brokerEpoch: 1,
    turns,
    clock,
    timers: clock,
    logger: SILENT,
    minInsyncReplicas: 1,
    producerIdExpirationMs: 1000,
  });
  partition.applyRecord(standaloneRecord({ brokerId: 1, brokerEpoch: 1, leaderEpoch: 3, partitionEpoch: 1 }));
  loop.turn();
  const append: Bench['append'] = (bytes, acks = -1) => {
    const place: { result: AppendResult | undefined } = { result: undefined };
    let called = 0;
    partition.append(bytes, { requiredAcks: acks, nowMs: clock.now, origin: 'client' }, (result) => {
      if (++called > 1) throw new Error('completed twice');
      place.result = result;
    });
    if (called > 0) throw new Error('completed synchronously');
    return place;
  };
  return { loop, clock, log, store, turns, partition, append };
}

import type { TimerHandle, Timers } from '../../platform/clock.ts';
import type { ClientAllowance, ClientQuotas } from '../../quotas/client-quotas.ts';
import type { PendingExchange } from './exchange.ts';
import type { KafkaHandler } from './handler.ts';

/** Charges the requests of one connection to their quotas, and keeps it from being read for as long as it has to wait (KIP-219). */
export class SessionThrottle {
  readonly #timers: Timers;
  readonly #over: () => void;
  #allowance: ClientAllowance | undefined;
  #timer: TimerHandle | undefined;
  #untilMs = 0;

  /** `over` is called when the connection may be read again. */
  constructor(timers: Timers, over: () => void) {
    this.#timers = timers;
    this.#over = over;
  }

  /** Charges a request that is about to run; where it is over a limit, its exchange is throttled before. */
  charge(quotas: ClientQuotas, exchange: PendingExchange, user: string, frameBytes: number): void {
    this.#allowance = quotas.of(this.#allowance, user, exchange.clientId);
    const allowance = this.#allowance;
    exchange.allowance = allowance;
    const bytesMs = exchange.handler.isProduce ? allowance.produced(frameBytes) : 0;
    const throttleMs = Math.max(bytesMs, allowance.requestThrottleMs());
    if (throttleMs > 0) exchange.throttle(throttleMs);
  }

  /** Waits so long from now on, unless it waits longer already. */
  wait(ms: number, nowMs: number): void {
    if (nowMs + ms <= this.#untilMs) return;
    this.#untilMs = nowMs + ms;
    this.#timer?.cancel();
    this.#timer = this.#timers.after(ms, this.#over);
  }

  cancel(): void {
    this.#timer?.cancel();
  }
}

/** The body with its throttle time, in versions that have it. Bodies may be shared: it is another one. */
export function withThrottleTime(
  handler: KafkaHandler,
  version: number,
  body: unknown,
  throttleTimeMs: number,
): unknown {
  return handler.saysThrottleTime(version) ? { ...(body as object), throttleTimeMs } : body;
}

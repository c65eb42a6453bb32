import { NAME_BYTES_MAX } from '@polylog/bytes';
import { decodedElements, longestDecodedName } from '@polylog/kafka-protocol';

import { BrokerError } from '../../errors.ts';
import type { Clock, Timers } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { LogLimiter } from '../../platform/log-limiter.ts';
import type { Loop } from '../../platform/loop.ts';
import type { ClientQuotas } from '../../quotas/client-quotas.ts';
import type { AuthorizationGate } from './authorization-gate.ts';
import { ruleOf } from './authorization.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import type { ExchangeOwner, PendingExchange } from './exchange.ts';
import { FrameMemory } from './frame-assembly.ts';
import type { KafkaHandler } from './handler.ts';
import type { KafkaLimits } from './limits.ts';
import type { Session } from './session.ts';

/** Memory that is kept for the next large frame or response instead of being freed. */
const POOL_RETAINED_BYTES_MAX = 32 * 1024 * 1024;

/** What all sessions share, whichever listener they came through. */
export class Pipeline {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly loop: Loop;
  readonly logger: Logger;
  readonly limitedLog: LogLimiter;
  readonly limits: KafkaLimits;
  readonly frames: FrameMemory;
  readonly responseBudget: ByteBudget;
  /** Encoded responses of all sessions that no socket has taken yet, without the records that come from files. */
  encodedBytes = 0;
  readonly pool = new BufferPool({ retainedBytesMax: POOL_RETAINED_BYTES_MAX });
  readonly sessions = new Set<Session>();
  /** Where access rules are in force. */
  gate: AuthorizationGate | undefined = undefined;
  /** Known once the broker serves; no request is run before. */
  quotas: ClientQuotas | undefined;
  #handlers: (KafkaHandler | undefined)[] = [];
  #turn = 0;
  #turnEnds = false;

  constructor(options: { clock: Clock; timers: Timers; loop: Loop; logger: Logger; limits: KafkaLimits }) {
    this.clock = options.clock;
    this.timers = options.timers;
    this.loop = options.loop;
    this.logger = options.logger;
    this.limits = options.limits;
    this.limitedLog = new LogLimiter(options.clock, options.logger, 'bad requests');
    this.frames = new FrameMemory(new ByteBudget(options.limits.requestBytesInFlightMax), this.pool);
    this.responseBudget = new ByteBudget(options.limits.responseBytesInFlightMax);
  }

  setHandlers(handlers: readonly KafkaHandler[]): void {
    this.#handlers = [];
    for (const handler of handlers) {
      // Throws for one that nobody has said the permissions of, also where rules are not in force.
      ruleOf(handler.api);
      this.#handlers[handler.api.key] = handler;
    }
  }

  handlerOf(apiKey: number): KafkaHandler | undefined {
    return this.#handlers[apiKey];
  }

  /** Runs a request as far as its client may make it. */
  admit(owner: ExchangeOwner, exchange: PendingExchange, request: unknown): void {
    if (this.gate === undefined) exchange.run(request);
    else this.gate.admit(owner, exchange, request);
  }

  /** What is wrong with the request that was decoded last, whatever it asks for. */
  mistakeOf(handler: KafkaHandler): BrokerError | undefined {
    const nameBytes = longestDecodedName();
    if (nameBytes > NAME_BYTES_MAX) {
      const message = `A name of ${nameBytes} bytes in the request is longer than ${NAME_BYTES_MAX} bytes`;
      return new BrokerError('INVALID_REQUEST', message);
    }
    const entries = decodedElements();
    const { adminRequestEntriesMax } = this.limits;
    if (!handler.isAdmin || entries <= adminRequestEntriesMax) return undefined;
    const message = `${entries} entries in one request are more than ${adminRequestEntriesMax}`;
    return new BrokerError('INVALID_REQUEST', message);
  }

  /** Ends a request without its handler: with an answer, or, where nobody reads one, with its connection. */
  refuse(exchange: PendingExchange, request: unknown, error: BrokerError): void {
    if (ruleOf(exchange.handler.api).isSilent?.(request) === true) exchange.closeConnection(error.message);
    else exchange.refuse(request, error);
  }

  /** A number that changes from turn to turn. */
  turn(): number {
    if (!this.#turnEnds) {
      this.#turnEnds = true;
      this.loop.afterTurn(this.#endTurn);
    }
    return this.#turn;
  }

  readonly #endTurn = (): void => {
    this.#turn++;
    this.#turnEnds = false;
  };

  /** Who holds more than its guaranteed share waits until its peer has read. */
  get encodedUnderPressure(): boolean {
    return this.encodedBytes > this.limits.responseBytesInFlightMax;
  }
}

import { encodeResponse } from '@polylog/kafka-protocol';

import { BrokerError } from '../../errors.ts';
import type { ClientAllowance } from '../../quotas/client-quotas.ts';
import type { SubjectAccess } from '../../security/authorizer.ts';
import { UNLIMITED, type Access } from '../../security/types.ts';
import { errorCodeOf } from './errors.ts';
import type { ConnectionFacts, Exchange, KafkaHandler, RecordsHole, Waiter } from './handler.ts';
import { withThrottleTime } from './session-throttle.ts';

/** What an exchange asks of the session it belongs to. */
export interface ExchangeOwner {
  readonly facts: ConnectionFacts;
  /** What its principal may do, once that was asked for. */
  subject: SubjectAccess | undefined;
  /** The exchange has its response, or needs none. */
  answered(exchange: PendingExchange): void;
  /** Ends the connection for something the peer did: in the place of this exchange's answer, and behind those before it. */
  refuse(reason: string, detail: Readonly<Record<string, unknown>>, instead: PendingExchange): void;
  /** Ends it in the same place for something the broker did wrong. */
  broken(error: unknown, exchange: PendingExchange): void;
  hold(): () => void;
  /** Reads nothing of the connection for so long. */
  throttle(ms: number): void;
  /** Nothing more is looked at: the connection ends behind a response that is to come. */
  ending(): void;
}

const NO_CHUNKS: readonly Uint8Array[] = [];
const NO_HOLES: readonly RecordsHole[] = [];

/** One request between its decoding and the moment when its response is handed to the socket. */
export class PendingExchange implements Exchange<unknown> {
  readonly handler: KafkaHandler;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  /** Monotonic time at which its bytes were parsed. */
  readonly receivedMs: number;
  waiter: Waiter | undefined = undefined;
  allowance: ClientAllowance | undefined = undefined;
  throttleMs = 0;
  access: Access = UNLIMITED;
  /** What becomes of the handler's answer before it is encoded. */
  reshape: ((body: unknown) => unknown) | undefined = undefined;
  /** Why the connection ends instead of an exchange without a response. */
  closesAfterwards: string | undefined = undefined;
  /** The encoded response once `answered`; empty if the request wants none. */
  chunks: readonly Uint8Array[] = NO_CHUNKS;
  holes: readonly RecordsHole[] = NO_HOLES;
  answered = false;
  /** Of the encoded response, without its holes. */
  encodedBytes = 0;
  /** Why the connection ends behind the response, if it does. */
  closes: { readonly reason: string; readonly detail: Readonly<Record<string, unknown>> } | undefined =
    undefined;
  /** Whether the response says that the request as a whole failed; for the metrics. */
  failed = false;
  readonly #owner: ExchangeOwner;
  #abandoned = false;

  constructor(
    owner: ExchangeOwner,
    handler: KafkaHandler,
    header: { version: number; correlationId: number; clientId: string; receivedMs: number },
  ) {
    this.#owner = owner;
    this.handler = handler;
    this.version = header.version;
    this.correlationId = header.correlationId;
    this.clientId = header.clientId;
    this.receivedMs = header.receivedMs;
  }

  get connection(): ConnectionFacts {
    return this.#owner.facts;
  }

  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** Runs the handler; whatever it does, the exchange is answered in the end or its connection is closed. */
  run(request: unknown): void {
    try {
      const result = this.handler.handle(request, this);
      if (result === undefined) return;
      if (result instanceof Promise) {
        result.then(
          (body) => this.respond(body),
          (error: unknown) => this.#fail(request, error),
        );
        return;
      }
      this.respond(result);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  respond(body: unknown): void {
    this.respondWithHoles(body, NO_HOLES);
  }

  respondWithHoles(body: unknown, holes: readonly RecordsHole[]): void {
    if (this.answered) throw new Error(`${this.handler.api.name}: answered twice`);
    if (this.#abandoned) {
      releaseHoles(holes);
      return;
    }
    const { handler, version, throttleMs } = this;
    try {
      const whole = this.reshape === undefined ? body : this.reshape(body);
      const told = throttleMs > 0 ? withThrottleTime(handler, version, whole, throttleMs) : whole;
      this.chunks = this.encode(told);
    } catch (error) {
      // A response that its own schema refuses is a bug; other connections shall not pay for it.
      releaseHoles(holes);
      this.#owner.broken(error, this);
      return;
    }
    this.holes = holes;
    for (const chunk of this.chunks) this.encodedBytes += chunk.length;
    for (const hole of holes) this.encodedBytes -= hole.placeholder.length;
    this.#finish();
  }

  throttle(ms: number): void {
    this.throttleMs = Math.max(this.throttleMs, ms);
    if (!this.#abandoned) this.#owner.throttle(ms);
  }

  protected encode(body: unknown): readonly Uint8Array[] {
    return encodeResponse(this.handler.api, this.version, this.correlationId, body as never);
  }

  respondNothing(): void {
    if (this.closesAfterwards !== undefined) this.closeConnection(this.closesAfterwards);
    else if (!this.#abandoned) this.#finish();
  }

  closeConnection(reason: string): void {
    if (!this.#abandoned) this.#owner.refuse(reason, { api: this.handler.api.name }, this);
  }

  closeAfterResponse(reason: string, detail: Readonly<Record<string, unknown>>): void {
    this.closes = { reason, detail };
    this.failed = true;
    this.#owner.ending();
  }

  holdFurtherRequests(): () => void {
    return this.#owner.hold();
  }

  /** The connection is gone. */
  abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    const { waiter } = this;
    this.waiter = undefined;
    releaseHoles(this.holes);
    this.holes = NO_HOLES;
    waiter?.abandoned();
  }

  #finish(): void {
    this.answered = true;
    this.waiter = undefined;
    this.#owner.answered(this);
  }

  /** Answers it without its handler. */
  refuse(request: unknown, error: BrokerError): void {
    this.#fail(request, error);
  }

  #fail(request: unknown, error: unknown): void {
    if (this.#abandoned) return;
    this.failed = true;
    if (this.answered) {
      this.#owner.broken(error, this);
      return;
    }
    try {
      if (error instanceof BrokerError) {
        this.respond(this.handler.failure(request, errorCodeOf(error.code), error.message, this.version));
        return;
      }
      this.#owner.broken(error, this);
    } catch (second) {
      this.#owner.broken(second, this);
    }
  }
}

export function releaseHoles(holes: readonly RecordsHole[]): void {
  for (const hole of holes) hole.source.release();
}

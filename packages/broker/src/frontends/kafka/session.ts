import { MalformedError, Reader } from '@polylog/bytes';
import { decodedElements, decodeRequestHeader } from '@polylog/kafka-protocol';

import type { Connection, ConnectionHandler } from '../../platform/network.ts';
import { PendingExchange, type ExchangeOwner } from './exchange.ts';
import type { SubjectAccess } from '../../security/authorizer.ts';
import type { ConnectionFacts } from './handler.ts';
import type { FrameAssembly } from './frame-assembly.ts';
import { LengthPrefix } from './length-prefix.ts';
import type { Pipeline } from './pipeline.ts';
import { rawTokenExchange } from './raw-token-exchange.ts';
import { ResponseStream, type UnsentBuffer } from './response-stream.ts';
import type { SaslDialogue } from './sasl-dialogue.ts';
import { logFieldsOf, type Chunk, type Lent } from './session-parts.ts';
import * as waits from './session-waits.ts';
import type { SessionListener } from './session-listener.ts';
import { SessionDeadlines } from './session-deadlines.ts';
import { SessionThrottle } from './session-throttle.ts';

/**
 * One client connection: cuts its bytes into frames, runs them through the pipeline, and sends the responses in the order of
 * the requests, whichever is ready first.
 */
export class Session implements ConnectionHandler, ExchangeOwner {
  readonly facts: ConnectionFacts;
  subject: SubjectAccess | undefined = undefined;
  readonly #pipeline: Pipeline;
  readonly #listener: SessionListener;
  readonly #connection: Connection;
  readonly #chunks: Chunk[] = [];
  #assembly: FrameAssembly | undefined;
  /** Of the frames that spanned chunks: a steady producer's next one will hardly be larger. */
  #largestFrameBytes = 0;
  readonly #prefix = new LengthPrefix();
  #waits = 0;
  #holds = 0;
  #readingPaused = false;
  #parsing = false;
  /** The first chunk is in use further up the stack. */
  #stepping = false;
  /** What the request that is being handled was parsed from. */
  #dispatching: Lent | undefined;
  /** Which turn #parsedBytes belongs to. */
  #turn = -1;
  #parsedBytes = 0;
  /** In the order of the requests. */
  readonly #pending: PendingExchange[] = [];
  /** Encoded responses that wait for their turn. */
  #encodedBytes = 0;
  /** Those, and what was written since the socket had taken everything: its part of the pipeline's encodedBytes. */
  #heldBytes = 0;
  #stream: ResponseStream | undefined;
  readonly #unsent: UnsentBuffer[] = [];
  /** It closes once what is pending has been answered; what still comes is dropped. */
  #ending = false;
  #closed = false;

  readonly #deadlines: SessionDeadlines;
  /** Made when a quota is first met. */
  #throttle: SessionThrottle | undefined;

  constructor(pipeline: Pipeline, listener: SessionListener, connection: Connection, facts: ConnectionFacts) {
    this.#pipeline = pipeline;
    this.#listener = listener;
    this.#connection = connection;
    this.facts = facts;
    this.#deadlines = new SessionDeadlines(pipeline.limits, pipeline.clock.monotonicMs());
  }

  /** Starts delivery. */
  start(serving: boolean): void {
    this.#connection.start(this);
    if (!serving) this.#block(waits.FOR_SERVE);
  }

  serve(): void {
    this.#unblock(waits.FOR_SERVE);
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  // ConnectionHandler

  data(bytes: Uint8Array, release: () => void): void {
    if (this.#closed || this.#ending || bytes.length === 0) {
      release();
      return;
    }
    this.#listener.counters.bytesReceived += bytes.length;
    this.#deadlines.received(bytes.length, this.#pipeline.clock.monotonicMs());
    this.#chunks.push({ bytes, release, at: 0, kept: false, holds: 0, parsed: false });
    if (this.#waits === 0 && !this.#parsing) this.#parse();
  }

  drained(): void {
    this.#deadlines.drained(this.#pipeline.clock.monotonicMs());
    this.#freeUnsent();
    // A stream still has chunks that it has not written.
    if (this.#stream === undefined) this.#holdBytes(this.#encodedBytes - this.#heldBytes);
    else this.#stream.drained();
    this.#unblock(waits.FOR_DRAIN);
    this.#unblockMemory();
  }

  closed(error: Error | undefined): void {
    if (this.#closed) return;
    if (error !== undefined) {
      this.#pipeline.logger.debug({ ...logFieldsOf(this.facts), error: error.message }, 'connection failed');
    }
    this.#teardown();
  }

  /** Ends it once what is under way has been sent, or at once. */
  close(how: 'flush' | 'now'): void {
    if (this.#closed) return;
    if (how === 'now') this.#connection.destroy();
    else this.#connection.close();
    this.#teardown();
  }

  #teardown(): void {
    this.#closed = true;
    this.#throttle?.cancel();
    this.#dropUnparsed();
    this.#stream?.abort();
    this.#stream = undefined;
    for (const exchange of this.#pending.splice(0)) exchange.abandon();
    this.#freeUnsent();
    this.#holdBytes(-this.#heldBytes);
    if (this.#pipeline.sessions.delete(this)) this.#listener.counters.open--;
  }

  // ExchangeOwner

  answered(exchange: PendingExchange): void {
    if (this.#closed) return;
    this.#encodedBytes += exchange.encodedBytes;
    this.#holdBytes(exchange.encodedBytes);
    if (this.#holdsTooMuch) this.#block(waits.FOR_MEMORY);
    if (this.#encodedBytes > this.#pipeline.limits.unsentBytesPerConnectionMax)
      this.#block(waits.FOR_EARLIER);
    if (!this.#parsing && this.#pending[0] === exchange) this.#sendReady();
  }

  refuse(reason: string, detail: Readonly<Record<string, unknown>> = {}, instead?: PendingExchange): void {
    if (this.#closed) return;
    this.#pipeline.limitedLog.warn({ ...logFieldsOf(this.facts), ...detail, reason }, 'closed a connection');
    this.#endAt(instead);
  }

  broken(error: unknown, exchange: PendingExchange): void {
    exchange.handler.metrics.errors++;
    this.#pipeline.logger.error(
      { ...logFieldsOf(this.facts), api: exchange.handler.api.name, version: exchange.version, error },
      'a request met a bug; its connection is closed',
    );
    this.#endAt(exchange);
  }

  /** Closes it in the place of an answer, or behind the last: the requests before may have been carried out, and are answered. */
  #endAt(instead: PendingExchange | undefined): void {
    if (this.#closed) return;
    const first = instead === undefined ? -1 : this.#pending.indexOf(instead);
    for (const dropped of first < 0 ? [] : this.#pending.splice(first)) {
      this.#encodedBytes -= dropped.encodedBytes;
      dropped.abandon();
    }
    this.#ending = true;
    this.#waits |= waits.FOR_END;
    this.#dropUnparsed();
    // What is pending may wait for days: that the peer is gone is seen by reading on.
    this.#resumeReading();
    if (!this.#parsing) this.#sendReady();
  }

  throttle(ms: number): void {
    if (this.#closed) return;
    this.#throttled.wait(ms, this.#pipeline.clock.monotonicMs());
    this.#block(waits.FOR_QUOTA);
  }

  /** Serves nothing, and closes it then. */
  closeAfter(ms: number): void {
    this.#block(waits.FOR_QUOTA);
    const close = (): void => this.close('now');
    this.#throttle = new SessionThrottle(this.#pipeline.timers, close);
    this.#throttle.wait(ms, this.#pipeline.clock.monotonicMs());
  }

  get #throttled(): SessionThrottle {
    const over = (): void => this.#unblock(waits.FOR_QUOTA);
    this.#throttle ??= new SessionThrottle(this.#pipeline.timers, over);
    return this.#throttle;
  }

  hold(): () => void {
    const lent = this.#dispatching;
    if (lent === undefined) throw new Error('only a request that is being handled can hold those behind it');
    lent.holds++;
    this.#holds++;
    this.#block(waits.FOR_HOLD);
    let held = true;
    return () => {
      if (!held) throw new Error('a hold was released twice');
      held = false;
      lent.holds--;
      if (lent.parsed) this.#giveBack(lent);
      if (--this.#holds === 0) this.#unblock(waits.FOR_HOLD);
    };
  }

  ending(): void {
    this.#block(waits.FOR_END);
  }

  /** Closes the connection if one of its deadlines has passed. Called about once a second. */
  sweep(nowMs: number): void {
    this.#unblockMemory();
    if (this.#closed) return;
    if (this.facts.sasl?.isAuthenticated === true) this.#deadlines.isAccepted = true;
    const overdue = this.#deadlines.overdue(nowMs, {
      isServed: (this.#waits & waits.FOR_SERVE) === 0,
      paused: this.#waits === 0 ? 'no' : (this.#waits & ~waits.FOR_PEER) === 0 ? 'by-peer' : 'by-broker',
      owesResponses: this.#pending.length > 0,
      frame: this.#assembly !== undefined || this.#prefix.isPartial,
      holdsMemory: this.#assembly !== undefined && this.#assembly.heldBytes > 0,
      underPressure: this.#pipeline.frames.underPressure,
      unsentUnderPressure: this.#holdsTooMuch,
    });
    if (overdue === undefined) return;
    this.#pipeline.logger.debug(
      { ...logFieldsOf(this.facts), reason: overdue },
      'closed a connection past its deadline',
    );
    this.close('now');
  }

  #holdBytes(bytes: number): void {
    this.#heldBytes += bytes;
    this.#pipeline.encodedBytes += bytes;
  }

  get #holdsTooMuch(): boolean {
    const { encodedUnderPressure, limits } = this.#pipeline;
    return encodedUnderPressure && this.#heldBytes > limits.encodedBytesGuaranteed;
  }

  #unblockMemory(): void {
    if (!this.#holdsTooMuch) this.#unblock(waits.FOR_MEMORY);
  }

  // Receiving

  #block(why: number): void {
    this.#waits |= why;
    if (this.#readingPaused || this.#ending || this.#closed) return;
    this.#readingPaused = true;
    this.#connection.pauseReading();
  }

  #unblock(why: number): void {
    if ((this.#waits & why) === 0) return;
    this.#waits &= ~why;
    if (this.#waits === 0 && !this.#parsing && !this.#closed) this.#parse();
  }

  readonly #nextTurn = (): void => {
    this.#unblock(waits.FOR_TURN);
  };

  #parse(): void {
    this.#parsing = true;
    do {
      this.#parseChunks();
      // Responses that go out may be what the next requests were waiting for.
      this.#sendReady();
    } while (this.#waits === 0 && this.#chunks.length > 0);
    this.#parsing = false;
    if (this.#waits === 0) this.#resumeReading();
  }

  #resumeReading(): void {
    if (!this.#readingPaused || this.#closed) return;
    this.#readingPaused = false;
    // The silence so far was the broker's doing.
    this.#deadlines.readingResumed(this.#pipeline.clock.monotonicMs());
    this.#connection.resumeReading();
  }

  #parseChunks(): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined && this.#waits === 0; chunk = this.#chunks[0]) {
      const before = chunk.at;
      this.#stepping = true;
      this.#step(chunk);
      this.#stepping = false;
      if (chunk.at === chunk.bytes.length || this.#ending || this.#closed) {
        this.#chunks.shift();
        this.#giveBack(chunk);
      }
      if (this.#closed) return;
      this.#account(chunk.at - before);
    }
  }

  #account(bytes: number): void {
    const turn = this.#pipeline.turn();
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#parsedBytes = 0;
    }
    this.#parsedBytes += bytes;
    if (this.#parsedBytes < this.#pipeline.limits.parseBytesPerTurnMax) return;
    this.#parsedBytes = 0;
    this.#block(waits.FOR_TURN);
    this.#pipeline.loop.afterTurn(this.#nextTurn);
  }

  #dropUnparsed(): void {
    this.#assembly?.release();
    this.#assembly = undefined;
    for (const chunk of this.#chunks.splice(this.#stepping ? 1 : 0)) this.#giveBack(chunk);
  }

  /** Nothing more is parsed from it. */
  #giveBack(lent: Lent): void {
    lent.parsed = true;
    if (lent.holds > 0) return;
    // The turn's write is registered by the first append, which came before: it runs first.
    if (lent.kept) this.#pipeline.loop.afterTurn(lent.release);
    else lent.release();
  }

  /** Takes one frame, or what the chunk has of one. */
  #step(chunk: Chunk): void {
    const assembly = this.#assembly;
    if (assembly !== undefined) {
      this.#assemble(assembly, chunk);
      return;
    }
    const frameBytes = this.#prefix.take(chunk);
    if (frameBytes === undefined) return;
    const { sasl } = this.facts;
    const usualMax = this.#pipeline.limits.requestBytesMax;
    const requestBytesMax = sasl === undefined ? usualMax : sasl.frameBytesMax(usualMax);
    if (frameBytes < 0 || frameBytes > requestBytesMax) {
      this.refuse('a frame length is out of bounds', { frameBytes, requestBytesMax });
      return;
    }
    const { bytes, at } = chunk;
    if (bytes.length - at >= frameBytes) {
      chunk.at = at + frameBytes;
      this.#dispatch(bytes, at, at + frameBytes, chunk);
      return;
    }
    this.#assembly = this.#pipeline.frames.begin(frameBytes, this.#largestFrameBytes);
    this.#deadlines.frameBegins(this.#pipeline.clock.monotonicMs());
  }

  readonly #roomCame = (): void => {
    this.#unblock(waits.FOR_BUDGET);
  };

  #assemble(assembly: FrameAssembly, chunk: Chunk): void {
    if (!assembly.hasRoom(this.#roomCame)) {
      this.#block(waits.FOR_BUDGET);
      return;
    }
    chunk.at += assembly.fill(chunk.bytes, chunk.at);
    if (!assembly.isWhole) return;
    this.#assembly = undefined;
    this.#largestFrameBytes = Math.max(this.#largestFrameBytes, assembly.frameBytes);
    const whole: Lent = { kept: false, holds: 0, parsed: false, release: () => assembly.release() };
    this.#dispatch(assembly.bytes, 0, assembly.frameBytes, whole);
    this.#giveBack(whole);
  }

  /** Runs one request, and marks its bytes if they are needed to the end of the turn. */
  #dispatch(bytes: Uint8Array, start: number, end: number, lent: Lent): void {
    const { sasl } = this.facts;
    if (sasl?.takesRawTokens === true) {
      this.#rawToken(sasl, bytes.subarray(start, end), lent);
      return;
    }
    this.#deadlines.isAccepted = sasl === undefined || sasl.isAuthenticated;
    let exchange: PendingExchange;
    let request: unknown;
    try {
      const reader = new Reader(bytes, start, end);
      const header = decodeRequestHeader(reader);
      const clientId = header.clientId ?? '';
      if (clientId.length > this.#pipeline.limits.clientIdLengthMax) {
        this.refuse('the client id is too long', { clientIdLength: clientId.length });
        return;
      }
      const handler = this.#pipeline.handlerOf(header.apiKey);
      if (handler === undefined) {
        this.refuse('an API that is not served', { apiKey: header.apiKey, version: header.apiVersion });
        return;
      }
      const early = sasl?.refusal(header.apiKey);
      if (early !== undefined) {
        this.refuse(early, { api: handler.api.name });
        return;
      }
      exchange = new PendingExchange(this, handler, {
        version: header.apiVersion,
        correlationId: header.correlationId,
        clientId,
        receivedMs: this.#deadlines.activeMs,
      });
      if (header.apiVersion < handler.versionMin || header.apiVersion > handler.versionMax) {
        this.#unsupported(exchange);
        return;
      }
      request = handler.api.request.decode(reader, header.apiVersion);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.refuse('a malformed request', { error: error.message, frameBytes: end - start });
      return;
    }
    const entries = decodedElements();
    if (entries > this.#pipeline.limits.requestEntriesMax) {
      this.refuse('a request with too many entries', { api: exchange.handler.api.name, entries });
      return;
    }
    this.#pending.push(exchange);
    if (this.#pending.length >= this.#pipeline.limits.requestsInFlightPerConnectionMax) {
      this.#block(waits.FOR_RESPONSES);
    }
    if (exchange.handler.keepsBytes) lent.kept = true;
    this.#dispatching = lent;
    const mistake = this.#pipeline.mistakeOf(exchange.handler);
    if (mistake === undefined) this.#run(exchange, request, end - start);
    else this.#pipeline.refuse(exchange, request, mistake);
    this.#dispatching = undefined;
  }

  #run(exchange: PendingExchange, request: unknown, frameBytes: number): void {
    const { quotas, clock } = this.#pipeline;
    if (quotas?.enabled !== true || this.facts.sasl?.isLogin(exchange.handler.api.key) === true) {
      this.#pipeline.admit(this, exchange, request);
      return;
    }
    this.#throttled.charge(quotas, exchange, this.facts.principal.name, frameBytes);
    const startedMs = clock.monotonicMs();
    this.#pipeline.admit(this, exchange, request);
    exchange.allowance?.spent(clock.monotonicMs() - startedMs);
  }

  /** After SaslHandshake v0 there is no request around a message of the mechanism. */
  #rawToken(sasl: SaslDialogue, authBytes: Uint8Array, lent: Lent): void {
    const exchange = rawTokenExchange(this, this.#pipeline, this.#deadlines.activeMs);
    this.#deadlines.isAccepted = sasl.isAuthenticated;
    this.#pending.push(exchange);
    this.#dispatching = lent;
    exchange.run({ authBytes });
    this.#dispatching = undefined;
  }

  /** KIP-511: a client may be newer than the broker, and learns from the refusal in v0 what the broker speaks. */
  #unsupported(exchange: PendingExchange): void {
    const { handler, version } = exchange;
    const refusal = handler.unsupportedVersion?.(version);
    if (refusal === undefined) {
      this.refuse('a version that is not served', { api: handler.api.name, version });
      return;
    }
    const { correlationId, clientId, receivedMs } = exchange;
    const inVersion = new PendingExchange(this, handler, {
      version: refusal.version,
      correlationId,
      clientId,
      receivedMs,
    });
    this.#pending.push(inVersion);
    inVersion.failed = true;
    inVersion.respond(refusal.body);
  }

  // Sending

  /** Hands all responses that are ready and next in order to the socket, in one write. */
  #sendReady(): void {
    if (this.#closed || this.#stream !== undefined) return;
    const head = this.#pending[0];
    if (head === undefined ? !this.#ending : !head.answered) return;
    const nowMs = this.#pipeline.clock.monotonicMs();
    let out: readonly Uint8Array[] = [];
    let merged = false;
    for (let next = this.#pending[0]; next?.answered === true; next = this.#pending[0]) {
      this.#pending.shift();
      this.#encodedBytes -= next.encodedBytes;
      next.handler.metrics.observe(nowMs - next.receivedMs);
      if (next.failed) next.handler.metrics.errors++;
      if (next.closes !== undefined) {
        this.#write([...out, ...next.chunks], nowMs);
        this.refuse(next.closes.reason, next.closes.detail, this.#pending[0]);
        this.close('flush');
        return;
      }
      if (next.holes.length > 0) {
        this.#write(out, nowMs);
        this.#startStream(next);
        return;
      }
      if (next.chunks.length === 0) continue;
      if (out.length === 0) out = next.chunks;
      else {
        if (!merged) out = [...out];
        merged = true;
        (out as Uint8Array[]).push(...next.chunks);
      }
    }
    this.#write(out, nowMs);
    if (this.#ending && this.#pending.length === 0) this.close('flush');
    else this.#unblockResponses();
  }

  #unblockResponses(): void {
    const { requestsInFlightPerConnectionMax, unsentBytesPerConnectionMax } = this.#pipeline.limits;
    if (this.#encodedBytes <= unsentBytesPerConnectionMax) this.#unblock(waits.FOR_EARLIER);
    if (this.#pending.length < requestsInFlightPerConnectionMax) this.#unblock(waits.FOR_RESPONSES);
  }

  #write(chunks: readonly Uint8Array[], nowMs: number): void {
    if (chunks.length === 0) return;
    this.#deadlines.wrote(nowMs);
    this.#countSent(chunks);
    const bufferedBytes = this.#connection.write(chunks);
    if (bufferedBytes > this.#pipeline.limits.unsentBytesPerConnectionMax) this.#block(waits.FOR_DRAIN);
  }

  #countSent(chunks: readonly Uint8Array[]): void {
    let bytes = 0;
    for (let index = 0; index < chunks.length; index++) bytes += chunks[index]!.length;
    this.#listener.counters.bytesSent += bytes;
  }

  #startStream(exchange: PendingExchange): void {
    const { chunks, holes } = exchange;
    exchange.holes = [];
    this.#countSent(chunks);
    const stream = new ResponseStream({
      connection: this.#connection,
      budget: this.#pipeline.responseBudget,
      pool: this.#pipeline.pool,
      loop: this.#pipeline.loop,
      chunks,
      holes,
      taken: () => this.#deadlines.wrote(this.#pipeline.clock.monotonicMs()),
      unsent: (buffer) => {
        this.#deadlines.wrote(this.#pipeline.clock.monotonicMs());
        this.#unsent.push(buffer);
        if (this.#closed) this.#freeUnsent();
      },
      done: () => {
        this.#stream = undefined;
        this.#unblockResponses();
        this.#sendReady();
      },
      failed: (error) => {
        this.#pipeline.logger.error(
          { ...logFieldsOf(this.facts), error },
          'could not read records for a response',
        );
        this.close('now');
      },
    });
    this.#stream = stream;
    stream.start();
  }

  #freeUnsent(): void {
    if (this.#unsent.length === 0) return;
    for (const { buffer, chargedBytes } of this.#unsent.splice(0)) {
      this.#pipeline.pool.give(buffer);
      this.#pipeline.responseBudget.give(chargedBytes);
    }
  }
}

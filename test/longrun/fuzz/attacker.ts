import { type Socket } from 'node:net';

import { Reader } from '@polylog/bytes';
import { apis, decodeResponse, encodeRequest } from '@polylog/kafka-protocol';

import { FrameReader, openSocket } from './client.ts';
import type { Expectation } from './expectation.ts';
import type { Findings } from './findings.ts';
import type { Frame, FrameSource } from './frames.ts';
import { ANSWER_MS_MAX } from './waits.ts';

const BURST_FRAMES_MAX = 16;

export interface AttackCounts {
  frames: number;
  /** Frames with a valid size and header, in a version that is served. */
  reachedBody: number;
  answers: number;
  /** Connections that the broker closed, as it had to. */
  closes: number;
  connections: number;
}

export function noCounts(): AttackCounts {
  return { frames: 0, reachedBody: 0, answers: 0, closes: 0, connections: 0 };
}

type Outcome = 'answered' | 'closed' | 'late';

/** One connection with what is expected to come back over it. */
class Attack {
  readonly #socket: Socket;
  readonly #findings: Findings;
  readonly #counts: AttackCounts;
  #pending: Frame[] = [];
  #closed = false;
  #settle: ((outcome: Outcome) => void) | undefined;

  constructor(socket: Socket, findings: Findings, counts: AttackCounts) {
    this.#socket = socket;
    this.#findings = findings;
    this.#counts = counts;
    const reader = new FrameReader();
    socket.on('data', (bytes: Buffer) => {
      for (const frame of reader.push(bytes)) this.#answer(frame);
      if (this.#pending.length === 0) this.#settle?.('answered');
    });
    // A reset is one way to close; 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#settle?.('closed');
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends and waits until all is answered, or the connection ends, or it is too late. */
  async send(frames: readonly Frame[], until: 'answered' | 'closed'): Promise<Outcome> {
    this.#pending = frames.filter(({ expectation }) => expectation.kind === 'answer');
    const outcome = new Promise<Outcome>((resolve) => {
      this.#settle = (result) => {
        if (result === until || result !== 'answered') resolve(result);
      };
    });
    const timer = setTimeout(() => this.#settle?.('late'), ANSWER_MS_MAX);
    this.#socket.write(Buffer.concat(frames.map(({ bytes }) => bytes)));
    if (this.#closed) this.#settle?.('closed');
    else if (this.#pending.length === 0) this.#settle?.('answered');
    const result = await outcome;
    clearTimeout(timer);
    this.#settle = undefined;
    return result;
  }

  get pending(): readonly Frame[] {
    return this.#pending;
  }

  destroy(how: 'reset' | 'end'): void {
    if (how === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #answer(bytes: Buffer): void {
    const frame = this.#pending.shift();
    if (frame === undefined) {
      this.#findings.add({ what: 'an answer that nobody asked for', title: '', hex: bytes.toString('hex') });
      return;
    }
    this.#counts.answers++;
    const fault = faultOf(bytes, frame.expectation);
    if (fault !== undefined) this.#findings.addFrame(fault, frame, bytes);
  }
}

function faultOf(bytes: Buffer, expectation: Expectation): string | undefined {
  if (expectation.kind !== 'answer') return 'an answer to a frame that has none';
  const { api, version } = expectation;
  const reader = new Reader(bytes);
  try {
    const { correlationId } = decodeResponse(api, version, reader);
    if (correlationId !== expectation.correlationId) return 'an answer with another correlation id';
  } catch (error) {
    return `an answer that does not decode: ${String(error)}`;
  }
  return reader.remaining === 0 ? undefined : `an answer with ${reader.remaining} bytes too many`;
}

/** Sends frames of the source over one connection after another until `take` says that there are enough. */
export async function attack(options: {
  readonly port: number;
  readonly source: Pick<FrameSource, 'next'>;
  readonly findings: Findings;
  readonly counts: AttackCounts;
  /** Asks for so many frames; returns how many may be sent. */
  readonly take: (wanted: number) => number;
}): Promise<void> {
  const { port, source, findings, counts, take } = options;
  let connection: Attack | undefined;
  for (let granted = take(BURST_FRAMES_MAX); granted > 0; granted = take(BURST_FRAMES_MAX)) {
    for (let left = granted; left > 0;) {
      const burst = nextBurst(source, left);
      left -= burst.length;
      counts.frames += burst.length;
      for (const frame of burst) if (frame.reachesBody) counts.reachedBody++;
      if (connection === undefined || connection.closed) {
        counts.connections++;
        const socket = await openSocket(port).catch((error: unknown) => String(error));
        if (typeof socket === 'string') {
          findings.add({ what: 'no connection', title: socket, hex: '' });
          return;
        }
        connection = new Attack(socket, findings, counts);
      }
      if (!(await runBurst(connection, burst, findings, counts))) connection = undefined;
    }
  }
  connection?.destroy('end');
}

/** Frames that are all answered, but for the last one. */
function nextBurst(source: Pick<FrameSource, 'next'>, max: number): Frame[] {
  const burst: Frame[] = [];
  while (burst.length < max) {
    const frame = source.next();
    burst.push(frame);
    if (frame.expectation.kind !== 'answer') break;
  }
  return burst;
}

/** Returns whether the connection is still of use. */
async function runBurst(
  attacking: Attack,
  burst: readonly Frame[],
  findings: Findings,
  counts: AttackCounts,
): Promise<boolean> {
  const last = burst.at(-1)!;
  // A connection that is closed for a fault drops what is not answered yet, so that comes first.
  const before = last.expectation.kind === 'answer' ? burst : burst.slice(0, -1);
  if (before.length > 0) {
    const outcome = await attacking.send(before, 'answered');
    if (outcome !== 'answered') {
      const [culprit] = attacking.pending;
      const what = outcome === 'late' ? 'no answer' : 'the connection closed instead of an answer';
      if (culprit !== undefined) findings.addFrame(what, culprit);
      attacking.destroy('end');
      return false;
    }
  }
  switch (last.expectation.kind) {
    case 'answer':
      return true;
    case 'wait':
      await attacking.send([last], 'answered');
      attacking.destroy(last.bytes.length % 2 === 0 ? 'reset' : 'end');
      return false;
    case 'silence': {
      const outcome = await attacking.send([last, PROBE], 'answered');
      if (outcome === 'late') findings.addFrame('no answer to the request behind one with acks=0', last);
      if (outcome === 'closed') counts.closes++;
      return outcome === 'answered';
    }
    case 'close': {
      const outcome = await attacking.send([last], 'closed');
      counts.closes++;
      if (outcome === 'late') findings.addFrame('the connection stays open after a malformed request', last);
      attacking.destroy('end');
      return false;
    }
  }
}

const PROBE_CORRELATION_ID = 0x50524f42;
const PROBE: Frame = {
  bytes: Buffer.concat(encodeRequest(apis.apiVersions, 0, PROBE_CORRELATION_ID, 'probe', {})),
  expectation: { kind: 'answer', api: apis.apiVersions, version: 0, correlationId: PROBE_CORRELATION_ID },
  reachesBody: true,
  title: 'ApiVersions v0',
};

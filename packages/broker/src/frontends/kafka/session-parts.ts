import { ANONYMOUS, principalName } from '../../security/principal.ts';
import type { ConnectionFacts } from './handler.ts';

/** Bytes that requests are parsed from. */
export interface Lent {
  /** A request in them keeps them to the end of the turn. */
  kept: boolean;
  /** Requests that left the turn and still need them. */
  holds: number;
  /** Parsed to its end: to be given back when nobody holds it any more. */
  parsed: boolean;
  readonly release: () => void;
}

/** Bytes on loan from the connection. */
export interface Chunk extends Lent {
  readonly bytes: Uint8Array;
  at: number;
}

/** What is said of a connection in the log. */
export function logFieldsOf({
  id,
  listener,
  remoteAddress,
  remotePort,
  principal,
}: ConnectionFacts): Record<string, unknown> {
  return {
    connection: id,
    listener,
    remoteAddress,
    remotePort,
    ...(principal === ANONYMOUS ? {} : { principal: principalName(principal) }),
  };
}

import type { SASL_MECHANISMS } from '../config/listener-definitions.ts';
import type { Principal } from './principal.ts';

/** RFC 4616, 5802, 7677, 7628. Which of them a listener offers is its setting. */
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

/** What comes of one message of a peer. */
export type SaslStep =
  /** The peer has to say more. */
  { readonly kind: 'challenge'; readonly message: Uint8Array } | SaslSuccess | SaslRefusal;

export interface SaslSuccess {
  readonly kind: 'done';
  /** The last message for the peer; may be empty. */
  readonly message: Uint8Array;
  readonly principal: Principal;
  /** Wall-clock milliseconds at which what the peer showed expires, if it does. */
  readonly expiresAtMs: number | undefined;
}

export interface SaslRefusal {
  readonly kind: 'refused';
  /** For the log. */
  readonly reason: string;
  /** For the peer: it does not say whether there is such a user. */
  readonly answer: string;
  /** Who it claimed to be, if it said. */
  readonly user: string | undefined;
}

/** One attempt of a peer to say who it is. */
export interface SaslExchange {
  /** Takes the peer's next message, which may change once this has returned. To be called again only after a challenge. */
  next(message: Uint8Array): SaslStep | Promise<SaslStep>;
}

/** Names and passwords beyond it are refused unread: it bounds what is hashed, stored and logged. UTF-8. */
export const USER_NAME_BYTES_MAX = 256;
export const PASSWORD_BYTES_MAX = 1024;

import { saslAuthenticate } from '@polylog/kafka-protocol';

import { principalName } from '../../../security/principal.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type Exchange, type KafkaHandler, type KafkaServices } from '../handler.ts';
import type { SaslDialogue } from '../sasl-dialogue.ts';

const NO_BYTES = new Uint8Array(0);

/**
 * SaslAuthenticate v0-v2 (KIP-152, KIP-368).
 *
 * - A failure is answered 58 after `connection.failed.authentication.delay.ms`, and the connection is closed behind it.
 * - From v1 on the answer says after how long the client has to authenticate again.
 * - On a listener without SASL, and without a SaslHandshake, it is answered 34.
 */
export function saslAuthenticateHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: saslAuthenticate,
    versions: [0, 2],
    handle({ authBytes }, exchange) {
      const { sasl } = exchange.connection;
      if (sasl !== undefined) return authenticate(services, sasl, authBytes, exchange);
      return failure(
        errorCodeOf('ILLEGAL_SASL_STATE'),
        'SaslAuthenticate request received on a listener without SASL',
      );
    },
    failure: (_request, errorCode, errorMessage) => failure(errorCode, errorMessage),
  });
}

interface Answer {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly authBytes: Uint8Array;
  readonly sessionLifetimeMs?: number;
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { errorCode, errorMessage, authBytes: NO_BYTES };
}

async function authenticate(
  { logger, timers, failedAuthenticationDelayMs }: KafkaServices,
  sasl: SaslDialogue,
  authBytes: Uint8Array,
  exchange: Exchange<Answer>,
): Promise<Answer> {
  // Nothing that follows may be looked at before it is known who sent it.
  const release = exchange.holdFurtherRequests();
  const outcome = await sasl.token(authBytes);
  if (outcome.kind === 'refused') {
    const { errorCode, answer, reason, user } = outcome;
    // Held until then: guessing shall take its time.
    await new Promise<void>((resolve) => timers.after(failedAuthenticationDelayMs, resolve));
    exchange.closeAfterResponse(`the authentication failed: ${reason}`, { user });
    release();
    return failure(errorCode, answer);
  }
  release();
  const ok = { errorCode: NONE, errorMessage: null, authBytes: outcome.bytes };
  if (outcome.kind === 'challenge') return ok;
  const { id, remoteAddress, listener, principal } = exchange.connection;
  logger.debug(
    { connection: id, remoteAddress, listener, principal: principalName(principal) },
    'authenticated a connection',
  );
  return { ...ok, sessionLifetimeMs: outcome.sessionLifetimeMs };
}

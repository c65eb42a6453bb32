import { saslHandshake } from '@polylog/kafka-protocol';

import { errorCodeOf } from '../errors.ts';
import { defineHandler, type KafkaHandler } from '../handler.ts';

/**
 * SaslHandshake v0-v1 (KIP-43, KIP-152).
 *
 * - A mechanism that is not enabled is answered 33, with those that are, and the connection is closed behind it.
 * - After v0 the mechanism's messages come in frames without a header, after v1 in SaslAuthenticate.
 * - On a listener without SASL, and within a second of the last one, it is answered 34.
 */
export function saslHandshakeHandler(): KafkaHandler {
  return defineHandler({
    api: saslHandshake,
    versions: [0, 1],
    handle({ mechanism }, exchange) {
      const { sasl } = exchange.connection;
      if (sasl === undefined) return { errorCode: errorCodeOf('ILLEGAL_SASL_STATE'), mechanisms: [] };
      const { errorCode, closes } = sasl.handshake(mechanism, exchange.version);
      if (closes !== undefined) {
        exchange.closeAfterResponse(closes, { mechanism: mechanism.slice(0, MECHANISM_SHOWN_MAX) });
      }
      return { errorCode, mechanisms: sasl.mechanisms };
    },
    failure: (_request, errorCode) => ({ errorCode, mechanisms: [] }),
  });
}

const MECHANISM_SHOWN_MAX = 40;

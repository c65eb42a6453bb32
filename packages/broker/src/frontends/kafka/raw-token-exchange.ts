import { saslAuthenticate, type MessageOf } from '@polylog/kafka-protocol';

import { NONE } from './errors.ts';
import { PendingExchange, type ExchangeOwner } from './exchange.ts';
import type { Pipeline } from './pipeline.ts';

const LENGTH_BYTES = 4;

/**
 * A message of a SASL mechanism after SaslHandshake v0, and its answer: both are bare, behind their length. No answer can say that it failed;
 * then the connection just ends.
 */
class RawTokenExchange extends PendingExchange {
  protected override encode(body: unknown): readonly Uint8Array[] {
    const { errorCode, authBytes } = body as MessageOf<typeof saslAuthenticate.response>;
    if (errorCode !== NONE) return [];
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeInt32BE(authBytes.length);
    return [length, authBytes];
  }
}

export function rawTokenExchange(
  owner: ExchangeOwner,
  pipeline: Pipeline,
  receivedMs: number,
): PendingExchange {
  const handler = pipeline.handlerOf(saslAuthenticate.key);
  if (handler === undefined) throw new Error('a SASL handshake without SaslAuthenticate');
  return new RawTokenExchange(owner, handler, { version: 0, correlationId: 0, clientId: '', receivedMs });
}

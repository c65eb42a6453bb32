import { alterUserScramCredentials, type AlterUserScramCredentialsRequest } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { CredentialChange } from '../../../security/users.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { scramMechanism } from '../scram-mechanisms.ts';

/**
 * AlterUserScramCredentials v0 (KIP-554).
 *
 * - Every user has its own outcome: all changes hold, or none. An unknown mechanism is 33, a credential to delete that is not there 91, one that
 *   is changed twice 92, iterations outside of 4096 to 16384, an empty name, or keys of another length 93.
 * - Passwords come salted and are kept as keys; what is in the request is as good as the password, so send it through TLS.
 * - Answered when this broker goes by the new credentials. Connections that are authenticated stay.
 */
export function alterUserScramCredentialsHandler({ users }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: alterUserScramCredentials,
    versions: [0, 0],
    isAdmin: true,
    async handle(request) {
      const { names, changes, unknown } = parsed(request);
      const refused = await users.change(changes.filter(({ user }) => !unknown.has(user)));
      return {
        results: [...names].map((user) => {
          const error = unknown.get(user) ?? refused.get(user);
          if (error === undefined) return { user, errorCode: NONE, errorMessage: null };
          return { user, errorCode: errorCodeOf(error.code), errorMessage: error.message };
        }),
      };
    },
    failure: (request, errorCode, errorMessage) => ({
      results: [...parsed(request).names].map((user) => ({ user, errorCode, errorMessage })),
    }),
  });
}

interface Parsed {
  /** In the order in which they come. */
  readonly names: ReadonlySet<string>;
  readonly changes: readonly CredentialChange[];
  /** Those with a mechanism that there is not. */
  readonly unknown: ReadonlyMap<string, BrokerError>;
}

function parsed({ deletions, upsertions }: AlterUserScramCredentialsRequest): Parsed {
  const names = new Set([...deletions, ...upsertions].map(({ name }) => name));
  const unknown = new Map<string, BrokerError>();
  const changes: CredentialChange[] = [];
  for (const { name: user, mechanism: number } of deletions) {
    const mechanism = scramMechanism(number);
    if (mechanism === undefined) unknown.set(user, unknownMechanism());
    else changes.push({ kind: 'delete', user, mechanism });
  }
  for (const { name: user, mechanism: number, iterations, salt, saltedPassword } of upsertions) {
    const mechanism = scramMechanism(number);
    if (mechanism === undefined) unknown.set(user, unknownMechanism());
    else {
      // Copies: the request's bytes are overwritten before the change is made.
      const [ownSalt, ownPassword] = [new Uint8Array(salt), new Uint8Array(saltedPassword)];
      changes.push({
        kind: 'set',
        user,
        mechanism,
        iterations,
        salt: ownSalt,
        saltedPassword: ownPassword,
      });
    }
  }
  return { names, changes, unknown };
}

function unknownMechanism(): BrokerError {
  return new BrokerError('UNSUPPORTED_SASL_MECHANISM', 'Unknown SCRAM mechanism');
}

import {
  describeUserScramCredentials,
  type DescribeUserScramCredentialsResponseInit,
} from '@polylog/kafka-protocol';

import type { User } from '../../../security/users.ts';
import { errorCodeOf } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { scramMechanismNumber } from '../scram-mechanisms.ts';
import { duplicatesOf, NO_ERROR } from './admin-requests.ts';

type Result = DescribeUserScramCredentialsResponseInit['results'][number];

/**
 * DescribeUserScramCredentials v0 (KIP-554).
 *
 * - No or an empty list asks for all users. Mechanisms and iterations are told, never keys or salts.
 * - A user without a credential is answered 91, one that comes twice 92.
 */
export function describeUserScramCredentialsHandler({ users }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeUserScramCredentials,
    versions: [0, 0],
    isAdmin: true,
    handle(request) {
      const names = (request.users ?? []).map(({ name }) => name);
      if (names.length === 0) return { ...NO_ERROR, results: [...users.users()].map(described) };
      const duplicates = duplicatesOf(names);
      const results = [...new Set(names)].map((name): Result => {
        const problem = `same user twice in a single request: ${name}`;
        if (duplicates.has(name)) {
          return refused(name, 'DUPLICATE_RESOURCE', `Cannot describe SCRAM credentials for the ${problem}`);
        }
        const user = users.get(name);
        if (user !== undefined) return described(user);
        const message = `Attempt to describe a user credential that does not exist: ${name}`;
        return refused(name, 'RESOURCE_NOT_FOUND', message);
      });
      return { ...NO_ERROR, results };
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, results: [] }),
  });
}

function described({ name, iterations }: User): Result {
  const credentialInfos = [...iterations].map(([mechanism, count]) => ({
    mechanism: scramMechanismNumber(mechanism),
    iterations: count,
  }));
  return { user: name, ...NO_ERROR, credentialInfos };
}

function refused(
  user: string,
  error: 'DUPLICATE_RESOURCE' | 'RESOURCE_NOT_FOUND',
  errorMessage: string,
): Result {
  return { user, errorCode: errorCodeOf(error), errorMessage, credentialInfos: [] };
}

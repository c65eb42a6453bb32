import type { ErrorName } from '../../../errors.ts';
import { errorCodeOf, NONE } from '../errors.ts';

/** What the group APIs have in common. */
export function codeOf(error: ErrorName | undefined): number {
  return error === undefined ? NONE : errorCodeOf(error);
}

/** As Kafka shows where a client comes from. */
export function clientHostOf({ remoteAddress }: { readonly remoteAddress: string }): string {
  return `/${remoteAddress}`;
}

/** Request bytes are lent to the handler; what a group keeps is copied. */
export function kept(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

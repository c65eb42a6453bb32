/** Who a connection acts as. The same for every protocol. */
export interface Principal {
  /** `User`, unless a mapping of certificates or tokens makes others. */
  readonly type: string;
  readonly name: string;
}

/** Who has not said who it is. */
export const ANONYMOUS: Principal = { type: 'User', name: 'ANONYMOUS' };

/** As it is written in ACLs, quotas and messages: `User:alice`. */
export function principalName({ type, name }: Principal): string {
  return `${type}:${name}`;
}

import type { BrokerSettings } from '../config/broker-config.ts';
import type { AuthorizerOptions } from './authorizer.ts';

export type AuthorizerSettings = Pick<AuthorizerOptions, 'superUsers' | 'allowIfNoAcl'>;

/** Undefined where access rules are not in force. */
export function authorizerSettingsOf(settings: BrokerSettings): AuthorizerSettings | undefined {
  if (!settings['authorization.enabled'] && settings['authorizer.class.name'] === undefined) return undefined;
  const superUsers = (settings['super.users'] ?? '').split(';').map((principal) => principal.trim());
  return {
    superUsers: new Set(superUsers.filter((principal) => principal !== '')),
    allowIfNoAcl: settings['allow.everyone.if.no.acl.found'],
  };
}

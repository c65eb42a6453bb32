import { boolean, oneOf, optional, pattern } from './definition.ts';

/** Settings of who may do what. */
export const ACCESS_CONFIGS = {
  'authorization.enabled': boolean('authorization.enabled', {
    default: 'false',
    importance: 'high',
    documentation:
      'Whether access rules (ACLs) are in force: what none of them allows is denied then, but to super.users. See docs/security.md.',
  }),
  'authorizer.class.name': optional(
    oneOf('authorizer.class.name', {
      default: null,
      values: [
        'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'kafka.security.authorizer.AclAuthorizer',
      ],
      documentation:
        "The same as authorization.enabled=true, as Kafka's configurations write it; there is one authorizer, whichever is named.",
    }),
  ),
  'super.users': optional(
    pattern('super.users', {
      default: null,
      // A comma may be part of a distinguished name, but not before another principal.
      pattern: /^(?!.*,\s*User:)\s*(?:[^\s:;][^:;]*:[^;]+(?:;\s*|$))*$/,
      legal: 'principals such as User:admin, with semicolons between them',
      importance: 'high',
      documentation: 'Who may do everything, whatever the access rules say: User:admin;User:operator.',
    }),
  ),
  'allow.everyone.if.no.acl.found': boolean('allow.everyone.if.no.acl.found', {
    default: 'false',
    documentation:
      'Whether a resource that no access rule names is open to everyone. The first rule for it closes it to all others.',
  }),
} as const;

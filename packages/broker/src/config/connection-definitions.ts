import { form, integer, optional, secretForm } from './definition.ts';
import { LISTENER_CONFIGS } from './listener-definitions.ts';
import { LISTENERS_FORM, parseSecurityMap, SECURITY_MODES } from './listeners.ts';
import { parseUsers } from './users.ts';

/** Where clients come in, and who they are. */
export const CONNECTION_CONFIGS = {
  listeners: optional(
    form('listeners', {
      ...LISTENERS_FORM,
      default: null,
      documentation:
        'Several listeners instead of the one that `kafka` names, each with a name of its own: `PLAINTEXT://127.0.0.1:9092,SASL_SSL://:9093`.',
    }),
  ),
  'advertised.listeners': optional(
    form('advertised.listeners', {
      ...LISTENERS_FORM,
      default: null,
      documentation:
        'The addresses that clients of each listener are told, where they differ from those of `listeners`.',
    }),
  ),
  'listener.security.protocol.map': form('listener.security.protocol.map', {
    default: '',
    parse: parseSecurityMap,
    legal: `NAME:MODE, several with commas between, where MODE is one of ${SECURITY_MODES.join(', ')}`,
    documentation:
      'How listeners are secured: `kafka:SASL_SSL`. One whose name is a mode, such as SASL_SSL, need not stand here; `kafka` is PLAINTEXT unless it does.',
  }),
  ...LISTENER_CONFIGS,
  'connection.failed.authentication.delay.ms': integer('connection.failed.authentication.delay.ms', {
    type: 'int',
    default: '100',
    min: 0,
    max: 10_000,
    documentation:
      'How long a client whose authentication failed waits for the answer, which closes its connection.',
  }),
  'security.bootstrap.users': optional(
    secretForm('security.bootstrap.users', {
      default: null,
      parse: parseUsers,
      legal: 'NAME=PASSWORD, several with commas between',
      documentation:
        'Users that a start makes, with credentials for SCRAM-SHA-256 and SCRAM-SHA-512, unless there are users of these names: the first ones, who make all others. A password that was changed since stays changed.',
    }),
  ),
} as const;

import { integer, list, oneOf, optional, pattern, secret, someOf, url } from './definition.ts';

/*
 * Settings that hold for every listener, or, as `listener.name.NAME.SETTING`, for one. Where Kafka has the setting it has Kafka's name; what Kafka keeps in
 * Java's key stores is PEM here.
 */

export const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

const PEM = /^-----BEGIN /;
const FILE = { pattern: /./, legal: 'a file' };
const SECOND_MS = 1000;

export const LISTENER_CONFIGS = {
  'ssl.keystore.type': oneOf('ssl.keystore.type', {
    default: 'PEM',
    values: ['PEM'],
    importance: 'low',
    documentation:
      "The form of certificates and keys. Java's key stores are not read: docs/security.md says how to turn them into PEM.",
  }),
  'ssl.keystore.location': optional(
    pattern('ssl.keystore.location', {
      ...FILE,
      default: null,
      documentation:
        "A PEM file with the listener's certificate, those between it and the authority behind it, and the private key unless `ssl.key.location` names another file for it. It is read again when it changes.",
    }),
  ),
  'ssl.key.location': optional(
    pattern('ssl.key.location', {
      ...FILE,
      default: null,
      documentation: 'A PEM file with the private key, where it is not in `ssl.keystore.location`.',
    }),
  ),
  'ssl.keystore.certificate.chain': optional(
    pattern('ssl.keystore.certificate.chain', {
      default: null,
      pattern: PEM,
      legal: 'certificates in PEM',
      documentation: 'The certificates themselves, instead of `ssl.keystore.location`.',
    }),
  ),
  'ssl.keystore.key': optional(
    secret('ssl.keystore.key', {
      default: null,
      pattern: PEM,
      legal: 'a private key in PEM',
      documentation: 'The private key itself, beside `ssl.keystore.certificate.chain`.',
    }),
  ),
  'ssl.key.password': optional(
    secret('ssl.key.password', {
      default: null,
      pattern: /./,
      legal: 'a password',
      documentation: 'The password of an encrypted private key.',
    }),
  ),
  'ssl.truststore.type': oneOf('ssl.truststore.type', {
    default: 'PEM',
    values: ['PEM'],
    importance: 'low',
    documentation: 'The form of the authorities that are trusted.',
  }),
  'ssl.truststore.location': optional(
    pattern('ssl.truststore.location', {
      ...FILE,
      default: null,
      documentation:
        "A PEM file with the authorities whose clients' certificates are trusted. It is read again when it changes.",
    }),
  ),
  'ssl.truststore.certificates': optional(
    pattern('ssl.truststore.certificates', {
      default: null,
      pattern: PEM,
      legal: 'certificates in PEM',
      documentation: 'Those authorities themselves, instead of `ssl.truststore.location`.',
    }),
  ),
  'ssl.client.auth': oneOf('ssl.client.auth', {
    default: 'none',
    values: ['none', 'requested', 'required'],
    documentation:
      'Whether clients show a certificate: never, if they have one, always. On a listener of mode SSL it says who they are; one that is shown has to be trusted.',
  }),
  'ssl.principal.mapping.rules': pattern('ssl.principal.mapping.rules', {
    default: 'DEFAULT',
    pattern: /^/,
    legal: 'rules',
    documentation:
      'How a certificate becomes a name: the first of these comma-separated rules that fits its distinguished name. `RULE:PATTERN/REPLACEMENT/` with an optional `L` or `U` behind it for lower or upper case; `DEFAULT` is the whole distinguished name.',
  }),
  'ssl.enabled.protocols': someOf('ssl.enabled.protocols', {
    default: TLS_VERSIONS.join(','),
    values: TLS_VERSIONS,
    documentation: 'The versions of TLS that are spoken.',
  }),
  'ssl.cipher.suites': list('ssl.cipher.suites', {
    default: '',
    item: /^[A-Z0-9_-]+$/,
    legal: 'names of cipher suites, each once',
    documentation:
      "Cipher suites in Kafka's spelling (`TLS_AES_256_GCM_SHA384`, `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`) or OpenSSL's (`ECDHE-RSA-AES256-GCM-SHA384`); empty: those that Node deems safe.",
  }),
  'ssl.handshake.timeout.ms': integer('ssl.handshake.timeout.ms', {
    type: 'int',
    default: String(10 * SECOND_MS),
    min: 1,
    documentation: 'A connection whose TLS handshake takes longer is closed.',
  }),
  'ssl.handshakes.max': integer('ssl.handshakes.max', {
    type: 'int',
    default: '500',
    min: 1,
    documentation:
      'TLS handshakes that a listener has under way at once, a quarter of them at most with one address; further connections are closed at once.',
  }),
  'ssl.reload.interval.ms': integer('ssl.reload.interval.ms', {
    type: 'long',
    default: String(10 * SECOND_MS),
    min: 0,
    documentation:
      'How often the files of certificates and keys are looked at for changes; 0: never, only on the signal SIGHUP.',
  }),
  'sasl.enabled.mechanisms': someOf('sasl.enabled.mechanisms', {
    default: 'SCRAM-SHA-256,SCRAM-SHA-512',
    values: SASL_MECHANISMS,
    documentation:
      'The SASL mechanisms of listeners of mode SASL_PLAINTEXT or SASL_SSL. PLAIN sends the password as it is: enable it behind TLS only.',
  }),
  'connections.max.reauth.ms': integer('connections.max.reauth.ms', {
    type: 'long',
    default: '0',
    min: 0,
    documentation:
      'How long an authentication by SASL holds: then the client has to repeat it on the same connection (KIP-368), or its next request closes it. 0: as long as the connection, but no longer than the token it came with.',
  }),
  'sasl.oauthbearer.jwks.endpoint.url': optional(
    url('sasl.oauthbearer.jwks.endpoint.url', {
      default: null,
      protocols: ['https', 'file'],
      documentation:
        'Where the keys are that OAUTHBEARER tokens are signed with, as a JSON Web Key Set. The URL is no secret: it is logged, and DescribeConfigs shows it.',
    }),
  ),
  'sasl.oauthbearer.jwks.endpoint.truststore.location': optional(
    pattern('sasl.oauthbearer.jwks.endpoint.truststore.location', {
      ...FILE,
      default: null,
      documentation:
        'A PEM file with the authorities trusted for that https URL; unset: those that Node trusts.',
    }),
  ),
  'sasl.oauthbearer.jwks.endpoint.refresh.ms': integer('sasl.oauthbearer.jwks.endpoint.refresh.ms', {
    type: 'long',
    default: '3600000',
    min: SECOND_MS,
    documentation:
      'How old the keys may become before they are read again. A token with a key id that is not known has them read at once, every ten seconds at most.',
  }),
  'sasl.oauthbearer.expected.issuer': optional(
    pattern('sasl.oauthbearer.expected.issuer', {
      default: null,
      pattern: /./,
      legal: 'the name of an issuer',
      documentation: 'What the claim `iss` of a token has to be; unset: anything.',
    }),
  ),
  'sasl.oauthbearer.expected.audience': list('sasl.oauthbearer.expected.audience', {
    default: '',
    item: /./,
    legal: 'names of audiences, each once',
    documentation: 'The claim `aud` of a token has to hold one of these; empty: anything.',
  }),
  'sasl.oauthbearer.clock.skew.seconds': integer('sasl.oauthbearer.clock.skew.seconds', {
    type: 'int',
    default: '30',
    min: 0,
    max: 3600,
    unit: 'seconds',
    documentation: "How far the clocks of the broker and of a token's issuer may be apart.",
  }),
  'sasl.oauthbearer.sub.claim.name': pattern('sasl.oauthbearer.sub.claim.name', {
    default: 'sub',
    pattern: /./,
    legal: 'the name of a claim',
    documentation: 'The claim of a token that holds the name of the user.',
  }),
  'sasl.oauthbearer.scope.claim.name': pattern('sasl.oauthbearer.scope.claim.name', {
    default: 'scope',
    pattern: /./,
    legal: 'the name of a claim',
    documentation: 'The claim of a token that holds its scope; it may be missing.',
  }),
} as const;

type Definitions = typeof LISTENER_CONFIGS;

/** The parsed value of each of these settings by its name, as it holds for one listener. */
export type ListenerSettings = {
  readonly [N in keyof Definitions]: ReturnType<Definitions[N]['parse']>;
};

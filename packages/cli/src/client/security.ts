import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import { CliError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';

export const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];
export type ScramMechanism = Exclude<SaslMechanism, 'PLAIN'>;

export interface Login {
  readonly mechanism: SaslMechanism;
  readonly user: string;
  readonly password: string;
}

/** How a program comes in: through TLS or not, and as whom. */
export interface ClientSecurity {
  /** Undefined: in plain text. */
  readonly tls: ConnectionOptions | undefined;
  readonly login: Login | undefined;
}

export interface SecurityOptions {
  readonly commandConfig?: string;
  readonly username?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  readonly saslMechanism?: SaslMechanism;
  readonly tls?: boolean;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Options, over what a file says. Throws CliError for files that cannot be read and options that do not go together. */
export function clientSecurity(options: SecurityOptions): ClientSecurity {
  const file = options.commandConfig === undefined ? {} : securityOf(readProperties(options.commandConfig));
  const given = { ...file, ...options };
  const { tlsCa, tlsCert, tlsKey, username: user } = given;
  const usesTls = given.tls === true || tlsCa !== undefined || tlsCert !== undefined;
  if (tlsCert === undefined && tlsKey !== undefined) throw usageError('--tls-key needs --tls-cert');
  const tls: ConnectionOptions | undefined = usesTls
    ? {
        ...(tlsCa === undefined ? {} : { ca: readAuthorities(tlsCa) }),
        ...(tlsCert === undefined
          ? {}
          : { cert: readSecurityFile(tlsCert), key: readSecurityFile(tlsKey ?? tlsCert) }),
      }
    : undefined;
  if (user === undefined) {
    const names = { '--password': given.password, '--password-file': given.passwordFile };
    const alone = Object.entries(names).find(([, value]) => value !== undefined);
    if (alone !== undefined) throw usageError(`${alone[0]} needs --username`);
    return { tls, login: undefined };
  }
  const password =
    given.passwordFile === undefined
      ? given.password
      : readSecurityFile(given.passwordFile).replace(/\r?\n$/, '');
  if (password === undefined) {
    throw usageError(
      '--username needs a password',
      'Give --password-file FILE, or --password PASSWORD, which others may see.',
    );
  }
  return { tls, login: { mechanism: given.saslMechanism ?? 'SCRAM-SHA-512', user, password } };
}

function readSecurityFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(`cannot read ${path}: ${(error as Error).message}`, {
      code: 'UNREADABLE',
      cause: error,
    });
  }
}

/** Of an empty text Node makes all authorities that it knows itself. */
function readAuthorities(path: string): string {
  const pem = readSecurityFile(path);
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
  throw usageError(`${path} has no certificate in PEM`);
}

/** `name=value` lines, as Kafka's tools take them with --command-config; # and ! begin remarks. */
function readProperties(path: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const line of readSecurityFile(path).split('\n')) {
    const { name, value } =
      /^\s*(?<name>[^#!=:\s][^=:\s]*)\s*[=:]\s*(?<value>.*?)\s*$/.exec(line)?.groups ?? {};
    if (name !== undefined && value !== undefined) properties.set(name, value);
  }
  return properties;
}

/** What of Kafka's client settings there is here, JAAS included. */
function securityOf(properties: ReadonlyMap<string, string>): SecurityOptions {
  const protocol = (properties.get('security.protocol') ?? 'PLAINTEXT').toUpperCase();
  const mechanism = properties.get('sasl.mechanism');
  const known = SASL_MECHANISMS.find((one) => one === mechanism);
  if (mechanism !== undefined && known === undefined) {
    throw usageError(`sasl.mechanism must be one of ${SASL_MECHANISMS.join(', ')}, not ${mechanism}`);
  }
  const jaas = properties.get('sasl.jaas.config') ?? '';
  const inJaas = (name: string): string | undefined =>
    new RegExp(String.raw`\b${name}\s*=\s*"((?:[^"\\]|\\.)*)"`).exec(jaas)?.[1]?.replaceAll(/\\(.)/g, '$1');
  const optional = <K extends keyof SecurityOptions>(name: K, value: SecurityOptions[K]) =>
    value === undefined ? {} : { [name]: value };
  return {
    ...(protocol.endsWith('SSL') ? { tls: true } : {}),
    ...optional('saslMechanism', known),
    ...optional('username', properties.get('sasl.username') ?? inJaas('username')),
    ...optional('password', properties.get('sasl.password') ?? inJaas('password')),
    ...optional('tlsCa', properties.get('ssl.ca.location') ?? properties.get('ssl.truststore.location')),
    ...optional(
      'tlsCert',
      properties.get('ssl.certificate.location') ?? properties.get('ssl.keystore.location'),
    ),
    ...optional('tlsKey', properties.get('ssl.key.location')),
  };
}

/** Sends a message of the mechanism, and resolves with the answer's. */
export type SaslStep = (message: Buffer) => Promise<Buffer>;

/** Shows who it is. Throws CliError if the broker does not know the password either. */
export async function authenticate(login: Login, step: SaslStep): Promise<void> {
  const { mechanism, user, password } = login;
  if (mechanism === 'PLAIN') {
    await step(Buffer.from(`\0${user}\0${password}`));
    return;
  }
  const nonce = randomBytes(NONCE_BYTES).toString('base64url');
  const firstBare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  const serverFirst = (await step(Buffer.from(`n,,${firstBare}`))).toString();
  const { both, salt, count } =
    /^r=(?<both>[^,]+),s=(?<salt>[^,]+),i=(?<count>\d+)/.exec(serverFirst)?.groups ?? {};
  const iterations = Number(count);
  if (!both?.startsWith(nonce) || salt === undefined || !(iterations >= 1 && iterations <= ITERATIONS_MAX)) {
    throw notTrusted('its first message breaks the rules of SCRAM');
  }
  const hash = hashOf(mechanism);
  const salted = await saltedPassword(mechanism, password, Buffer.from(salt, 'base64'), iterations);
  const withoutProof = `c=biws,r=${both}`;
  const authMessage = `${firstBare},${serverFirst},${withoutProof}`;
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage);
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString('base64');
  const serverFinal = (await step(Buffer.from(`${withoutProof},p=${proof}`))).toString();
  const expected = Buffer.from(`v=${hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')}`);
  const answered = Buffer.from(serverFinal.split(',')[0]!);
  if (answered.length !== expected.length || !timingSafeEqual(answered, expected)) {
    throw notTrusted('it does not know the password itself');
  }
}

const NONCE_BYTES = 24;
/** A broker that asks for more keeps the program busy for nothing. */
const ITERATIONS_MAX = 1_000_000;

function notTrusted(why: string): CliError {
  return new CliError(`the broker is not to be trusted: ${why}`, {
    code: 'BROKER_NOT_TRUSTED',
    exitCode: EXIT.failed,
  });
}

function hashOf(mechanism: ScramMechanism): 'sha256' | 'sha512' {
  return mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512';
}

const HASH_BYTES = { sha256: 32, sha512: 64 } as const;

/** What SCRAM makes of a password (PBKDF2), and what AlterUserScramCredentials carries. */
export function saltedPassword(
  mechanism: ScramMechanism,
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<Buffer> {
  const hash = hashOf(mechanism);
  return promisify(pbkdf2)(password, salt, iterations, HASH_BYTES[hash], hash);
}

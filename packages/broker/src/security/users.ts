import type { ClusterImage } from '../cluster/image.ts';
import type { SectionWriter } from '../cluster/section-writer.ts';
import { decodeKeyPart, encodeKeyPart, type Section } from '../cluster/sections.ts';
import { BrokerError } from '../errors.ts';
import type { Crypto } from '../platform/crypto.ts';
import { PASSWORD_BYTES_MAX, USER_NAME_BYTES_MAX } from './sasl.ts';
import {
  credentialOf,
  hashOf,
  ITERATIONS_MAX,
  ITERATIONS_MIN,
  matches,
  type ScramCredential,
  type ScramMechanism,
} from './scram.core.ts';

/*
 * Users in the section `users/` of the cluster image:
 *
 *   <name, escaped>   { scram: { [mechanism]: { iterations, salt, storedKey, serverKey } } }, bytes in base64; a user without credentials has no key
 *   @stand-ins        { secret }: 32 random bytes that make up credentials for users that there are not. No escaped name begins with '@'
 */

const SECTION = 'users/';
const STAND_INS_KEY = '@stand-ins';
const SECRET_BYTES = 32;
const SALT_BYTES = 24;
/** Credentials that are made here of a password. */
export const ITERATIONS_DEFAULT = 8192;
export const SCRAM_MECHANISMS: readonly ScramMechanism[] = ['SCRAM-SHA-256', 'SCRAM-SHA-512'];
/** They are in memory as a part of the cluster image. */
const USERS_MAX = 100_000;

interface StoredCredential {
  readonly iterations: number;
  readonly salt: string;
  readonly storedKey: string;
  readonly serverKey: string;
}

interface StoredUser {
  readonly scram: Readonly<Partial<Record<ScramMechanism, StoredCredential>>>;
}

export interface User {
  readonly name: string;
  readonly iterations: ReadonlyMap<ScramMechanism, number>;
}

/** A change of one credential of one user. */
export type CredentialChange =
  | { readonly kind: 'delete'; readonly user: string; readonly mechanism: ScramMechanism }
  | {
      readonly kind: 'set';
      readonly user: string;
      readonly mechanism: ScramMechanism;
      readonly iterations: number;
      readonly salt: Uint8Array;
      readonly saltedPassword: Uint8Array;
    };

/** What password checks need of the users. */
export interface Credentials {
  /** Of the user, or, if there is none or it has none for the mechanism, one that looks like it and that nobody knows the password of. */
  lookUp(
    user: string,
    mechanism: ScramMechanism,
  ): { readonly credential: ScramCredential; readonly isReal: boolean };
  /** A mechanism that the user has a credential for; any if there is no such user. */
  mechanismOf(user: string): ScramMechanism;
}

export class UserStore implements Credentials {
  readonly #image: () => ClusterImage;
  readonly #writer: SectionWriter;
  readonly #crypto: Crypto;
  /** The form of most credentials at the time of a section, for those of users that there are not. */
  #forms: { readonly of: Section; readonly byMechanism: ReadonlyMap<ScramMechanism, Form> } | undefined;

  constructor(options: {
    readonly image: () => ClusterImage;
    readonly writer: SectionWriter;
    readonly crypto: Crypto;
  }) {
    this.#image = options.image;
    this.#writer = options.writer;
    this.#crypto = options.crypto;
  }

  get #section(): Section {
    return this.#image().section(SECTION);
  }

  /** Makes sure that there is a secret for {@link Credentials.lookUp}. */
  async prepare(): Promise<void> {
    if (this.#section.get(STAND_INS_KEY) !== undefined) return;
    const secret = Buffer.from(this.#crypto.randomBytes(SECRET_BYTES)).toString('base64');
    await this.#writer.change(SECTION, [STAND_INS_KEY], (records) =>
      records.get(STAND_INS_KEY) === undefined ? new Map([[STAND_INS_KEY, { secret }]]) : new Map(),
    );
  }

  /** In the order of their escaped names. */
  *users(): Generator<User, undefined> {
    for (const [key, record] of this.#section.entries()) if (key !== STAND_INS_KEY) yield userOf(key, record);
  }

  get(name: string): User | undefined {
    const key = encodeKeyPart(name);
    const record = this.#section.get(key);
    return record === undefined ? undefined : userOf(key, record);
  }

  lookUp(user: string, mechanism: ScramMechanism): { credential: ScramCredential; isReal: boolean } {
    const record = this.#section.get(encodeKeyPart(user)) as StoredUser | undefined;
    const stored = record?.scram[mechanism];
    // Made up in any case, so that it takes as long.
    const standIn = this.#standIn(user, mechanism);
    if (stored === undefined) return { credential: standIn, isReal: false };
    return { credential: decoded(stored), isReal: true };
  }

  mechanismOf(user: string): ScramMechanism {
    return this.get(user)?.iterations.keys().next().value ?? SCRAM_MECHANISMS[0]!;
  }

  /** The same at each attempt and on each broker, else it would be known from a real one by trying twice. */
  #standIn(user: string, mechanism: ScramMechanism): ScramCredential {
    const record = this.#section.get(STAND_INS_KEY) as { readonly secret: string } | undefined;
    if (record === undefined) throw new Error('UserStore.prepare has not been called');
    const secret = Buffer.from(record.secret, 'base64');
    const part = (name: string): Uint8Array =>
      this.#crypto.hmac(hashOf(mechanism), secret, Buffer.from(`${mechanism} ${name} ${user}`));
    const { iterations, saltBytes } = this.#formOf(mechanism);
    const salt = this.#crypto.hmac('SHA-512', secret, part('salt')).subarray(0, saltBytes);
    return { salt, iterations, storedKey: part('stored'), serverKey: part('server') };
  }

  #formOf(mechanism: ScramMechanism): Form {
    const section = this.#section;
    if (this.#forms?.of !== section) {
      this.#forms = { of: section, byMechanism: commonForms(section) };
    }
    return (
      this.#forms.byMechanism.get(mechanism) ?? { iterations: ITERATIONS_DEFAULT, saltBytes: SALT_BYTES }
    );
  }

  /**
   * Changes credentials; all changes of one user are made, or none. Resolves with the refusals by user.
   */
  async change(changes: readonly CredentialChange[]): Promise<ReadonlyMap<string, BrokerError>> {
    const byUser = Map.groupBy(changes, ({ user }) => user);
    const keys = Array.from(byUser.keys(), encodeKeyPart);
    let refused = new Map<string, BrokerError>();
    await this.#writer.change(SECTION, keys, (records) => {
      refused = new Map();
      const written = new Map<string, StoredUser | undefined>();
      let count = records.size;
      for (const [user, own] of byUser) {
        try {
          const key = encodeKeyPart(user);
          const before = records.get(key) as StoredUser | undefined;
          const after = changedUser(this.#crypto, before, own);
          if (before === undefined && after !== undefined && ++count > USERS_MAX) {
            throw new BrokerError('POLICY_VIOLATION', `There may be ${USERS_MAX} users`);
          }
          written.set(key, after);
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
          refused.set(user, error);
        }
      }
      return written;
    });
    return refused;
  }

  /** Gives users that are not there yet credentials of all mechanisms. */
  async addMissing(passwords: ReadonlyMap<string, string>): Promise<void> {
    const changes: CredentialChange[] = [];
    for (const [user, password] of passwords) {
      if (this.get(user) === undefined) changes.push(...(await this.#credentialsFor(user, password)));
    }
    if (changes.length === 0) return;
    const refused = await this.change(changes);
    for (const error of refused.values()) throw error;
  }

  async #credentialsFor(user: string, password: string): Promise<CredentialChange[]> {
    const bytes = Buffer.from(password);
    if (bytes.length === 0 || bytes.length > PASSWORD_BYTES_MAX) {
      const rule = `The password of ${user} must have 1 to ${PASSWORD_BYTES_MAX} bytes`;
      throw new BrokerError('UNACCEPTABLE_CREDENTIAL', rule);
    }
    const iterations = ITERATIONS_DEFAULT;
    const changes: CredentialChange[] = [];
    for (const mechanism of SCRAM_MECHANISMS) {
      const salt = this.#crypto.randomBytes(SALT_BYTES);
      const saltedPassword = await this.#crypto.pbkdf2(hashOf(mechanism), bytes, salt, iterations);
      changes.push({ kind: 'set', user, mechanism, iterations, salt, saltedPassword });
    }
    return changes;
  }
}

/** Whether the password is the user's. Takes as long when there is no such user. Rejects with ComputeError when too many wait. */
export async function checkPassword(
  crypto: Crypto,
  credentials: Credentials,
  user: string,
  password: Uint8Array,
): Promise<boolean> {
  const mechanism = credentials.mechanismOf(user);
  const { credential, isReal } = credentials.lookUp(user, mechanism);
  const { salt, iterations } = credential;
  const salted = await crypto.pbkdf2(hashOf(mechanism), password, salt, iterations);
  return matches(crypto, mechanism, salted, credential) && isReal;
}

interface Form {
  readonly iterations: number;
  readonly saltBytes: number;
}

/** Users by whose credentials it is known what most look like: it is found out with the first login after each change of one. */
const FORMS_USERS_MAX = 1000;

/** The commonest form of the credentials of each mechanism. */
function commonForms(section: Section): Map<ScramMechanism, Form> {
  const counts = new Map<ScramMechanism, Map<string, number>>();
  let usersLeft = FORMS_USERS_MAX;
  for (const [key, record] of section.entries()) {
    if (key === STAND_INS_KEY) continue;
    if (usersLeft-- === 0) break;
    for (const [mechanism, { iterations, salt }] of Object.entries((record as StoredUser).scram)) {
      const forms = counts.get(mechanism as ScramMechanism) ?? new Map<string, number>();
      counts.set(mechanism as ScramMechanism, forms);
      const form = JSON.stringify({ iterations, saltBytes: Buffer.byteLength(salt, 'base64') });
      forms.set(form, (forms.get(form) ?? 0) + 1);
    }
  }
  return new Map(
    [...counts].map(([mechanism, forms]) => {
      const [commonest] = [...forms].sort(([, left], [, right]) => right - left);
      return [mechanism, JSON.parse(commonest![0]) as Form];
    }),
  );
}

function userOf(key: string, record: unknown): User {
  const { scram } = record as StoredUser;
  const iterations = Object.entries(scram).map(
    ([mechanism, stored]) => [mechanism as ScramMechanism, stored.iterations] as const,
  );
  return { name: decodeKeyPart(key), iterations: new Map(iterations) };
}

/** Undefined if nothing is left of the user. Throws BrokerError to refuse. */
function changedUser(
  crypto: Crypto,
  before: StoredUser | undefined,
  changes: readonly CredentialChange[],
): StoredUser | undefined {
  const scram = { ...before?.scram };
  if (new Set(changes.map(({ mechanism }) => mechanism)).size < changes.length) {
    throw new BrokerError(
      'DUPLICATE_RESOURCE',
      'A user credential cannot be altered twice in the same request',
    );
  }
  for (const change of changes) {
    const { user, mechanism } = change;
    checkUserName(user);
    if (change.kind === 'delete') {
      if (scram[mechanism] === undefined) {
        throw new BrokerError(
          'RESOURCE_NOT_FOUND',
          'Attempt to delete a user credential that does not exist',
        );
      }
      delete scram[mechanism];
      continue;
    }
    checkCredential(change);
    scram[mechanism] = encoded(credentialOf(crypto, mechanism, change.saltedPassword, change));
  }
  return Object.keys(scram).length === 0 ? undefined : { scram };
}

/** Throws BrokerError. */
function checkUserName(user: string): void {
  if (user === '') throw new BrokerError('UNACCEPTABLE_CREDENTIAL', 'Username must not be empty');
  if (Buffer.byteLength(user) > USER_NAME_BYTES_MAX) {
    const rule = `A username may have ${USER_NAME_BYTES_MAX} bytes`;
    throw new BrokerError('UNACCEPTABLE_CREDENTIAL', rule);
  }
}

/** Clients choose it, and may send few bytes. */
const SALT_BYTES_MIN = 1;
const SALT_BYTES_MAX = 64;

function checkCredential(change: Extract<CredentialChange, { kind: 'set' }>): void {
  const { iterations, salt, saltedPassword, mechanism } = change;
  const refuse = (message: string): never => {
    throw new BrokerError('UNACCEPTABLE_CREDENTIAL', message);
  };
  if (iterations < ITERATIONS_MIN) refuse(`Too few iterations: ${iterations}, at least ${ITERATIONS_MIN}`);
  if (iterations > ITERATIONS_MAX) refuse(`Too many iterations: ${iterations}, at most ${ITERATIONS_MAX}`);
  if (salt.length < SALT_BYTES_MIN || salt.length > SALT_BYTES_MAX) {
    refuse(`The salt has ${salt.length} bytes, not ${SALT_BYTES_MIN} to ${SALT_BYTES_MAX}`);
  }
  const passwordBytes = mechanism === 'SCRAM-SHA-256' ? 32 : 64;
  if (saltedPassword.length !== passwordBytes) {
    refuse(`The salted password has ${saltedPassword.length} bytes, not ${passwordBytes}`);
  }
}

function encoded({ iterations, salt, storedKey, serverKey }: ScramCredential): StoredCredential {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return { iterations, salt: base64(salt), storedKey: base64(storedKey), serverKey: base64(serverKey) };
}

function decoded({ iterations, salt, storedKey, serverKey }: StoredCredential): ScramCredential {
  const bytes = (text: string): Uint8Array => Buffer.from(text, 'base64');
  return { iterations, salt: bytes(salt), storedKey: bytes(storedKey), serverKey: bytes(serverKey) };
}

import type { SignatureName } from '../platform/crypto.ts';

/** JSON Web Tokens (RFC 7519) in the compact form `HEADER.CLAIMS.SIGNATURE`, each part in base64url. */
export interface Jwt {
  readonly algorithm: SignatureName;
  /** Which key signed it. */
  readonly keyId: string | undefined;
  readonly claims: Readonly<Record<string, unknown>>;
  /** What the signature is of. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** Why a token is not good; for the log. */
export class TokenError extends Error {
  override readonly name: string = 'TokenError';
}

/** Nothing is known of the token: there are no keys to look at it with. */
export class NoKeysError extends TokenError {
  override readonly name = 'NoKeysError';
}

export const TOKEN_CHARACTERS_MAX = 32 * 1024;

/** Never `none`, and no HMAC: its key would be the public one. */
const ALGORITHMS: readonly SignatureName[] = ['RS256', 'PS256', 'ES256'];
const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** Takes a token apart; nothing in it is verified. Throws {@link TokenError}. */
export function parseJwt(token: string): Jwt {
  if (token.length > TOKEN_CHARACTERS_MAX) {
    throw new TokenError(`the token has ${token.length} characters, more than ${TOKEN_CHARACTERS_MAX}`);
  }
  const parts = FORM.exec(token);
  if (parts === null) throw new TokenError('the token is not a signed JSON Web Token');
  const [, head, body, signature] = parts;
  const header = jsonOf(head!, 'header');
  const algorithm = ALGORITHMS.find((name) => name === header['alg']);
  if (algorithm === undefined) {
    throw new TokenError(`tokens may be signed with ${ALGORITHMS.join(', ')}, not ${shown(header['alg'])}`);
  }
  // RFC 7515, section 4.1.11: what is critical and not understood makes it invalid.
  if (header['crit'] !== undefined) throw new TokenError('the token has critical extensions');
  const keyId = header['kid'];
  if (keyId !== undefined && typeof keyId !== 'string') throw new TokenError('its key id is not a text');
  return {
    algorithm,
    keyId,
    claims: jsonOf(body!, 'claims'),
    signed: Buffer.from(`${head}.${body}`),
    signature: Buffer.from(signature!, 'base64url'),
  };
}

function jsonOf(part: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    throw new TokenError(`the token's ${what} are not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TokenError(`the token's ${what} are not a JSON object`);
  }
  return value as Record<string, unknown>;
}

export interface ClaimRules {
  /** Undefined: any. */
  readonly issuer: string | undefined;
  /** One of them has to be meant; empty: any. */
  readonly audiences: readonly string[];
  readonly clockSkewMs: number;
  readonly subjectClaim: string;
  readonly scopeClaim: string;
}

export interface TokenFacts {
  readonly subject: string;
  readonly scopes: readonly string[];
  /** Wall-clock milliseconds. */
  readonly expiresAtMs: number;
}

const SUBJECT_LENGTH_MAX = 256;
const SECOND_MS = 1000;

/** Judges the claims of a token whose signature is good. Throws {@link TokenError}. */
export function judgeClaims(
  claims: Readonly<Record<string, unknown>>,
  rules: ClaimRules,
  nowMs: number,
): TokenFacts {
  const { issuer, audiences, clockSkewMs, subjectClaim, scopeClaim } = rules;
  const expiresAtMs = timeOf(claims, 'exp');
  if (expiresAtMs === undefined) throw new TokenError('the token never expires');
  if (nowMs - clockSkewMs >= expiresAtMs) throw new TokenError('the token has expired');
  const notBeforeMs = timeOf(claims, 'nbf') ?? 0;
  if (nowMs + clockSkewMs < notBeforeMs) throw new TokenError('the token is not valid yet');
  const issuedAtMs = timeOf(claims, 'iat') ?? 0;
  if (nowMs + clockSkewMs < issuedAtMs) throw new TokenError('the token was issued in the future');
  if (issuedAtMs > expiresAtMs) throw new TokenError('the token expired before it was issued');
  if (issuer !== undefined && claims['iss'] !== issuer) {
    throw new TokenError(`the token was issued by ${shown(claims['iss'])}, not ${shown(issuer)}`);
  }
  if (audiences.length > 0 && !textsOf(claims['aud']).some((one) => audiences.includes(one))) {
    throw new TokenError(`the token is meant for ${shown(claims['aud'])}`);
  }
  const subject = claims[subjectClaim];
  if (typeof subject !== 'string' || subject.trim() === '' || subject.length > SUBJECT_LENGTH_MAX) {
    throw new TokenError(`the token's claim ${subjectClaim} does not name a user`);
  }
  const scope = claims[scopeClaim];
  const scopes = typeof scope === 'string' ? scope.split(' ').filter((one) => one !== '') : textsOf(scope);
  return { subject: subject.trim(), scopes, expiresAtMs };
}

function timeOf(claims: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new TokenError(`the token's claim ${name} is not a time`);
  }
  return value * SECOND_MS;
}

function textsOf(value: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((one) => typeof one === 'string');
}

const SHOWN_MAX = 100;

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, SHOWN_MAX);
}

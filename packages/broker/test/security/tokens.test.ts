import assert from 'node:assert/strict';
import {
  constants,
  createHmac,
  generateKeyPairSync,
  sign,
  type JsonWebKeyInput,
  type KeyObject,
  type SignKeyObjectInput,
} from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DocumentError, type ReadDocumentOptions } from '../../src/platform/documents.ts';
import { parseJwt, TokenError } from '../../src/security/jwt.core.ts';
import { Authenticator } from '../../src/security/authenticator.ts';
import { FAILURES_PER_ADDRESS_MAX, LoginLimiter } from '../../src/security/login-limiter.core.ts';
import { OAuthBearerExchange } from '../../src/security/oauthbearer-exchange.ts';
import { credentialsOf } from './credentials.ts';
import { TokenVerifier } from '../../src/security/tokens.ts';
import { crypto } from './credentials.ts';

type Jwk = Record<string, unknown> & Partial<Pick<JsonWebKeyInput, 'format'>>;
interface Pair {
  readonly privateKey: KeyObject;
  readonly jwk: Jwk;
}

function rsa(bits = 2048): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }) } };
}

function ec(): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }) } };
}

const one = rsa();
const other = rsa();
const curve = ec();
const NOW_S = 1_800_000_000;
const CLAIMS = {
  sub: 'alice',
  iss: 'https://issuer.example',
  aud: ['polylog', 'x'],
  exp: NOW_S + 600,
  iat: NOW_S,
};

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(
  key: Pair,
  header: Record<string, unknown> = {},
  claims: Record<string, unknown> = {},
): string {
  const head = { alg: 'RS256', kid: 'one', ...header };
  const signed = `${part(head)}.${part({ ...CLAIMS, ...claims })}`;
  const how: SignKeyObjectInput = { key: key.privateKey };
  if (head.alg === 'PS256') {
    how.padding = constants.RSA_PKCS1_PSS_PADDING;
    how.saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  }
  if (head.alg === 'ES256') how.dsaEncoding = 'ieee-p1363';
  return `${signed}.${sign('sha256', Buffer.from(signed), how).toString('base64url')}`;
}

function makeVerifier(keys: () => readonly Jwk[] | Error) {
  let nowMs = 0;
  const reads: ReadDocumentOptions[] = [];
  const errors: string[] = [];
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields: Readonly<Record<string, unknown>>) => void errors.push(String(fields['error'])),
    child: () => logger,
  };
  const verifier = new TokenVerifier({
    documents: {
      async read(_url, options) {
        reads.push(options);
        const found = keys();
        if (found instanceof Error) throw found;
        return JSON.stringify({ keys: found });
      },
    },
    crypto,
    clock: { nowMs: () => NOW_S * 1000, monotonicMs: () => nowMs },
    logger,
    url: 'https://issuer.example/keys',
    refreshMs: 3_600_000,
    rules: {
      issuer: 'https://issuer.example',
      audiences: ['polylog'],
      clockSkewMs: 30_000,
      subjectClaim: 'sub',
      scopeClaim: 'scope',
    },
  });
  return { verifier, reads, errors, pass: (ms: number) => void (nowMs += ms) };
}

const KEYS = [
  { ...one.jwk, kid: 'one', use: 'sig' },
  { ...curve.jwk, kid: 'curve', alg: 'ES256' },
];

describe('A token', () => {
  const { verifier } = makeVerifier(() => KEYS);

  it('is good when its issuer has signed it, for us, and for now', async () => {
    for (const [key, header] of [
      [one, {}],
      [one, { alg: 'PS256' }],
      [one, { kid: undefined }],
      [curve, { alg: 'ES256', kid: 'curve' }],
    ] as const) {
      const { subject, scopes, expiresAtMs } = await verifier.verify(token(key, header, { scope: 'a b' }));
      assert.deepEqual(
        { subject, scopes, expiresAtMs },
        { subject: 'alice', scopes: ['a', 'b'], expiresAtMs: (NOW_S + 600) * 1000 },
      );
    }
    // Within the skew of the clocks.
    await verifier.verify(token(one, {}, { exp: NOW_S - 29, iat: NOW_S - 700 }));
    await verifier.verify(token(one, {}, { nbf: NOW_S + 29 }));
  });

  it('is refused for anything that is not so', async () => {
    const hmac = `${part({ alg: 'HS256', kid: 'one' })}.${part(CLAIMS)}`;
    const byPublicKey = createHmac('sha256', JSON.stringify(one.jwk)).update(hmac).digest('base64url');
    const good = token(one);
    for (const [bad, reason] of [
      [`${part({ alg: 'none' })}.${part(CLAIMS)}.`, /not a signed/],
      [`${part({ alg: 'none' })}.${part(CLAIMS)}.AAAA`, /may be signed with/],
      [`${hmac}.${byPublicKey}`, /may be signed with/],
      [token(other), /signature is wrong/],
      [good.replace(/\.[^.]+$/, '.AAAA'), /signature is wrong/],
      [good.replace(/\.[^.]+\./, `.${part({ ...CLAIMS, sub: 'admin' })}.`), /signature is wrong/],
      [token(curve, { alg: 'ES256', kid: 'one' }), /no key for ES256 has the id one/],
      [token(one, { alg: 'RS256', kid: 'curve' }), /no key for RS256 has the id curve/],
      [token(one, { crit: ['exp'] }), /critical/],
      [token(one, {}, { exp: NOW_S - 31 }), /has expired/],
      [token(one, {}, { exp: undefined }), /never expires/],
      [token(one, {}, { exp: 'soon' }), /exp is not a time/],
      [token(one, {}, { nbf: NOW_S + 31 }), /not valid yet/],
      [token(one, {}, { iat: NOW_S + 31 }), /in the future/],
      [token(one, {}, { iss: 'https://elsewhere.example' }), /was issued by "https:\/\/elsewhere/],
      [token(one, {}, { aud: 'others' }), /is meant for "others"/],
      [token(one, {}, { aud: undefined }), /is meant for nothing/],
      [token(one, {}, { sub: '' }), /does not name a user/],
      [token(one, {}, { sub: 7 }), /does not name a user/],
      ['a.b', /not a signed/],
      ['a.b.c', /are not JSON/],
      [`${'a'.repeat(32_768)}.b.c`, /more than 32768/],
    ] as const) {
      await assert.rejects(verifier.verify(bad), (error) => {
        assert.ok(error instanceof TokenError, String(error));
        assert.match(error.message, reason);
        return true;
      });
    }
  });

  it('of any form is refused, or taken apart, and nothing else', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (head, body, tail) => {
        const text = [head, body, tail].map((each) => Buffer.from(each).toString('base64url')).join('.');
        try {
          parseJwt(text);
        } catch (error) {
          assert.ok(error instanceof TokenError, String(error));
        }
      }),
    );
  });
});

describe('The keys of an issuer', () => {
  it('are read once, and again when one is not known, but not all the time', async () => {
    let keys: Jwk[] = [{ ...one.jwk, kid: 'one' }];
    const { verifier, reads, pass } = makeVerifier(() => keys);
    await Promise.all(Array.from({ length: 10 }, () => verifier.verify(token(one))));
    assert.equal(reads.length, 1);
    keys = [{ ...other.jwk, kid: 'two' }];
    await assert.rejects(verifier.verify(token(other, { kid: 'two' })), /has the id two/);
    pass(10_000);
    await verifier.verify(token(other, { kid: 'two' }));
    assert.equal(reads.length, 2);
    for (let tries = 0; tries < 20; tries++) {
      await assert.rejects(verifier.verify(token(one, { kid: `made up ${tries}` })), /no key/);
    }
    assert.equal(reads.length, 2);
    pass(3_600_000);
    await verifier.verify(token(other, { kid: 'two' }));
    assert.equal(reads.length, 3);
  });

  it('are waited for by all who come while they are being read', async () => {
    let keys: Jwk[] = [{ ...one.jwk, kid: 'one' }];
    const { verifier, reads, pass } = makeVerifier(() => keys);
    await verifier.verify(token(one));
    keys = [{ ...other.jwk, kid: 'two' }];
    pass(10_000);
    await Promise.all(Array.from({ length: 10 }, () => verifier.verify(token(other, { kid: 'two' }))));
    assert.equal(reads.length, 2);
  });

  it('are not asked for at every token while they cannot be read', async () => {
    const { verifier, reads, pass } = makeVerifier(() => new DocumentError('nobody answers'));
    for (let tries = 0; tries < 20; tries++) {
      await assert.rejects(verifier.verify(token(one)), /cannot be read/);
    }
    assert.equal(reads.length, 1);
    pass(1000);
    await assert.rejects(verifier.verify(token(one)), /cannot be read/);
    assert.equal(reads.length, 2);
  });

  it('serve on while they cannot be read again, and keep everybody out before', async () => {
    let down: Error | undefined = new DocumentError('nobody answers');
    const { verifier, errors, pass } = makeVerifier(() => down ?? KEYS);
    await assert.rejects(verifier.verify(token(one)), /cannot be read/);
    down = undefined;
    pass(10_000);
    await verifier.verify(token(one));
    down = new DocumentError('nobody answers');
    pass(4_000_000);
    await verifier.verify(token(one));
    assert.deepEqual(errors, ['nobody answers', 'nobody answers']);
  });

  it('are those that are fit for signatures, and not too short', async () => {
    const short = rsa(1024);
    const keys = [
      { ...short.jwk, kid: 'short' },
      { ...one.jwk, kid: 'one', use: 'enc' },
      { ...one.jwk, kid: 'pss', alg: 'PS256' },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'oct' },
      null as unknown as Jwk,
    ];
    const { verifier } = makeVerifier(() => keys);
    for (const [key, header] of [
      [short, { kid: 'short' }],
      [one, { kid: 'one' }],
      [one, { kid: 'pss' }],
      [one, { kid: 'oct' }],
    ] as const) {
      await assert.rejects(verifier.verify(token(key, header)), /no key for RS256/);
    }
    await verifier.verify(token(one, { kid: 'pss', alg: 'PS256' }));
  });
});

describe('OAUTHBEARER', () => {
  const { verifier } = makeVerifier(() => KEYS);
  const exchange = () => new OAuthBearerExchange(verifier, { waitMs: () => 0, failed: () => undefined });
  const message = (value: string, header = 'n,,', more = ''): Buffer =>
    Buffer.from(`${header}\u0001auth=Bearer ${value}\u0001${more}\u0001`);

  it('takes a token, with extensions and the name of its user beside it', async () => {
    for (const bytes of [
      message(token(one)),
      message(token(one), 'n,a=alice,'),
      message(token(one), 'n,,', 'traceId=1\u0001'),
    ]) {
      const step = await exchange().next(bytes);
      assert.ok(step.kind === 'done');
      assert.deepEqual(step.principal, { type: 'User', name: 'alice' });
      assert.equal(step.expiresAtMs, (NOW_S + 600) * 1000);
    }
  });

  it('answers a bad token with an error in JSON, and ends when the client has taken note of it', async () => {
    for (const bytes of [message(token(other)), message(token(one), 'n,a=bob,')]) {
      const attempt = exchange();
      const step = await attempt.next(bytes);
      assert.ok(step.kind === 'challenge');
      assert.deepEqual(JSON.parse(Buffer.from(step.message).toString()), { status: 'invalid_token' });
      const end = await attempt.next(Buffer.from('\u0001'));
      assert.ok(end.kind === 'refused');
      assert.equal(end.answer, '{"status":"invalid_token"}');
    }
  });

  it('refuses messages of another form', async () => {
    for (const text of [
      '',
      'n,,',
      'n,,\u0001\u0001',
      'n,,\u0001auth=Basic x\u0001\u0001',
      'p=x,,\u0001auth=Bearer x\u0001\u0001',
      'n,,\u0001auth=Bearer x\u0001',
      'n,,\u0001auth=Bearer x\u0001\u0001\u0001',
    ]) {
      const step = await exchange().next(Buffer.from(text));
      assert.equal(step.kind, 'refused', JSON.stringify(text));
    }
  });

  /** An authenticator, and why each of these messages is refused when all come at once from one address; undefined for those that are let in. */
  function gate(tokens = makeVerifier(() => KEYS).verifier) {
    const clock = { nowMs: () => NOW_S * 1000, monotonicMs: () => 0 };
    const authenticator = new Authenticator({
      mechanisms: ['OAUTHBEARER'],
      credentials: credentialsOf({}),
      crypto,
      clock,
      limiter: new LoginLimiter(),
      tokens,
    });
    const attempt = async (bytes: Buffer): Promise<string | undefined> => {
      const login = authenticator.begin('OAUTHBEARER', '10.0.0.1')!;
      const step = await login.next(bytes);
      if (step.kind === 'done') return undefined;
      const end = await login.next(Buffer.from('\u0001'));
      return end.kind === 'refused' ? end.reason : 'nothing was refused';
    };
    return (messages: readonly Buffer[]) => Promise.all(messages.map(attempt));
  }

  it('lets in everybody who has a good token, however many come at once and wait for the keys', async () => {
    const refusals = await gate()(
      Array.from({ length: 3 * FAILURES_PER_ADDRESS_MAX }, () => message(token(one))),
    );
    assert.deepEqual(
      refusals.filter((reason) => reason !== undefined),
      [],
    );
  });

  it('does not count against an address that the keys could not be read', async () => {
    let answer: Error | typeof KEYS = new DocumentError('nobody answers');
    const { verifier: tokens, pass } = makeVerifier(() => answer);
    const attempts = gate(tokens);
    const good = message(token(one));
    const refusals = await attempts(Array.from({ length: 2 * FAILURES_PER_ADDRESS_MAX }, () => good));
    assert.deepEqual(new Set(refusals), new Set(['the keys of the issuer cannot be read']));
    answer = KEYS;
    pass(10_000);
    assert.deepEqual(await attempts([good]), [undefined]);
  });

  it('looks at a bounded number of bad tokens, however many come at once', async () => {
    const attempts = gate();
    const bad = message(token(other));
    const refusals = await attempts(Array.from({ length: 3 * FAILURES_PER_ADDRESS_MAX }, () => bad));
    const looked = refusals.filter((reason) => reason === "the token's signature is wrong");
    assert.equal(looked.length, FAILURES_PER_ADDRESS_MAX);
    assert.deepEqual(await attempts([message(token(one))]), ['too many failed logins from its address']);
  });
});

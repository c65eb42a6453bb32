/**
 * Issues tokens for SASL OAUTHBEARER over HTTP, as the suite's 0126 expects it: for a client's name and secret, for an assertion that the
 * client has signed (RFC 7523), and the way that machines in a cloud get them (a GET with parameters, as of Azure's metadata service).
 * Other paths give tokens that are no tokens, or that have expired.
 */
import { createSign, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

const CLIENT_ID = 'suite';
const CLIENT_SECRET = 'secret-of-the-suite';
const SCOPE = 'suite-scope';
const AUDIENCE = 'polylog';
const KEY_PASSWORD = 'password-of-the-key';
const KEY_ID = 'suite-key';
const LIFETIME_SECONDS = 20;
const ASSERTION_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const METADATA_PARAMETERS = ['api-version', 'resource', 'client_id'];

interface TokenRequest {
  readonly authorization: string | undefined;
  readonly parameters: URLSearchParams;
}

export class TokenIssuer {
  readonly #server: Server;
  readonly #folder: string;
  readonly #issuing = generateKeyPairSync('rsa', { modulusLength: 2048 });
  /** The client's, with which it signs its assertions. */
  readonly #client = generateKeyPairSync('rsa', { modulusLength: 2048 });

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#write('keys.json', JSON.stringify({ keys: [this.#publicKey()] }));
    const pem = { type: 'pkcs8', format: 'pem' } as const;
    this.#write('client.key', this.#client.privateKey.export(pem));
    const secret = { ...pem, cipher: 'aes-256-cbc', passphrase: KEY_PASSWORD };
    this.#write('client-encrypted.key', this.#client.privateKey.export(secret));
  }

  /** @param folder where its keys are kept */
  static async start(folder: string): Promise<TokenIssuer> {
    const issuer = new TokenIssuer(folder);
    issuer.#server.listen(0, '127.0.0.1');
    await once(issuer.#server, 'listening');
    return issuer;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  get brokerSettings(): Record<string, string> {
    return {
      'sasl.oauthbearer.jwks.endpoint.url': `file://${this.#file('keys.json')}`,
      'sasl.oauthbearer.expected.audience': AUDIENCE,
    };
  }

  get clientSettings(): Record<string, string> {
    return {
      'sasl.mechanism': 'OAUTHBEARER',
      'sasl.oauthbearer.method': 'OIDC',
      'sasl.oauthbearer.client.id': CLIENT_ID,
      'sasl.oauthbearer.client.secret': CLIENT_SECRET,
      'sasl.oauthbearer.scope': SCOPE,
      'sasl.oauthbearer.token.endpoint.url': this.#url('valid'),
    };
  }

  get environment(): Record<string, string> {
    return {
      VALID_OIDC_URL: this.#url('valid'),
      INVALID_OIDC_URL: this.#url('malformed'),
      EXPIRED_TOKEN_OIDC_URL: this.#url('expired'),
      OAUTHBEARER_CLIENT_PRIVATE_KEY: this.#file('client.key'),
      OAUTHBEARER_CLIENT_PRIVATE_KEY_ENCRYPTED: this.#file('client-encrypted.key'),
      OAUTHBEARER_CLIENT_PRIVATE_KEY_PASSWORD: KEY_PASSWORD,
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://issuer');
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    const parameters = new URLSearchParams(request.method === 'POST' ? body : url.search);
    const subject = this.#subjectOf({ authorization: request.headers.authorization, parameters });
    const [status, answer] =
      subject === undefined
        ? [400, { error: 'invalid_request' }]
        : [
            200,
            {
              access_token: this.#token(url.pathname, subject),
              token_type: 'Bearer',
              expires_in: LIFETIME_SECONDS,
            },
          ];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  /** For whom a token is asked for; undefined if who asks may not. */
  #subjectOf({ authorization, parameters }: TokenRequest): string | undefined {
    if (parameters.has('__metadata_authentication_type')) {
      return METADATA_PARAMETERS.every((name) => parameters.has(name)) ? CLIENT_ID : undefined;
    }
    const scope = parameters.get('scope');
    if (scope !== null && scope !== SCOPE) return undefined;
    if (parameters.get('grant_type') === ASSERTION_GRANT)
      return this.#signer(parameters.get('assertion') ?? '');
    const basic = Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64');
    return authorization === `Basic ${basic}` ? CLIENT_ID : undefined;
  }

  #signer(assertion: string): string | undefined {
    const [header = '', payload = '', signature = ''] = assertion.split('.');
    const verify = createVerify('sha256').update(`${header}.${payload}`);
    if (!verify.verify(this.#client.publicKey, signature, 'base64url')) return undefined;
    const { alg } = parsePart(header) as { alg?: string };
    const { sub } = parsePart(payload) as { sub?: string };
    return alg === 'RS256' ? sub : undefined;
  }

  #token(kind: string, subject: string): string {
    if (kind === '/malformed') return 'this-is-no-token';
    const nowSeconds = Math.floor(Date.now() / 1000);
    const issuedAt = kind === '/expired' ? nowSeconds - 3600 : nowSeconds;
    const claims = { sub: subject, client_id: CLIENT_ID, aud: AUDIENCE, scope: SCOPE, iat: issuedAt };
    return sign({ ...claims, exp: issuedAt + LIFETIME_SECONDS }, this.#issuing.privateKey);
  }

  #publicKey(): object {
    return { ...this.#issuing.publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' };
  }

  #url(kind: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${kind}`;
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }

  #write(name: string, content: string | Buffer): void {
    writeFileSync(this.#file(name), content, { mode: 0o600 });
  }
}

function parsePart(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64url').toString());
}

function sign(claims: object, key: KeyObject): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: KEY_ID })}.${part(claims)}`;
  return `${signed}.${createSign('sha256').update(signed).sign(key, 'base64url')}`;
}

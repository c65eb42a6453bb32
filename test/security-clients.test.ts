import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Admin as PlatformaticAdmin, type AdminOptions } from '@platformatic/kafka';
import kafkajs, { type KafkaConfig } from 'kafkajs';
import { Broker } from 'polylog';
import { Certificates, type Certificate } from './clients/certificates.ts';
import { TokenIssuer } from './clients/token-issuer.ts';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { run, type RunResult } from './peers/process.ts';

const { Kafka, logLevel } = kafkajs;
const peers = {
  kcat: await requirePeer('kcat'),
  python: await requirePeer('python3-confluent-kafka'),
  java: await requirePeer('java', 'kafka-jars'),
};

const PASSWORD = 'alice, her "secret"'.replace(', ', ' ');
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
/** Who alone may do anything: so every success tells that the broker knows who came. */
const NAMES = ['alice', 'CN=alice,O=Example'];

describe('Stock clients at secured listeners', () => {
  const made = new Certificates();
  const authority = made.authority();
  const stranger = made.authority('Stranger');
  const server = made.signed(authority, '/CN=broker');
  const own = made.signed(authority, '/O=Example/CN=alice');
  const foreign = made.signed(stranger, '/O=Example/CN=alice');
  const ca = readFileSync(authority.certificate, 'utf8');
  const issuer = new TokenIssuer();
  let broker: Broker;
  /** Of the listeners SASL_PLAINTEXT, SASL_SSL and SSL. */
  const at = { sasl: '', saslTls: '', tls: '' };

  before(async () => {
    broker = await Broker.start({
      logLevel: 'error',
      config: {
        listeners: 'SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0,SSL://127.0.0.1:0',
        'security.bootstrap.users': `alice=${PASSWORD},bob=bob-secret`,
        'authorization.enabled': true,
        'super.users': NAMES.map((name) => `User:${name}`).join(';'),
        'sasl.enabled.mechanisms': [...MECHANISMS, 'OAUTHBEARER'].join(','),
        'sasl.oauthbearer.jwks.endpoint.url': `file://${made.file('keys.json', issuer.keySet)}`,
        'sasl.oauthbearer.expected.audience': 'polylog',
        'sasl.oauthbearer.expected.issuer': 'https://issuer.example',
        'ssl.keystore.location': server.both,
        'ssl.truststore.location': authority.certificate,
        'listener.name.ssl.ssl.client.auth': 'required',
      },
    });
    const addresses = broker.listenerAddresses;
    at.sasl = addresses.get('SASL_PLAINTEXT')!;
    at.saslTls = addresses.get('SASL_SSL')!;
    at.tls = addresses.get('SSL')!;
  });
  after(async () => {
    await broker.stop();
    made.remove();
  });

  const pem = ({ certificate, key }: Certificate) => ({
    cert: readFileSync(certificate, 'utf8'),
    key: readFileSync(key, 'utf8'),
  });

  describe('KafkaJS', () => {
    async function topics(options: Omit<KafkaConfig, 'clientId'>): Promise<string[]> {
      const admin = new Kafka({ ...options, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
      try {
        await admin.connect();
        await admin.createTopics({ topics: [{ topic: 'of-kafkajs' }] });
        return await admin.listTopics();
      } finally {
        await admin.disconnect();
      }
    }

    for (const mechanism of MECHANISMS) {
      const name = mechanism.toLowerCase() as 'plain';
      const sasl = { mechanism: name, username: 'alice', password: PASSWORD };
      test(`${mechanism}, with TLS and without`, async () => {
        const wrong = { ...sasl, password: 'wrong' };
        await assert.rejects(topics({ brokers: [at.sasl], sasl: wrong }), /authentication failed/i);
        assert.ok((await topics({ brokers: [at.sasl], sasl })).includes('of-kafkajs'));
        const ssl = { ca, servername: 'localhost' };
        assert.ok((await topics({ brokers: [at.saslTls], sasl, ssl })).includes('of-kafkajs'));
      });
    }

    test('OAUTHBEARER', async () => {
      const withToken = (value: string): Promise<string[]> => {
        const oauthBearerProvider = async (): Promise<{ value: string }> => ({ value });
        return topics({ brokers: [at.sasl], sasl: { mechanism: 'oauthbearer', oauthBearerProvider } });
      };
      assert.ok((await withToken(issuer.token('alice'))).includes('of-kafkajs'));
      await assert.rejects(
        withToken(issuer.token('alice', { aud: 'others' })),
        // It takes the error, which comes as a challenge, for a success, and goes on.
        /Closed connection/,
      );
    });

    test('a certificate', async () => {
      const ssl = { ca, servername: 'localhost' };
      assert.ok((await topics({ brokers: [at.tls], ssl: { ...ssl, ...pem(own) } })).includes('of-kafkajs'));
      await assert.rejects(topics({ brokers: [at.tls], ssl: { ...ssl, ...pem(foreign) } }));
      await assert.rejects(topics({ brokers: [at.tls], ssl }));
    });
  });

  describe('@platformatic/kafka', () => {
    async function topics(options: Omit<AdminOptions, 'clientId'>): Promise<string[]> {
      const admin = new PlatformaticAdmin({ clientId: 'e2e', retries: 0, ...options });
      try {
        const known = await admin.listTopics();
        if (!known.includes('of-platformatic')) {
          await admin.createTopics({ topics: ['of-platformatic'], partitions: 1, replicas: 1 });
        }
        return await admin.listTopics();
      } finally {
        await admin.close();
      }
    }
    const tls = { ca, servername: 'localhost' };

    for (const mechanism of MECHANISMS) {
      const sasl = { mechanism, username: 'alice', password: PASSWORD };
      test(`${mechanism}, with TLS and without`, async () => {
        assert.ok((await topics({ bootstrapBrokers: [at.sasl], sasl })).includes('of-platformatic'));
        assert.ok((await topics({ bootstrapBrokers: [at.saslTls], sasl, tls })).includes('of-platformatic'));
        await assert.rejects(topics({ bootstrapBrokers: [at.sasl], sasl: { ...sasl, password: 'wrong' } }));
      });
    }

    test('OAUTHBEARER', async () => {
      const withToken = (token: string): Promise<string[]> =>
        topics({ bootstrapBrokers: [at.saslTls], tls, sasl: { mechanism: 'OAUTHBEARER', token } });
      assert.ok((await withToken(issuer.token('alice'))).includes('of-platformatic'));
      await assert.rejects(withToken(issuer.token('alice', { exp: 1 })));
      // Signed by somebody else.
      await assert.rejects(withToken(new TokenIssuer().token('alice')));
    });

    test('a certificate', async () => {
      assert.ok(
        (await topics({ bootstrapBrokers: [at.tls], tls: { ...tls, ...pem(own) } })).includes(
          'of-platformatic',
        ),
      );
      await assert.rejects(topics({ bootstrapBrokers: [at.tls], tls: { ...tls, ...pem(foreign) } }));
    });
  });

  describe('librdkafka', { skip: peers.kcat.skip }, () => {
    async function roundTrip(address: string, settings: Readonly<Record<string, string>>): Promise<string> {
      const set = Object.entries(settings).flatMap(([name, value]) => ['-X', `${name}=${value}`]);
      const where = ['-b', address, '-t', 'of-kcat', '-p', '0', ...set, '-X', 'message.timeout.ms=5000'];
      const { code, stderr } = await run('kcat', ['-P', '-E', ...where], {
        input: 'hello\n',
        deadlineMs: 20_000,
      });
      if (code !== 0) return stderr;
      const read = await run('kcat', ['-C', '-e', '-q', '-c', '1', ...where], { deadlineMs: 20_000 });
      return read.stdout;
    }
    const trusting = { 'ssl.ca.location': authority.certificate };

    for (const mechanism of MECHANISMS) {
      const login = { 'sasl.mechanism': mechanism, 'sasl.username': 'alice', 'sasl.password': PASSWORD };
      test(`${mechanism}, with TLS and without`, async () => {
        const plain = { 'security.protocol': 'sasl_plaintext', ...login };
        assert.equal(await roundTrip(at.sasl, plain), 'hello\n');
        const tls = { 'security.protocol': 'sasl_ssl', ...trusting, ...login };
        assert.equal(await roundTrip(at.saslTls, tls), 'hello\n');
        assert.match(
          await roundTrip(at.sasl, { ...plain, 'sasl.username': 'nobody' }),
          /Authentication failed/i,
        );
      });
    }

    test('a certificate', async () => {
      const shown = ({ certificate, key }: Certificate) => ({
        'security.protocol': 'ssl',
        ...trusting,
        'ssl.certificate.location': certificate,
        'ssl.key.location': key,
      });
      assert.equal(await roundTrip(at.tls, shown(own)), 'hello\n');
      assert.doesNotMatch(await roundTrip(at.tls, shown(foreign)), /hello/);
    });
  });

  describe("Confluent's Python client", { skip: peers.python.skip }, () => {
    test('OAUTHBEARER, again and again on one connection', async () => {
      const script = `
import sys, time
from confluent_kafka.admin import AdminClient
token, address = sys.argv[1], sys.argv[2]
calls = [0]
def oauth(_config):
    calls[0] += 1
    return token, time.time() + 3600
admin = AdminClient({'bootstrap.servers': address, 'security.protocol': 'sasl_plaintext', 'sasl.mechanism': 'OAUTHBEARER', 'oauth_cb': oauth})
admin.poll(0.1)
print(len(admin.list_topics(timeout=10).brokers), calls[0])
`;
      const python = (token: string): Promise<RunResult> =>
        run(DEBIAN_PYTHON, ['-c', script, token, at.sasl], { deadlineMs: 30_000 });
      const taken = await python(issuer.token('alice'));
      assert.equal(taken.stdout, '1 1\n', taken.stderr);
      const refused = await python(issuer.token('alice', { aud: 'others' }));
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /invalid_token/);
    });
  });

  describe("Kafka's own Java client", { skip: peers.java.skip }, () => {
    async function topics(
      address: string,
      properties: Readonly<Record<string, string>>,
      env = {},
    ): Promise<RunResult> {
      const text = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
      const file = made.file(`client-${Math.random()}.properties`, text.join(''));
      const args = [
        '--bootstrap-server',
        address,
        '--command-config',
        file,
        '--create',
        '--if-not-exists',
        '--topic',
        'of-java',
      ];
      return runKafkaTool('topics', args, { env, deadlineMs: 60_000 });
    }
    const trusting = { 'ssl.truststore.type': 'PEM', 'ssl.truststore.location': authority.certificate };
    const jaas = (module: string, options: string): string =>
      `org.apache.kafka.common.security.${module} required ${options};`;
    const password = PASSWORD.replaceAll('"', String.raw`\\"`);

    for (const mechanism of ['PLAIN', 'SCRAM-SHA-512'] as const) {
      test(`${mechanism} over TLS`, async () => {
        const module = mechanism === 'PLAIN' ? 'plain.PlainLoginModule' : 'scram.ScramLoginModule';
        const login = (secret: string) => ({
          'security.protocol': 'SASL_SSL',
          ...trusting,
          'sasl.mechanism': mechanism,
          'sasl.jaas.config': jaas(module, `username="alice" password="${secret}"`),
        });
        const taken = await topics(at.saslTls, login(password));
        assert.equal(taken.code, 0, taken.stdout + taken.stderr);
        const refused = await topics(at.saslTls, login('wrong'));
        assert.notEqual(refused.code, 0);
        assert.match(refused.stdout + refused.stderr, /SaslAuthenticationException/);
      });
    }

    test('OAUTHBEARER', async () => {
      const url = `file://${made.file('token.jwt', issuer.token('alice'))}`;
      const properties = {
        'security.protocol': 'SASL_SSL',
        ...trusting,
        'sasl.mechanism': 'OAUTHBEARER',
        'sasl.jaas.config': jaas('oauthbearer.OAuthBearerLoginModule', ''),
        'sasl.login.callback.handler.class':
          'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
        'sasl.oauthbearer.token.endpoint.url': url,
      };
      const allowed = ['urls', 'files'].map(
        (what) =>
          `-Dorg.apache.kafka.sasl.oauthbearer.allowed.${what}=${what === 'urls' ? url : url.slice(7)}`,
      );
      const taken = await topics(at.saslTls, properties, { JAVA_TOOL_OPTIONS: allowed.join(' ') });
      assert.equal(taken.code, 0, taken.stdout + taken.stderr);
    });

    test('a certificate', async () => {
      const taken = await topics(at.tls, {
        'security.protocol': 'SSL',
        ...trusting,
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': own.both,
      });
      assert.equal(taken.code, 0, taken.stdout + taken.stderr);
    });
  });

  test('who is nobody special comes in, and may do nothing', async () => {
    const sasl = { mechanism: 'plain', username: 'bob', password: 'bob-secret' } as const;
    const admin = new Kafka({ brokers: [at.sasl], sasl, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    assert.deepEqual(await admin.listTopics(), []);
    await assert.rejects(admin.createTopics({ topics: [{ topic: 'of-bob' }] }));
    await admin.disconnect();
  });
});

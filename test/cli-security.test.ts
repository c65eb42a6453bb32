/** The command line at a broker with TLS and logins. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Broker } from 'polylog';
import { Certificates } from './clients/certificates.ts';
import { PolylogCli } from './clients/polylog.ts';

describe('polylog, at a secured broker', () => {
  const made = new Certificates();
  const authority = made.authority();
  const server = made.signed(authority, '/CN=broker');
  const alice = made.signed(authority, '/CN=alice');
  const password = made.file('password.txt', 'admin-secret\n');
  const trusting = ['--tls-ca', authority.certificate];
  const admin = ['--username', 'admin', '--password-file', password];
  let broker: Broker;
  let sasl: PolylogCli;
  let saslTls: PolylogCli;
  let tls: PolylogCli;
  before(async () => {
    broker = await Broker.start({
      http: false,
      logLevel: 'silent',
      config: {
        listeners: 'SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0,SSL://127.0.0.1:0',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        'security.bootstrap.users': 'admin=admin-secret',
        'ssl.keystore.location': server.both,
        'ssl.truststore.location': authority.certificate,
        'listener.name.ssl.ssl.client.auth': 'required',
        'authorization.enabled': true,
        'super.users': 'User:admin;User:CN=alice',
      },
    });
    const cli = (name: string): PolylogCli => new PolylogCli(broker.listenerAddresses.get(name)!);
    [sasl, saslTls, tls] = [cli('SASL_PLAINTEXT'), cli('SASL_SSL'), cli('SSL')];
  });
  after(async () => {
    await broker.stop();
    made.remove();
  });

  it('logs in by each mechanism, with TLS and without, and shows a certificate', async () => {
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      await sasl.ok(['topic', 'list', ...admin, '--sasl-mechanism', mechanism]);
    }
    await saslTls.ok(['topic', 'create', 'secured', ...admin, ...trusting]);
    const shown = ['--tls-cert', alice.certificate, '--tls-key', alice.key];
    assert.match(await tls.ok(['topic', 'list', ...trusting, ...shown]), /^secured /m);
    await tls.ok(['produce', 'secured', '-v', 'hello', ...trusting, '--tls-cert', alice.both]);
    const read = ['consume', 'secured', '--group', 'readers', '--max-messages', '1'];
    assert.equal(await saslTls.ok([...read, ...admin, ...trusting]), 'hello\n');
  });

  it("takes the settings of Kafka's tools", async () => {
    const lines = [
      '# as for kafka-topics.sh',
      'security.protocol=SASL_SSL',
      'sasl.mechanism = SCRAM-SHA-256',
      `ssl.truststore.location=${authority.certificate}`,
      'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="admin-secret";',
    ];
    const file = made.file('client.properties', lines.join('\n'));
    await saslTls.ok(['topic', 'list', '--command-config', file]);
  });

  it('adds users, changes their passwords and deletes them', async () => {
    await sasl.ok(['user', 'add', 'bob', ...admin], { input: 'bob-secret\n' });
    await sasl.ok(['topic', 'list', '--username', 'bob', '--password', 'bob-secret']);
    await sasl.ok(['user', 'add', 'bob', '--new-password', 'another', ...admin]);
    const refused = await sasl.run(['topic', 'list', '--username', 'bob', '--password', 'bob-secret']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /login of bob: Authentication failed.*SASL_AUTHENTICATION_FAILED/);
    await sasl.ok(['user', 'delete', 'bob', '--yes', ...admin]);
    const gone = await sasl.run(['user', 'delete', 'bob', '--yes', ...admin]);
    assert.equal(gone.code, 3);
  });

  it('shows no secret of the configuration, and says so', async () => {
    const names = ['security.bootstrap.users', 'ssl.key.password', 'ssl.keystore.location'];
    const shown = await sasl.ok(['config', 'list', 'broker', '1', '--all', ...admin, '--json']);
    assert.doesNotMatch(shown, /admin-secret/);
    const { configs } = JSON.parse(shown) as {
      configs: { name: string; value: string | null; sensitive: boolean; type: string }[];
    };
    assert.deepEqual(
      names
        .map((name) => configs.find((one) => one.name === name)!)
        .map(({ value, sensitive }) => [value, sensitive]),
      [
        [null, true],
        [null, true],
        [server.both, false],
      ],
    );
  });

  it('says what is missing', async () => {
    const without = await sasl.run(['topic', 'list']);
    assert.equal(without.code, 4);
    assert.match(without.stderr, /closed the connection\n {2}A listener with TLS or a login/);
    const untrusted = await saslTls.run(['topic', 'list', ...admin, '--tls']);
    assert.match(untrusted.stderr, /certificate/);
    const alone = await sasl.run(['topic', 'list', '--password', 'x']);
    assert.equal(alone.code, 2);
    assert.match(alone.stderr, /--password needs --username/);
    const nothing = await sasl.run(['topic', 'list', '--username', 'admin']);
    assert.match(nothing.stderr, /--username needs a password/);
  });
});

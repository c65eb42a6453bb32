import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, environmentSettings, resolveConfig } from '../../src/config/load.ts';

function resolve(settings: Readonly<Record<string, string>>) {
  return resolveConfig(
    Object.entries(settings).map(([name, text]) => ({ name, text, source: 'flag', where: `--${name}` })),
  );
}

function mistakes(settings: Readonly<Record<string, string>>): readonly string[] {
  try {
    resolve(settings);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.mistakes;
  }
  assert.fail('no mistake was found');
}

describe('Listeners', () => {
  it('are one, in plaintext, unless something else is said', () => {
    const [only, ...others] = resolve({ kafka: ':9000', 'advertised.kafka': 'example.org:9001' }).listeners;
    assert.deepEqual(others, []);
    assert.equal(only!.name, 'kafka');
    assert.equal(only!.security, 'PLAINTEXT');
    assert.deepEqual(only!.address, { host: '0.0.0.0', port: 9000 });
    assert.deepEqual(only!.advertised, { host: 'example.org', port: 9001 });
  });

  it("are named by Kafka's settings, each with its address, mode and advertised address", () => {
    const { listeners } = resolve({
      listeners: 'PLAINTEXT://127.0.0.1:9092, OUTSIDE://[::1]:9093',
      'listener.security.protocol.map': 'outside:sasl_plaintext',
      'advertised.listeners': 'OUTSIDE://example.org:443',
    });
    assert.deepEqual(
      listeners.map(({ name, security, address, advertised }) => ({ name, security, address, advertised })),
      [
        {
          name: 'PLAINTEXT',
          security: 'PLAINTEXT',
          address: { host: '127.0.0.1', port: 9092 },
          advertised: undefined,
        },
        {
          name: 'OUTSIDE',
          security: 'SASL_PLAINTEXT',
          address: { host: '::1', port: 9093 },
          advertised: { host: 'example.org', port: 443 },
        },
      ],
    );
  });

  it('take settings of their own before those for all, also from the environment', () => {
    const { listeners } = resolveConfig([
      ...environmentSettings({
        POLYLOG_LISTENERS: 'SASL_PLAINTEXT://:1,INNER://:2',
        POLYLOG_LISTENER_SECURITY_PROTOCOL_MAP: 'INNER:SASL_PLAINTEXT',
        POLYLOG_SASL_ENABLED_MECHANISMS: 'SCRAM-SHA-512',
        POLYLOG_LISTENER_NAME_SASL_PLAINTEXT_SASL_ENABLED_MECHANISMS: 'PLAIN',
      }),
    ]);
    assert.deepEqual(
      listeners.map(({ settings }) => settings['sasl.enabled.mechanisms']),
      [['PLAIN'], ['SCRAM-SHA-512']],
    );
  });

  it('take the keys of tokens from no URL that has a password in it, and quote none', () => {
    const urlOf = (url: string) => ({
      listeners: 'SASL_PLAINTEXT://:1',
      'sasl.enabled.mechanisms': 'OAUTHBEARER',
      'sasl.oauthbearer.jwks.endpoint.url': url,
    });
    for (const url of ['https://issuer.example/keys?of=a@b', 'file:///etc/keys.json']) {
      const [listener] = resolve(urlOf(url)).listeners;
      assert.equal(listener!.settings['sasl.oauthbearer.jwks.endpoint.url'], url);
    }
    for (const url of [
      'https://user:hunter2@issuer.example/keys',
      'https://hunter2@issuer.example/keys',
      'https:///user:hunter2@issuer.example/keys',
      'https://\\user:hunter2@issuer.example/keys',
      'http://user:hunter2@issuer.example/keys',
    ]) {
      const [mistake] = mistakes(urlOf(url));
      assert.match(mistake!, /must be a URL of https or file, without a user and a password in it$/);
    }
    assert.match(mistakes(urlOf('http://issuer.example/keys'))[0]!, /, not "http:\/\/issuer.example\/keys"$/);
  });

  it('are refused when they do not fit together', () => {
    assert.match(
      mistakes({ listeners: 'A://:1', kafka: ':2' })[0]!,
      /kafka and listeners exclude each other/,
    );
    assert.match(mistakes({ listeners: 'A://:1' })[0]!, /nothing says how the listener A is secured/);
    assert.match(mistakes({ listeners: 'SSL://:1' })[0]!, /SSL is SSL: ssl.keystore.location has to name/);
    assert.match(mistakes({ listeners: 'SSL://:1,ssl://:2' })[0]!, /listeners must be NAME:\/\//);
    assert.match(
      mistakes({ 'listener.name.outer.ssl.client.auth': 'none' })[0]!,
      /there is no listener outer, only kafka/,
    );
    assert.match(
      mistakes({ listeners: 'PLAINTEXT://:1', 'advertised.listeners': 'SSL://:1' })[0]!,
      /no listener ssl to advertise/,
    );
    assert.match(
      mistakes({ listeners: 'SASL_PLAINTEXT://:1', 'sasl.enabled.mechanisms': 'OAUTHBEARER' })[0]!,
      /OAUTHBEARER needs sasl.oauthbearer.jwks.endpoint.url/,
    );
    assert.match(
      mistakes({
        listeners: 'SSL://:1',
        'ssl.keystore.location': 'k.pem',
        'ssl.client.auth': 'required',
      })[0]!,
      /needs ssl.truststore.location/,
    );
    // A text for all listeners would take the place of the file that one of them has for itself.
    for (const [text, file] of [
      ['ssl.keystore.certificate.chain', 'ssl.keystore.location'],
      ['ssl.keystore.key', 'ssl.key.location'],
      ['ssl.truststore.certificates', 'ssl.truststore.location'],
    ] as const) {
      const settings = { listeners: 'SSL://:1', 'ssl.keystore.key': '-----BEGIN PRIVATE KEY-----' };
      const both = { [text]: '-----BEGIN X-----', [`listener.name.ssl.${file}`]: 'x.pem' };
      const [mistake] = mistakes({
        ...settings,
        'ssl.keystore.certificate.chain': '-----BEGIN CERTIFICATE-----',
        ...both,
      });
      assert.equal(mistake, `--listeners: the listener SSL is SSL: ${text} and ${file} exclude each other`);
    }
  });

  it('never quote a secret', () => {
    const [mistake] = mistakes({ 'ssl.keystore.key': 'hunter2' });
    assert.equal(mistake, '--ssl.keystore.key: ssl.keystore.key must be a private key in PEM');
  });
});

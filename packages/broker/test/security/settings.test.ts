import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, resolveConfig } from '../../src/config/load.ts';
import { authorizerSettingsOf, type AuthorizerSettings } from '../../src/security/settings.ts';

function settingsOf(config: Record<string, string>): AuthorizerSettings | undefined {
  const raw = Object.entries(config).map(
    ([name, text]) => ({ name, text, source: 'flag', where: name }) as const,
  );
  return authorizerSettingsOf(resolveConfig(raw).settings);
}

describe('The settings of access rules', () => {
  it('leave them out of force unless they say otherwise', () => {
    assert.equal(settingsOf({}), undefined);
    assert.equal(settingsOf({ 'super.users': 'User:admin' }), undefined);
  });

  it("switch them on by Polylog's setting or Kafka's, and deny by default", () => {
    for (const [name, text] of [
      ['authorization.enabled', 'true'],
      ['authorizer.class.name', 'org.apache.kafka.metadata.authorizer.StandardAuthorizer'],
    ] as const) {
      assert.deepEqual(settingsOf({ [name]: text }), { superUsers: new Set(), allowIfNoAcl: false });
    }
  });

  it('name super users with semicolons between them, distinguished names too', () => {
    const found = settingsOf({
      'authorization.enabled': 'true',
      'super.users': 'User:admin; User:CN=ops,O=Example Ltd;',
      'allow.everyone.if.no.acl.found': 'true',
    });
    assert.deepEqual(found, {
      superUsers: new Set(['User:admin', 'User:CN=ops,O=Example Ltd']),
      allowIfNoAcl: true,
    });
  });

  for (const text of ['admin', 'User:', ':admin', 'User:admin;bob', 'User:admin,User:bob']) {
    it(`refuse super.users=${text}`, () => {
      assert.throws(() => settingsOf({ 'super.users': text }), ConfigError);
    });
  }

  it('refuse an authorizer that there is not', () => {
    assert.throws(() => settingsOf({ 'authorizer.class.name': 'org.example.Mine' }), ConfigError);
  });
});

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { DerError, subjectOf } from '../../src/security/distinguished-name.core.ts';
import { certificateMapping } from '../../src/security/principal-mapping.ts';
import { Certificates } from '../../../../test/clients/certificates.ts';

describe('The subject of a certificate', () => {
  const made = new Certificates();
  after(() => made.remove());
  const authority = made.authority();
  const der = (subject: string): Uint8Array =>
    new X509Certificate(readFileSync(made.signed(authority, subject).certificate)).raw;
  const alice = der('/C=DE/ST=Bayern/O=Example, Inc./OU=Sales/CN=alice');

  it("is written as Java's X500Principal does, the last part first", () => {
    assert.equal(subjectOf(alice), String.raw`CN=alice,OU=Sales,O=Example\, Inc.,ST=Bayern,C=DE`);
    assert.equal(
      subjectOf(der('/DC=org/DC=example/UID=u1/CN=Ünal <x>')),
      String.raw`CN=Ünal \<x\>,UID=u1,DC=example,DC=org`,
    );
    assert.equal(subjectOf(der('/CN=a+CN=b')), 'CN=a+CN=b');
    assert.equal(
      subjectOf(der('/CN=mail/emailAddress=a@b.c')),
      '1.2.840.113549.1.9.1=#16056140622e63,CN=mail',
    );
  });

  it('is never guessed: what is no certificate is refused', () => {
    assert.throws(() => subjectOf(new Uint8Array(0)), DerError);
    for (let end = 1; end < 200; end++) assert.throws(() => subjectOf(alice.subarray(0, end)), DerError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          subjectOf(bytes);
        } catch (error) {
          assert.ok(error instanceof DerError, String(error));
        }
      }),
    );
  });

  it('becomes a principal by the first rule that fits it', () => {
    const map = (rules: string) => certificateMapping(rules)(alice)?.name;
    const whole = String.raw`CN=alice,OU=Sales,O=Example\, Inc.,ST=Bayern,C=DE`;
    assert.equal(map('DEFAULT'), whole);
    assert.equal(map(''), whole);
    assert.equal(map('RULE:^CN=([^,]*),.*$/$1/'), 'alice');
    assert.equal(map('RULE:^CN=([^,]*),OU=([^,]*),.*$/$1@$2/U'), 'ALICE@SALES');
    assert.equal(
      map('RULE:^CN=([^,]*),OU=Dev.*$/$1/, RULE:^CN=(.*?),OU=(.*?),.*$/$2-$1/L,DEFAULT'),
      'sales-alice',
    );
    assert.equal(map('RULE:^OU=.*$/x/'), undefined);
    assert.equal(map('RULE:^OU=.*$/x/,DEFAULT'), whole);
    assert.throws(() => certificateMapping('RULE:^CN=(/x/'), /is no rule/);
    assert.throws(() => certificateMapping('CN=.*'), /is no rule/);
  });
});

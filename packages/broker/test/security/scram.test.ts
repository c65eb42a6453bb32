import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PlainExchange, ScramExchange, type PasswordContext } from '../../src/security/password-exchanges.ts';
import type { SaslStep } from '../../src/security/sasl.ts';
import type { ScramMechanism } from '../../src/security/scram.core.ts';
import { credentialFor, credentialsOf, crypto, ScramClient } from './credentials.ts';

const context: PasswordContext = {
  credentials: credentialsOf({ alice: 'secret', 'a,b=c': 'odd', Ünal: 'pässword' }),
  crypto,
  attempt: () => 0,
  inTurn: (work) => work(),
};

function text(step: SaslStep): string {
  assert.ok(step.kind !== 'refused', step.kind === 'refused' ? step.reason : '');
  return Buffer.from(step.message).toString();
}

function refused(step: SaslStep): { reason: string; answer: string } {
  assert.ok(step.kind === 'refused');
  return step;
}

function run(client: ScramClient, mechanism: ScramMechanism): SaslStep {
  const exchange = new ScramExchange(mechanism, context);
  return exchange.next(Buffer.from(client.final(text(exchange.next(Buffer.from(client.first))))));
}

describe('SCRAM', () => {
  it('exchanges the messages of RFC 7677, section 3', () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const credential = credentialFor('SCRAM-SHA-256', 'pencil', salt, 4096);
    const credentials = { ...context.credentials, lookUp: () => ({ credential, isReal: true }) };
    const nonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const exchange = new ScramExchange('SCRAM-SHA-256', { ...context, credentials }, nonce);
    assert.equal(
      text(exchange.next(Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'))),
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    );
    const final =
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
    const done = exchange.next(Buffer.from(final));
    assert.equal(text(done), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
    assert.deepEqual(done.kind === 'done' && done.principal, { type: 'User', name: 'user' });
  });

  for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    it(`${mechanism} lets in who knows the password, and proves that the server knows it too`, () => {
      for (const [escaped, name, password] of [
        ['alice', 'alice', 'secret'],
        ['a=2Cb=3Dc', 'a,b=c', 'odd'],
        ['Ünal', 'Ünal', 'pässword'],
      ] as const) {
        for (const header of ['n,,', 'y,,', `n,a=${escaped},`]) {
          const client = new ScramClient(mechanism, escaped, password, 'client-nonce', header);
          const done = run(client, mechanism);
          assert.equal(text(done), client.serverFinal);
          assert.deepEqual(done.kind === 'done' && done.principal, { type: 'User', name });
        }
      }
    });

    it(`${mechanism} tells a wrong password and an unknown user apart in the log at most`, () => {
      const wrong = refused(run(new ScramClient(mechanism, 'alice', 'Secret'), mechanism));
      const unknown = refused(run(new ScramClient(mechanism, 'nobody', 'nobody knows it'), mechanism));
      assert.equal(wrong.answer, unknown.answer);
      assert.equal(wrong.reason, unknown.reason);
    });
  }

  it('refuses messages that break its rules', () => {
    for (const [message, reason] of [
      ['', /malformed/],
      ['n,,n=alice', /malformed/],
      ['n,,r=12345678,n=alice', /malformed/],
      ['p=tls-unique,,n=alice,r=12345678', /Channel binding/],
      ['n,,m=x,n=alice,r=12345678', /mandatory/],
      ['n,a=bob,n=alice,r=12345678', /another user/],
      ['n,,n=al=ice,r=12345678', /user name/],
      ['n,,n=alice,r=1234567', /nonce has 7/],
      [`n,,n=alice,r=${'x'.repeat(257)}`, /nonce has 257/],
      ['n,,n=alice,r=12345678,tokenauth=true', /Delegation/],
      [`n,,n=${'x'.repeat(300)},r=12345678`, /too long/],
      ['n,,n=\u00fc,r=12 45678', /malformed/],
    ] as const) {
      assert.match(
        refused(new ScramExchange('SCRAM-SHA-256', context).next(Buffer.from(message))).reason,
        reason,
      );
    }
    assert.match(
      refused(new ScramExchange('SCRAM-SHA-256', context).next(Buffer.from([0xc3, 0x28]))).reason,
      /UTF-8/,
    );
  });

  it('refuses a last message of another exchange, or with another channel binding', () => {
    const client = new ScramClient('SCRAM-SHA-256', 'alice', 'secret');
    const begin = (): { exchange: ScramExchange; first: string } => {
      const exchange = new ScramExchange('SCRAM-SHA-256', context);
      return { exchange, first: text(exchange.next(Buffer.from(client.first))) };
    };
    const [one, other] = [begin(), begin()];
    assert.notEqual(one.first, other.first, 'the nonces differ');
    const final = client.final(one.first);
    assert.match(refused(other.exchange.next(Buffer.from(final))).reason, /nonce is not/);
    const { exchange, first } = begin();
    const bound = client.final(first).replace('c=biws', `c=${Buffer.from('y,,').toString('base64')}`);
    assert.match(refused(exchange.next(Buffer.from(bound))).reason, /channel binding/);
    const cut = begin();
    assert.match(
      refused(cut.exchange.next(Buffer.from(client.final(cut.first).replace(/p=.*/, 'p=AAAA')))).reason,
      /no such user/,
    );
  });
});

describe('PLAIN', () => {
  const plain = (message: string | Uint8Array) => new PlainExchange(context).next(Buffer.from(message));

  it('checks the password against the SCRAM credential', async () => {
    const done = await plain('\0alice\0secret');
    assert.deepEqual(done.kind === 'done' && done.principal, { type: 'User', name: 'alice' });
    assert.equal((await plain('alice\0alice\0secret')).kind, 'done');
    const wrong = refused(await plain('\0alice\0Secret'));
    assert.deepEqual(refused(await plain('\0nobody\0nobody knows it')).answer, wrong.answer);
  });

  it('refuses messages that break its rules', async () => {
    for (const [message, reason] of [
      ['', /malformed/],
      ['alice\0secret', /malformed/],
      ['\0\0secret', /malformed/],
      ['\0alice\0sec\0ret', /malformed/],
      ['bob\0alice\0secret', /another user/],
      [`\0alice\0${'x'.repeat(1025)}`, /too long/],
      [`\0${'x'.repeat(257)}\0x`, /too long/],
      [Buffer.from([0, 0xff, 0, 65]), /malformed/],
    ] as const) {
      assert.match(refused(await plain(message)).reason, reason);
    }
  });
});

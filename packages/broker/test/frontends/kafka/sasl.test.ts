import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { apis, kafkaErrors } from '@polylog/kafka-protocol';

import { defineHandler } from '../../../src/frontends/kafka/handler.ts';
import { saslAuthenticateHandler } from '../../../src/frontends/kafka/handlers/sasl-authenticate.ts';
import { saslHandshakeHandler } from '../../../src/frontends/kafka/handlers/sasl-handshake.ts';
import type { KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { Authenticator } from '../../../src/security/authenticator.ts';
import { FAILURES_PER_USER_MAX, LoginLimiter } from '../../../src/security/login-limiter.core.ts';
import { principalName } from '../../../src/security/principal.ts';
import { quotaSection } from '../../support/quotas.ts';
import { credentialsOf, ScramClient } from '../../security/credentials.ts';
import { world, type TestClient } from './harness.ts';

const { ILLEGAL_SASL_STATE, UNSUPPORTED_SASL_MECHANISM, SASL_AUTHENTICATION_FAILED } = kafkaErrors;
const ASK = { topics: [], allowAutoTopicCreation: false };
const NO_ANSWER = { brokers: [], topics: [] };

async function secured(options: { reauthenticateMs?: number } = {}) {
  const principals: string[] = [];
  const whoAmI = defineHandler({
    api: apis.metadata,
    versions: [0, 13],
    handle(_request, { connection }) {
      principals.push(principalName(connection.principal));
      return NO_ANSWER;
    },
    failure: () => NO_ANSWER,
  });
  const versions = defineHandler({
    api: apis.apiVersions,
    versions: [0, 4],
    handle: () => ({ errorCode: 0, apiKeys: [] }),
    failure: (_request, errorCode) => ({ errorCode, apiKeys: [] }),
  });
  let authenticator: Authenticator | undefined;
  let services: Partial<KafkaServices> = {};
  const authenticate = saslAuthenticateHandler(
    new Proxy({} as KafkaServices, { get: (_, name: keyof KafkaServices) => services[name] }),
  );
  const made = await world({
    handlers: [versions, whoAmI, saslHandshakeHandler(), authenticate],
    sasl: {
      ...options,
      authenticator: ({ crypto, clock, timers, logger }) => {
        services = { timers, logger, failedAuthenticationDelayMs: 100 };
        authenticator = new Authenticator({
          mechanisms: ['PLAIN', 'SCRAM-SHA-256'],
          credentials: credentialsOf({ alice: 'secret', bob: 'b' }),
          crypto,
          clock,
          limiter: new LoginLimiter(),
        });
        return authenticator;
      },
    },
  });
  return { ...made, principals, authenticator: authenticator! };
}

const plain = (user: string, password: string) => ({ authBytes: Buffer.from(`\0${user}\0${password}`) });

async function login(client: TestClient, user = 'alice', password = 'secret', version = 2) {
  const { errorCode } = await client.call(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
  assert.equal(errorCode, 0);
  return client.call(apis.saslAuthenticate, version, plain(user, password));
}

/** Makes the first step of SCRAM, and returns what is the second. */
async function beginScram(client: TestClient, password: string): Promise<{ authBytes: Buffer }> {
  const scram = new ScramClient('SCRAM-SHA-256', 'alice', password);
  await client.call(apis.saslHandshake, 1, { mechanism: 'SCRAM-SHA-256' });
  const first = { authBytes: Buffer.from(scram.first) };
  const { authBytes } = await client.call(apis.saslAuthenticate, 1, first);
  return { authBytes: Buffer.from(scram.final(Buffer.from(authBytes).toString())) };
}

const ASK_VERSIONS = { clientSoftwareName: 'x', clientSoftwareVersion: '1' };

describe('SASL on a connection', () => {
  it('lets in who has said who it is, after ApiVersions and SaslHandshake', async () => {
    const { connect, principals, authenticator } = await secured();
    const client = await connect();
    await client.call(apis.apiVersions, 3, ASK_VERSIONS);
    const handshake = await client.call(apis.saslHandshake, 1, { mechanism: 'SCRAM-SHA-256' });
    assert.deepEqual(handshake, { errorCode: 0, mechanisms: ['PLAIN', 'SCRAM-SHA-256'] });
    const scram = new ScramClient('SCRAM-SHA-256', 'alice', 'secret');
    const send = (text: string) => client.call(apis.saslAuthenticate, 1, { authBytes: Buffer.from(text) });
    const first = await send(scram.first);
    assert.equal(first.errorCode, 0);
    const last = await send(scram.final(Buffer.from(first.authBytes).toString()));
    assert.equal(Buffer.from(last.authBytes).toString(), scram.serverFinal);
    assert.equal(last.sessionLifetimeMs, 0);
    await client.call(apis.metadata, 9, ASK);
    assert.deepEqual(principals, ['User:alice']);
    assert.deepEqual(authenticator.counts.get('SCRAM-SHA-256'), { succeeded: 1, failed: 0 });
  });

  it('charges no quota for the login, before or again: nobody is known to have asked for it', async () => {
    const { connect, broker, sim } = await secured({ reauthenticateMs: 60_000 });
    const { clients } = broker.quotas;
    clients.load(
      quotaSection({ 'user:': { request_percentage: 1 }, 'client-id:': { request_percentage: 1 } }),
    );
    const spend = (user: string): void => clients.of(undefined, user, 'test').spent(1000);
    spend('ANONYMOUS');
    const client = await connect();
    const { throttleTimeMs } = await client.call(apis.apiVersions, 3, ASK_VERSIONS);
    assert.equal(throttleTimeMs, 0);
    assert.equal((await login(client)).errorCode, 0);
    assert.equal(clients.trackedCount, 1);
    await sim.advance(2000);
    spend('alice');
    assert.equal((await login(client)).errorCode, 0);
    assert.equal(clients.throttled.request.count, 0);
    assert.equal((await client.call(apis.metadata, 9, ASK)).throttleTimeMs, 1000);
  });

  it('closes the connection for anything else that comes before', async () => {
    const { sim, connect, warnings } = await secured();
    const before = [
      (client: TestClient) => client.send(apis.metadata, 9, ASK),
      (client: TestClient) => client.send(apis.saslAuthenticate, 2, plain('alice', 'secret')),
    ];
    for (const send of before) {
      const client = await connect();
      void send(client);
      await sim.runUntil(() => client.isClosed);
      assert.match(warnings.at(-1)!, /a request before the authentication/);
      assert.equal(client.receivedBytes, 0);
    }
    // Nor between the two, nor pipelined behind a login that fails.
    const between = await connect();
    await between.call(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
    void between.send(apis.apiVersions, 3, ASK_VERSIONS);
    await sim.runUntil(() => between.isClosed);
    const eager = await connect();
    void eager.send(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
    void eager.send(apis.saslAuthenticate, 2, plain('alice', 'wrong'));
    const metadata = eager.send(apis.metadata, 9, ASK);
    await sim.runUntil(() => eager.isClosed);
    await assert.rejects(metadata, /connection closed/);
  });

  it('serves what is pipelined behind a login that succeeds', async () => {
    const { sim, connect, principals } = await secured();
    const client = await connect();
    void client.send(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
    void client.send(apis.saslAuthenticate, 2, plain('bob', 'b'));
    await sim.settle(client.send(apis.metadata, 9, ASK));
    assert.deepEqual(principals, ['User:bob']);
  });

  it('answers a failure late, and then closes', async () => {
    const { sim, connect, authenticator, warnings } = await secured();
    const client = await connect();
    const startedMs = sim.nowMs;
    const failed = await login(client, 'alice', 'wrong');
    assert.equal(failed.errorCode, SASL_AUTHENTICATION_FAILED.code);
    assert.match(failed.errorMessage!, /Invalid username or password/);
    assert.ok(sim.nowMs - startedMs >= 100);
    await sim.runUntil(() => client.isClosed);
    assert.match(warnings.at(-1)!, /"user":"alice"/);
    assert.doesNotMatch(warnings.at(-1)!, /"wrong"/);
    assert.deepEqual(authenticator.counts.get('PLAIN'), { succeeded: 0, failed: 1 });
  });

  it('names the mechanisms that there are, and closes, for one that there is not', async () => {
    const { sim, connect } = await secured();
    const client = await connect();
    const answer = await client.call(apis.saslHandshake, 1, { mechanism: 'GSSAPI' });
    assert.deepEqual(answer, {
      errorCode: UNSUPPORTED_SASL_MECHANISM.code,
      mechanisms: ['PLAIN', 'SCRAM-SHA-256'],
    });
    await sim.runUntil(() => client.isClosed);
  });

  it('takes bare messages after SaslHandshake v0', async () => {
    const { sim, connect, principals } = await secured();
    const frame = (body: string): Buffer => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(Buffer.byteLength(body));
      return Buffer.concat([length, Buffer.from(body)]);
    };
    const client = await connect();
    await client.call(apis.saslHandshake, 0, { mechanism: 'SCRAM-SHA-256' });
    const frames: string[] = [];
    client.takesAnything = true;
    client.onFrame = (bytes) => frames.push(bytes.toString());
    const scram = new ScramClient('SCRAM-SHA-256', 'alice', 'secret');
    client.raw(frame(scram.first));
    await sim.runUntil(() => frames.length === 1);
    client.raw(frame(scram.final(frames[0]!)));
    await sim.runUntil(() => frames.length === 2);
    assert.equal(frames[1], scram.serverFinal);
    await client.call(apis.metadata, 9, ASK);
    assert.deepEqual(principals, ['User:alice']);

    const other = await connect();
    await other.call(apis.saslHandshake, 0, { mechanism: 'PLAIN' });
    const { receivedBytes } = other;
    other.raw(frame('\0alice\0wrong'));
    await sim.runUntil(() => other.isClosed);
    assert.equal(other.receivedBytes, receivedBytes, 'a failure has no answer');
  });

  it('reads no frame above 64 KiB before, and the usual ones after', async () => {
    const { sim, connect, warnings } = await secured();
    const announce = (bytes: number): Buffer => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(bytes);
      return length;
    };
    const client = await connect();
    client.raw(announce(64 * 1024 + 1));
    await sim.runUntil(() => client.isClosed);
    assert.match(warnings.at(-1)!, /"requestBytesMax":65536/);
    const known = await connect();
    await login(known);
    known.raw(announce(64 * 1024 + 1));
    await sim.advance(1000);
    assert.equal(known.isClosed, false);
  });

  it('closes a connection that does not authenticate in time, and no idle one that did', async () => {
    const { sim, connect } = await secured();
    const silent = await connect();
    const talkative = await connect();
    const known = await connect();
    await talkative.call(apis.apiVersions, 3, ASK_VERSIONS);
    await login(known);
    await sim.advance(60_000);
    assert.deepEqual([silent.isClosed, talkative.isClosed, known.isClosed], [true, true, false]);
  });

  it('makes a guesser wait', async () => {
    const { sim, connect } = await secured();
    const answers: (string | null)[] = [];
    for (let tries = 0; tries < 40; tries++) {
      const client = await connect();
      answers.push((await login(client, 'alice', `guess ${tries}`)).errorMessage);
      await sim.runUntil(() => client.isClosed);
    }
    const judged = answers.filter((answer) => /Invalid username or password/.test(answer!));
    assert.ok(judged.length >= 30 && judged.length < 35, String(judged.length));
    assert.match(answers.at(-1)!, /Too many failed logins/);
  });

  it('makes nobody wait who knows the password, however many come at once', async () => {
    const { sim, connect, authenticator } = await secured();
    const clients = [];
    for (let left = 2 * FAILURES_PER_USER_MAX; left > 0; left--) clients.push(await connect());
    const logins = clients.map((client) => {
      void client.send(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
      return client.send(apis.saslAuthenticate, 2, plain('alice', 'secret'));
    });
    const answers = await sim.settle(Promise.all(logins));
    assert.deepEqual(new Set(answers.map(({ errorMessage }) => errorMessage)), new Set([null]));
    assert.deepEqual(authenticator.counts.get('PLAIN'), { succeeded: clients.length, failed: 0 });
  });

  it('counts nobody as a guesser who is half-way through SCRAM', async () => {
    const { connect } = await secured();
    const halves = [];
    for (let left = 2 * FAILURES_PER_USER_MAX; left > 0; left--) {
      const client = await connect();
      halves.push({ client, last: await beginScram(client, 'secret') });
    }
    for (const { client, last } of halves) {
      const { errorMessage } = await client.call(apis.saslAuthenticate, 1, last);
      assert.equal(errorMessage, null);
    }
  });

  it('makes who guesses through SCRAM wait', async () => {
    const { sim, connect } = await secured();
    const answers: (string | null)[] = [];
    for (let tries = 0; tries < 40; tries++) {
      const client = await connect();
      const last = await beginScram(client, `guess ${tries}`);
      answers.push((await client.call(apis.saslAuthenticate, 1, last)).errorMessage);
      await sim.runUntil(() => client.isClosed);
    }
    const judged = answers.filter((answer) => /invalid credentials/.test(answer!));
    assert.ok(judged.length >= 30 && judged.length < 35, String(judged.length));
    assert.ok(answers.some((answer) => /Too many failed logins/.test(answer!)));
  });
});

describe('Authenticating again', () => {
  it('goes on, with the same principal, before the time is up', async () => {
    const { sim, connect, principals } = await secured({ reauthenticateMs: 10_000 });
    const client = await connect();
    assert.equal((await login(client)).sessionLifetimeMs, 10_000);
    for (let round = 0; round < 5; round++) {
      await sim.advance(8000);
      assert.equal((await login(client)).sessionLifetimeMs, 10_000);
      await client.call(apis.metadata, 9, ASK);
    }
    assert.equal(principals.length, 5);
  });

  it('serves requests between its steps while the old one holds', async () => {
    const { sim, connect, principals } = await secured({ reauthenticateMs: 10_000 });
    const client = await connect();
    await login(client);
    await sim.advance(5000);
    await client.call(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
    await client.call(apis.metadata, 9, ASK);
    await client.call(apis.saslAuthenticate, 2, plain('alice', 'secret'));
    await sim.advance(8000);
    await client.call(apis.metadata, 9, ASK);
    assert.deepEqual(principals, ['User:alice', 'User:alice']);
  });

  it('is not left out: the first request after the time closes the connection', async () => {
    const { sim, connect, authenticator } = await secured({ reauthenticateMs: 10_000 });
    const client = await connect();
    await login(client, 'alice', 'secret', 0);
    await sim.advance(10_001);
    assert.equal(client.isClosed, false);
    void client.send(apis.metadata, 9, ASK);
    await sim.runUntil(() => client.isClosed);
    assert.equal(authenticator.expiredSessions, 1);
  });

  it('changes neither principal nor mechanism', async () => {
    const { sim, connect } = await secured({ reauthenticateMs: 10_000 });
    const client = await connect();
    await login(client);
    await sim.advance(2000);
    const changed = await login(client, 'bob', 'b');
    assert.equal(changed.errorCode, SASL_AUTHENTICATION_FAILED.code);
    assert.match(changed.errorMessage!, /Cannot change principals/);
    await sim.runUntil(() => client.isClosed);
    const other = await connect();
    await login(other);
    await sim.advance(2000);
    const { errorCode } = await other.call(apis.saslHandshake, 1, { mechanism: 'SCRAM-SHA-256' });
    assert.equal(errorCode, UNSUPPORTED_SASL_MECHANISM.code);
    await sim.runUntil(() => other.isClosed);
  });

  it('comes once a second at most', async () => {
    const { connect } = await secured();
    const client = await connect();
    await login(client);
    const { errorCode } = await client.call(apis.saslHandshake, 1, { mechanism: 'PLAIN' });
    assert.equal(errorCode, ILLEGAL_SASL_STATE.code);
    await client.call(apis.metadata, 9, ASK);
  });
});

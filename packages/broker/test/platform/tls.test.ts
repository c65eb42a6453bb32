import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { connect as connectPlainly, type Socket } from 'node:net';
import { after, afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { NodeConnection } from '../../src/platform/node/connection.ts';
import { NodeLogger } from '../../src/platform/node/logger.ts';
import { NodeLoop } from '../../src/platform/node/loop.ts';
import { NodeNetwork } from '../../src/platform/node/network.ts';
import { readPlainly, ReceivePool, Receiver } from '../../src/platform/node/receive-buffer.ts';
import {
  NetworkError,
  type Arrival,
  type Connection,
  type Listener,
  type Network,
} from '../../src/platform/network.ts';
import type { HandshakeFailure, TlsOptions } from '../../src/platform/tls.ts';
import { Certificates, type Certificate } from '../../../../test/clients/certificates.ts';
import { testNetwork } from './network-contract.ts';

const WAIT_MS_MAX = 5000;

const made = new Certificates();
after(() => made.remove());
const authority = made.authority();
const stranger = made.authority('Stranger');
const broker = made.signed(authority, '/CN=broker');
const alice = made.signed(authority, '/CN=alice');
const mallory = made.signed(stranger, '/CN=mallory');
const ca = readFileSync(authority.certificate);

function tlsOptions(changes: Partial<TlsOptions> = {}): TlsOptions {
  return {
    certificates: { file: broker.both },
    key: undefined,
    keyPassword: undefined,
    trusted: { file: authority.certificate },
    clientAuth: 'none',
    versions: ['TLSv1.2', 'TLSv1.3'],
    cipherSuites: [],
    handshakeTimeoutMs: 1000,
    handshakesMax: 40,
    reloadMs: 0,
    onArrival: () => ({ kind: 'serve' }),
    onFailed: () => undefined,
    ...changes,
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 2) {
    assert.ok(waitedMs < WAIT_MS_MAX, 'the condition does not come true');
    await sleep(2);
  }
}

const loop = new NodeLoop();

testNetwork(
  'Node (TLS)',
  () => {
    const pool = new ReceivePool({ poison: true });
    const network = new NodeNetwork({ loop, logger: NodeLogger.create({ level: 'silent' }), pool });
    const server: Network = {
      listen: (options, accept) => network.listen({ ...options, tls: tlsOptions() }, accept),
      connect: (options) => network.connect(options),
    };
    const client: Network = {
      listen: (options, accept) => network.listen(options, accept),
      connect: ({ host, port }) => {
        const { promise, resolve, reject } = Promise.withResolvers<Connection>();
        const socket = connect({ host, port, ca, servername: 'localhost' });
        const receiver = new Receiver(pool);
        readPlainly(socket, receiver);
        const failed = (error: NodeJS.ErrnoException): void =>
          reject(new NetworkError(error.code ?? '', error.message));
        socket.once('error', failed);
        socket.once('secureConnect', () => {
          socket.off('error', failed);
          resolve(new NodeConnection({ socket, loop, receiver, onClosed: () => undefined }));
        });
        return promise;
      },
    };
    return {
      server,
      client,
      host: '127.0.0.1',
      settle: (promise) => promise,
      until,
      pass: (milliseconds) => sleep(milliseconds),
      close: () => undefined,
    };
  },
  { tls: true },
);

/** Of no certificate; its password is `the password`. */
const ENCRYPTED_KEY = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgXgoIKzrmRtwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEE0isElX3AYSws7MqWZLQAAEgZBs
mph/kmvaLA1JBTKnS/w/0AIODWeYPyL5yNqEILP9AW2pUdzQH7V58WBFM4xWZsh8
92mJFFsVPysv86DvwFLN5YqzJmu44b7jBlBJCU9okGL654LRPcWbIFxOZZWBHieS
KCg4R3ukwZL5XyOfUiqVzONTBclia448Swiz3js8vWwPECyDd1Lij4GRHnl4XTs=
-----END ENCRYPTED PRIVATE KEY-----
`;
/** One of some 256 wrong ones makes of the key what ends as a decrypted text does, and is found out only when that cannot be parsed. */
const WRONG_WITH_RIGHT_PADDING = 'wrong 249';

describe('TLS at a listener', () => {
  let listener: Listener;
  const open: Socket[] = [];
  const accepted: Connection[] = [];
  const failures: HandshakeFailure[] = [];
  const lines: string[] = [];
  let refused = 0;

  async function listen(changes: Partial<TlsOptions> = {}): Promise<void> {
    const output = { write: (line: string) => void lines.push(line) };
    const network = new NodeNetwork({ loop, logger: NodeLogger.create({ level: 'info', output }) });
    const tls = tlsOptions({ onFailed: (failure) => void failures.push(failure), ...changes });
    listener = await network.listen(
      {
        host: '127.0.0.1',
        port: 0,
        connectionsMax: 100,
        connectionsPerAddressMax: 100,
        onRefused: () => void refused++,
        tls,
      },
      (connection) => {
        accepted.push(connection);
        connection.start({
          data: (chunk, release) => {
            connection.write([Buffer.from(chunk)]);
            release();
          },
          drained: () => undefined,
          closed: () => undefined,
        });
      },
    );
  }

  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    for (const connection of accepted.splice(0)) connection.destroy();
    failures.length = 0;
    lines.length = 0;
    refused = 0;
    await listener.close();
  });

  function dial(options: ConnectionOptions = {}, by?: Certificate): TLSSocket {
    const own = by === undefined ? {} : { cert: readFileSync(by.certificate), key: readFileSync(by.key) };
    const socket = connect({ host: '127.0.0.1', port: listener.port, ca, ...own, ...options });
    socket.on('error', () => undefined);
    open.push(socket);
    return socket;
  }

  /** Whether the listener takes it: it then echoes. */
  function isTaken(socket: TLSSocket): Promise<boolean> {
    return new Promise((resolve) => {
      socket.write('ping');
      socket.on('data', (echo) => resolve(echo.toString() === 'ping'));
      socket.on('close', () => resolve(false));
    });
  }

  it('speaks 1.2 and 1.3, nothing older, and does not renegotiate', async () => {
    await listen();
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = dial({ minVersion: version, maxVersion: version });
      assert.equal(await isTaken(socket), true);
      assert.equal(socket.getProtocol(), version);
    }
    assert.equal(
      await isTaken(dial({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })),
      false,
    );
    const socket = dial({ maxVersion: 'TLSv1.2' });
    assert.equal(await isTaken(socket), true);
    const outcome = await new Promise<Error | null>((resolve) => {
      socket.on('error', resolve);
      socket.renegotiate({ rejectUnauthorized: true }, resolve);
    });
    assert.match(String(outcome), /renegotiation/i);
  });

  it('speaks the versions and cipher suites that it is told to', async () => {
    await listen({ versions: ['TLSv1.3'], cipherSuites: ['TLS_CHACHA20_POLY1305_SHA256'] });
    assert.equal(await isTaken(dial({ maxVersion: 'TLSv1.2' })), false);
    const socket = dial();
    assert.equal(await isTaken(socket), true);
    assert.equal(socket.getCipher().name, 'TLS_CHACHA20_POLY1305_SHA256');
    await listener.close();
    // As Kafka spells them.
    await listen({ versions: ['TLSv1.2'], cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'] });
    const older = dial();
    assert.equal(await isTaken(older), true);
    assert.equal(older.getCipher().name, 'ECDHE-ECDSA-AES256-GCM-SHA384');
  });

  it('asks for certificates as it is told to, and takes none of strangers', async () => {
    for (const [clientAuth, none, known, unknown] of [
      ['none', true, true, true],
      ['requested', true, true, false],
      ['required', false, true, false],
    ] as const) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        await listen({ clientAuth });
        assert.equal(await isTaken(dial({ maxVersion })), none, `${clientAuth}: no certificate`);
        assert.equal(await isTaken(dial({ maxVersion }, alice)), known, `${clientAuth}: alice`);
        const shown = accepted.at(-1)!.peerCertificate !== undefined;
        assert.equal(shown, clientAuth !== 'none');
        assert.equal(await isTaken(dial({ maxVersion }, mallory)), unknown, `${clientAuth}: mallory`);
        await listener.close();
      }
    }
  });

  it('survives garbage, plain text and half handshakes, and counts them', async () => {
    await listen({ handshakeTimeoutMs: 200 });
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(70_000, 0x16),
      Buffer.from([0, 0, 0, 12]),
    ];
    const sockets = [...garbage, Buffer.from([0x16, 3, 1])].map((bytes) => {
      const socket = connectPlainly(listener.port, '127.0.0.1').on('error', () => undefined);
      open.push(socket);
      socket.write(bytes);
      return socket;
    });
    const hasty = connectPlainly(listener.port, '127.0.0.1').on('error', () => undefined);
    hasty.on('connect', () => hasty.destroy());
    await until(() => sockets.every(({ destroyed }) => destroyed));
    await until(() => failures.length >= sockets.length);
    assert.ok(failures.every(({ remoteAddress }) => remoteAddress === '127.0.0.1'));
    assert.ok(
      failures.some(({ reason }) => /time/i.test(reason)),
      JSON.stringify(failures),
    );
    assert.equal(accepted.length, 0);
    assert.equal(await isTaken(dial()), true);
  });

  it('has so many handshakes under way, a quarter of them with one address', async () => {
    await listen({ handshakesMax: 8, handshakeTimeoutMs: 500 });
    const silent = Array.from({ length: 5 }, () => {
      const socket = connectPlainly(listener.port, '127.0.0.1').on('error', () => undefined);
      open.push(socket);
      return socket;
    });
    await until(() => silent.filter(({ destroyed }) => destroyed).length === 3);
    assert.equal(refused, 3);
    assert.equal(await isTaken(dial()), false);
    await until(() => silent.every(({ destroyed }) => destroyed));
    assert.equal(await isTaken(dial()), true);
  });

  it('asks what becomes of a connection before its handshake, and holds it as it is told to', async () => {
    let arrival: Arrival = { kind: 'close', afterMs: 50 };
    const from: string[] = [];
    await listen({
      onArrival: (address) => {
        from.push(address);
        return arrival;
      },
    });
    const socket = dial();
    assert.equal(await isTaken(socket), false);
    assert.equal(socket.getProtocol(), null, 'there was no handshake');
    assert.deepEqual([accepted.length, failures.length], [0, 0]);
    arrival = { kind: 'delay', ms: 50 };
    // What the client has said meanwhile is not lost.
    assert.equal(await isTaken(dial()), true);
    // Of those that were held there is room for two at once with one address.
    await listener.close();
    await listen({ handshakesMax: 8, onArrival: () => arrival });
    const silent = Array.from({ length: 3 }, () => {
      const plain = connectPlainly(listener.port, '127.0.0.1').on('error', () => undefined);
      open.push(plain);
      return plain;
    });
    await until(() => silent.filter(({ destroyed }) => destroyed).length === 1);
    assert.equal(refused, 1);
    assert.deepEqual(from, ['127.0.0.1', '127.0.0.1']);
  });

  it('leaves no connection behind that was not handed over when it closes', async () => {
    const arrivals: Arrival[] = [
      { kind: 'serve' },
      { kind: 'delay', ms: 600_000 },
      { kind: 'close', afterMs: 600_000 },
    ];
    let come = 0;
    await listen({ handshakeTimeoutMs: 600_000, onArrival: () => arrivals[come++]! });
    const silent = arrivals.map(() => {
      const plain = connectPlainly(listener.port, '127.0.0.1').on('error', () => undefined);
      open.push(plain);
      return plain.resume();
    });
    await until(() => come === arrivals.length);
    await listener.close();
    await until(() => silent.every(({ destroyed }) => destroyed));
    assert.deepEqual([accepted.length, failures.length], [0, 0]);
  });

  it('takes over certificates that have changed, and keeps the ones before when those are no good', async () => {
    const file = made.file('reloaded.pem', '');
    copyFileSync(broker.both, file);
    await listen({ certificates: { file }, reloadMs: 20 });
    const serial = async (): Promise<string> => {
      const socket = dial();
      assert.equal(await isTaken(socket), true);
      return socket.getPeerX509Certificate()!.serialNumber;
    };
    const first = await serial();
    writeFileSync(file, 'no certificate at all');
    await until(() => lines.some((line) => line.includes('cannot be used; the ones before stay')));
    assert.equal(await serial(), first);
    copyFileSync(made.signed(authority, '/CN=broker').both, file);
    await until(() => lines.some((line) => line.includes('took over changed TLS certificates')));
    const second = await serial();
    assert.notEqual(second, first);
    // On demand, as the signal does.
    await listener.close();
    await listen({ certificates: { file } });
    copyFileSync(broker.both, file);
    utimesSync(file, 1, 1);
    assert.equal(await serial(), second);
    listener.renewTls();
    assert.equal(await serial(), first);
  });

  it('does not look at files all the time where it should do so once in many years', async () => {
    const file = made.file('steady.pem', '');
    copyFileSync(broker.both, file);
    await listen({ certificates: { file }, reloadMs: Number.MAX_SAFE_INTEGER });
    writeFileSync(file, 'no certificate at all');
    await sleep(100);
    assert.deepEqual(lines, []);
  });

  it('looks at files again whose owner or permissions have changed since they could not be read', async () => {
    const file = made.file('permitted.pem', '');
    copyFileSync(broker.both, file);
    await listen({ certificates: { file } });
    const renewed = readFileSync(made.signed(authority, '/CN=broker').both);
    // Root may read everything: another text of the same size and time stands for a file that may not be read.
    writeFileSync(file, 'x'.repeat(renewed.length));
    utimesSync(file, 1, 1);
    listener.renewTls();
    assert.ok(lines.some((line) => line.includes('cannot be used; the ones before stay')));
    // The file system's clock is coarse.
    await sleep(50);
    writeFileSync(file, renewed);
    utimesSync(file, 1, 1);
    listener.renewTls();
    assert.ok(lines.some((line) => line.includes('took over changed TLS certificates')));
  });

  it('keeps the certificates that it has when their place cannot be looked at any more, and says so once', async () => {
    const file = made.file('elsewhere.pem', '');
    copyFileSync(broker.both, file);
    await listen({ certificates: { file } });
    unlinkSync(file);
    // As it is with a folder that may not be entered; but root may enter all of them.
    symlinkSync(file, file);
    listener.renewTls();
    listener.renewTls();
    assert.equal(lines.filter((line) => line.includes('cannot be used; the ones before stay')).length, 1);
    assert.equal(await isTaken(dial()), true);
    unlinkSync(file);
    copyFileSync(made.signed(authority, '/CN=broker').both, file);
    listener.renewTls();
    assert.ok(lines.some((line) => line.includes('took over changed TLS certificates')));
  });

  it('goes on trusting whom it trusted when the file with those is emptied, and nobody else', async () => {
    const file = made.file('authorities.pem', '');
    copyFileSync(authority.certificate, file);
    await listen({ trusted: { file }, clientAuth: 'required' });
    // As it is between the first and the last step of whoever writes it anew.
    writeFileSync(file, '');
    listener.renewTls();
    assert.ok(lines.some((line) => line.includes('cannot be used; the ones before stay')));
    const shown = (one: Certificate) => ({ cert: readFileSync(one.certificate), key: readFileSync(one.key) });
    assert.equal(await isTaken(dial(shown(alice))), true);
    assert.equal(await isTaken(dial(shown(mallory))), false);
  });

  it('does not begin with what it cannot use, and says why', async () => {
    const plain = made.file('plain.txt', 'hello');
    const encrypted = made.encrypted(broker, 'the password');
    const certificates = { file: broker.certificate };
    // A good one, and the beginning of another.
    const half = `${ca.toString()}\n${ca.toString().slice(0, 200)}`;
    for (const [changes, message] of [
      [
        { certificates: { file: '/nowhere/at-all.pem' } },
        /cannot read the certificate \/nowhere\/at-all.pem/,
      ],
      [{ certificates: { file: plain } }, /plain.txt has no certificate in PEM/],
      [{ certificates: { file: broker.certificate } }, /has no private key in PEM/],
      [
        { certificates: { file: broker.certificate }, key: { file: alice.key } },
        /the private key is not that of the certificate/,
      ],
      [{ certificates, key: { file: encrypted } }, /ssl.key.password is missing or wrong/],
      [
        { certificates, key: { file: encrypted }, keyPassword: 'another' },
        /ssl.key.password is missing or wrong/,
      ],
      [
        { certificates, key: { text: ENCRYPTED_KEY }, keyPassword: WRONG_WITH_RIGHT_PADDING },
        /ssl.key.password is missing or wrong/,
      ],
      [{ trusted: { file: '/nowhere/ca.pem' } }, /cannot read the truststore/],
      [{ trusted: { file: made.file('empty.pem', '') } }, /empty.pem has no certificate in PEM/],
      [{ trusted: { file: made.file('half.pem', half) } }, /half.pem has a certificate that cannot be read/],
      [{ trusted: { text: half } }, /the truststore of the configuration has a certificate that/],
      [{ cipherSuites: ['NO-SUCH-SUITE'] }, /cannot be used: .*no cipher match/],
      [{ cipherSuites: ['TLS_RSA_WITH_AES_128_CBC_SHA'] }, /TLS_RSA_WITH_AES_128_CBC_SHA is not among/],
    ] as const) {
      await assert.rejects(listen(changes), (error) => {
        assert.ok(error instanceof NetworkError && error.code === 'TLS', String(error));
        assert.match(error.message, message);
        return true;
      });
    }
    await listen({ certificates, key: { file: encrypted }, keyPassword: 'the password' });
    assert.equal(await isTaken(dial()), true);
    await listener.close();
    await listen({ certificates: { file: made.signed(authority, '/CN=soon', { days: 1 }).both } });
    assert.ok(lines.some((line) => line.includes('expires soon')));
  });
});

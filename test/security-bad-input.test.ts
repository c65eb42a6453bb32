/** What strangers may send to secured listeners, and what they get: a closed connection. Those who know their password go on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { Certificates } from './clients/certificates.ts';
import { PolylogCli } from './clients/polylog.ts';

const { Kafka, logLevel } = kafkajs;
const WAIT_MS = 5000;
const KIB = 1024;

describe('Bad input at secured listeners', () => {
  const made = new Certificates();
  const authority = made.authority();
  let broker: Broker;
  before(async () => {
    broker = await Broker.start({
      http: false,
      logLevel: 'silent',
      config: {
        listeners: 'PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
        'security.bootstrap.users': 'alice=secret',
        'ssl.keystore.location': made.signed(authority, '/CN=broker').both,
        'ssl.handshake.timeout.ms': 500,
        'connection.handshake.timeout.ms': 1000,
      },
    });
  });
  after(async () => {
    await broker.stop();
    made.remove();
  });

  const portOf = (listener: string): number =>
    Number(broker.listenerAddresses.get(listener)!.split(':').at(-1));

  /** Sends, and resolves with all that comes back when the broker has closed the connection. */
  function sent(listener: string, bytes: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const received: Buffer[] = [];
      const socket: Socket = connect(portOf(listener), '127.0.0.1', () => socket.write(bytes));
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Error(`${listener} keeps the connection open`));
      }, WAIT_MS);
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      // A reset is a way to close it too.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(Buffer.concat(received));
      });
    });
  }

  /** Of SaslHandshake v1. */
  function handshake(mechanism: string): Buffer {
    const body = Buffer.from(
      `\0\x11\0\x01\0\0\0\x01\xff\xff\0${String.fromCharCode(mechanism.length)}${mechanism}`,
      'latin1',
    );
    return framed(body);
  }

  function authenticate(token: Uint8Array): Buffer {
    const header = Buffer.from('\0\x24\0\0\0\0\0\x02\xff\xff', 'latin1');
    const length = Buffer.alloc(4);
    length.writeInt32BE(token.length);
    return framed(Buffer.concat([header, length, token]));
  }

  function framed(body: Uint8Array): Buffer {
    const length = Buffer.alloc(4);
    length.writeInt32BE(body.length);
    return Buffer.concat([length, body]);
  }

  test('random bytes', async () => {
    for (const listener of ['SASL_PLAINTEXT', 'SASL_SSL']) {
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => sent(listener, randomBytes(1 + index * 40))),
      );
    }
  });

  test('TLS where none is spoken', async () => {
    for (const listener of ['PLAINTEXT', 'SASL_PLAINTEXT']) {
      const socket = connectTls({ host: '127.0.0.1', port: portOf(listener), rejectUnauthorized: false });
      const outcome = await new Promise((resolve) => {
        socket.on('secureConnect', () => resolve('connected'));
        socket.on('error', () => resolve('failed'));
      });
      assert.equal(outcome, 'failed');
    }
  });

  test('tokens that are too large, or no tokens at all', async () => {
    const begin = handshake('PLAIN');
    await sent('SASL_PLAINTEXT', Buffer.concat([begin, framed(Buffer.alloc(64 * KIB + 1))]));
    for (const token of [
      Buffer.alloc(60 * KIB, 'x'),
      Buffer.alloc(60 * KIB),
      randomBytes(60 * KIB),
      Buffer.alloc(0),
    ]) {
      for (const mechanism of ['PLAIN', 'SCRAM-SHA-256']) {
        const answer = await sent(
          'SASL_PLAINTEXT',
          Buffer.concat([handshake(mechanism), authenticate(token)]),
        );
        assert.match(answer.toString('latin1'), /Authentication failed/);
      }
    }
  });

  test('leaves the broker to those who know their password', async () => {
    const sasl = { mechanism: 'scram-sha-256', username: 'alice', password: 'secret' } as const;
    const brokers = [broker.listenerAddresses.get('SASL_PLAINTEXT')!];
    const admin = new Kafka({ brokers, sasl, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
    await admin.connect();
    assert.deepEqual(await admin.listTopics(), []);
    await admin.disconnect();
  });
});

test('Connections that fail at TLS count for the rate of new ones, and those beyond it cost no handshake', async () => {
  const made = new Certificates();
  const authority = made.authority();
  const broker = await Broker.start({
    logLevel: 'silent',
    config: {
      listeners: 'PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0',
      'ssl.keystore.location': made.signed(authority, '/CN=broker').both,
    },
  });
  try {
    const cli = new PolylogCli(broker.listenerAddresses.get('PLAINTEXT')!);
    // Who begins may have ten at once.
    await cli.ok(['quota', 'set', '--default-ip', 'connection_creation_rate=1']);
    const port = Number(broker.listenerAddresses.get('SSL')!.split(':').at(-1));
    const closed = Array.from({ length: 60 }, () => {
      const socket = connect(port, '127.0.0.1', () => socket.write('no handshake at all'));
      socket.on('error', () => undefined).resume();
      return once(socket, 'close');
    });
    await Promise.all(closed);
    const page = await (await fetch(`http://${broker.httpAddress}/metrics`)).text();
    const count = (pattern: RegExp): number => Number(pattern.exec(page)?.[1]);
    const throttled = count(/^polylog_quota_throttled_total\{quota="connection"\} (\d+)$/m);
    const failed = count(/^polylog_tls_handshake_failures_total\{listener="SSL"\} (\d+)$/m);
    assert.ok(failed > 0 && throttled > 0, `${failed} failed, ${throttled} held`);
    assert.equal(failed + throttled, 60);
  } finally {
    await broker.stop();
    made.remove();
  }
});

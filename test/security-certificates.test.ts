/** A broker as a program of its own: what it says of certificates at the start, and how it takes over new ones. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { Certificates } from './clients/certificates.ts';
import { PolylogCli } from './clients/polylog.ts';
import process from 'node:process';
import { freePorts } from './peers/ports.ts';

const WAIT_MS = 20_000;

describe('The certificates of a broker', () => {
  const made = new Certificates();
  after(() => made.remove());
  const authority = made.authority();
  const cli = new PolylogCli('127.0.0.1:1');

  test('that cannot be used keep it from starting, and it says why', async () => {
    const server = made.signed(authority, '/CN=broker');
    for (const [flags, message] of [
      [[], /the listener SSL is SSL: ssl.keystore.location has to name a PEM file/],
      [['--ssl-keystore-location', '/nowhere.pem'], /cannot read the certificate \/nowhere.pem: ENOENT/],
      [['--ssl-keystore-location', server.certificate], /has no private key in PEM/],
      [
        ['--ssl-keystore-location', server.both, '--ssl-client-auth', 'required'],
        /ssl.client.auth needs ssl.truststore.location/,
      ],
      [
        ['--ssl-keystore-location', server.both, '--ssl-truststore-location', authority.certificate].concat([
          '--ssl-client-auth',
          'required',
          '--ssl-principal-mapping-rules',
          'RULE:(/x/',
        ]),
        /is no rule/,
      ],
    ] as const) {
      const data = path.join(made.folder, 'unused');
      const args = [
        'start',
        '--listeners',
        'SSL://127.0.0.1:0',
        '--http',
        '127.0.0.1:0',
        '--data',
        data,
        ...flags,
      ];
      const { code, stderr } = await cli.run(args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n {4}at /, 'no stack');
    }
  });

  test('are taken over on SIGHUP', { skip: process.platform === 'win32' }, async () => {
    const file = path.join(made.folder, 'broker.pem');
    copyFileSync(made.signed(authority, '/CN=first').both, file);
    const [port] = await freePorts(1);
    const where = ['--listeners', `SSL://127.0.0.1:${port}`, '--http', '127.0.0.1:0'];
    const files = ['--data', path.join(made.folder, 'data'), '--ssl-keystore-location', file];
    const broker = cli.start(['start', ...where, ...files, '--ssl-reload-interval-ms', '0']);
    let printed = '';
    broker.stdout!.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    broker.stderr!.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
      for (let waitedMs = 0; !(await condition()); waitedMs += 20) {
        assert.ok(waitedMs < WAIT_MS, printed);
        await sleep(20);
      }
    };
    try {
      await until(() => printed.includes('is listening for Kafka clients'));
      assert.equal(await subjectAt(port!), 'CN=first');
      copyFileSync(made.signed(authority, '/CN=second').both, file);
      assert.equal(await subjectAt(port!), 'CN=first');
      broker.kill('SIGHUP');
      await until(async () => (await subjectAt(port!)) === 'CN=second');
      copyFileSync(made.file('empty.pem', ''), file);
      broker.kill('SIGHUP');
      await until(() => printed.includes('the ones before stay'));
      assert.equal(await subjectAt(port!), 'CN=second');
    } finally {
      broker.kill('SIGTERM');
      await once(broker, 'exit');
    }
  });

  function subjectAt(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const ca = readFileSync(authority.certificate);
      const socket = connect({ host: '127.0.0.1', port, ca }, () => {
        resolve(socket.getPeerX509Certificate()!.subject);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }
});

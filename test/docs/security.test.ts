/** The commands of docs/security.md, against a broker with the first user that the page gives it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { Broker } from 'polylog';

import { blocksOf, readPage, ROOT } from './page.ts';
import { Reader } from './reader.ts';

const blocks = blocksOf(readPage('docs/security.md'));

describe('docs/security.md', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-security-page-'));
  let broker: Broker;
  let reader: Reader;
  before(async () => {
    const setting = (name: string): string => {
      const line = new RegExp(`^${name}: ([^ \\n]+)`, 'm');
      return blocks.map(({ text }) => line.exec(text)?.[1]).find((value) => value !== undefined)!;
    };
    broker = await Broker.start({
      http: false,
      logLevel: 'silent',
      config: {
        'listener.security.protocol.map': 'kafka:SASL_PLAINTEXT',
        'authorization.enabled': true,
        'security.bootstrap.users': setting('security.bootstrap.users'),
        'super.users': setting('super.users'),
      },
    });
    process.env['POLYLOG_BOOTSTRAP'] = broker.kafkaAddress;
    reader = new Reader(
      new Map([
        // npm runs scripts in the checkout, not where the reader is.
        ['npm run --silent', `npm --prefix '${ROOT}' run --silent`],
        ['admin.txt', path.join(folder, 'admin.txt')],
      ]),
    );
  });
  after(async () => {
    await broker.stop();
    reader.remove();
    rmSync(folder, { recursive: true });
  });

  for (const block of blocks.filter(({ language }) => language === 'console')) {
    it(`line ${block.line}: its commands print what is shown`, () => reader.type(block));
  }
});

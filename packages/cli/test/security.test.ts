import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { clientSecurity } from '../src/client/security.ts';

describe('Whom the command line trusts', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-cli-security-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is nobody but the authorities of the file that was named: one without any is refused', () => {
    const file = path.join(folder, 'ca.pem');
    // Of an empty text Node would make all authorities that it knows itself.
    for (const text of ['', 'no certificate']) {
      writeFileSync(file, text);
      assert.throws(() => clientSecurity({ tlsCa: file }), /ca.pem has no certificate in PEM/);
    }
    const pem = '-----BEGIN CERTIFICATE-----\n';
    writeFileSync(file, pem);
    assert.deepEqual(clientSecurity({ tlsCa: file }).tls, { ca: pem });
  });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { NodeDocuments } from '../../src/platform/node/documents.ts';
import { Certificates } from '../../../../test/clients/certificates.ts';

describe('Documents from outside', () => {
  const made = new Certificates();
  const authority = made.authority();
  const server = made.signed(authority, '/CN=localhost');
  const documents = new NodeDocuments();
  const limits = { bytesMax: 100, timeoutMs: 10_000, trustedFile: authority.certificate };
  let https: Server;
  let base: string;
  before(async () => {
    const options = { cert: readFileSync(server.certificate), key: readFileSync(server.key) };
    https = createServer(options, ({ url }, response) => {
      if (url === '/silent') return;
      if (url === '/large') response.end('x'.repeat(101));
      else if (url === '/keys') response.end('{"keys":[]}');
      else response.writeHead(url === '/moved' ? 302 : 404, { location: '/keys' }).end();
    });
    await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
    base = `https://localhost:${(https.address() as AddressInfo).port}`;
  });
  after(() => {
    https.close();
    https.closeAllConnections();
    made.remove();
  });

  const refused = (url: string, reason: RegExp, options = limits): Promise<void> =>
    assert.rejects(documents.read(url, options), { name: 'DocumentError', message: reason });

  it('are read from files and by https', async () => {
    assert.equal(await documents.read(`file://${made.file('keys.json', '{}')}`, limits), '{}');
    assert.equal(await documents.read(`${base}/keys`, limits), '{"keys":[]}');
  });

  it('are refused when they are too large, come too late, from elsewhere, or from strangers', async () => {
    await refused(`file://${made.file('large', 'x'.repeat(101))}`, /more than 100 bytes/);
    await refused('file:///nowhere/at/all', /ENOENT/);
    await refused(`${base}/large`, /more than 100 bytes/);
    await refused(`${base}/silent`, /did not answer within 300 ms/, { ...limits, timeoutMs: 300 });
    await refused(`${base}/missing`, /status 404/);
    await refused(`${base}/moved`, /status 302/);
    await refused(`${base}/keys`, /certificate/, {
      ...limits,
      trustedFile: made.authority('Stranger').certificate,
    });
  });
});

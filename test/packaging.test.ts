/** The packages as they are published: packed, installed in an empty folder by npm, and used from there. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Broker } from 'polylog';
import { run, type RunResult } from './peers/process.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = path.join(ROOT, 'node_modules/.bin');
/** Dependencies first: each one is compiled against what those before it have built. */
const PACKAGES = ['bytes', 'record', 'kafka-protocol', 'cli', 'broker'];
const NO_NETWORK = /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/;
const OPTIONS = { env: { PATH: `${BIN}${path.delimiter}${process.env['PATH']}` } };

const TYPED_USE = `
import { Broker, ConfigError, type Logger } from 'polylog';
const broker: Broker = await Broker.start({ http: false });
export const address: string = broker.kafkaAddress;
export const logger: Logger | undefined = undefined;
await broker.stop().catch((error: unknown) => error instanceof ConfigError);
`;

async function npm(args: readonly string[], cwd: string): Promise<RunResult> {
  return run('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], { ...OPTIONS, cwd });
}

function succeeded(result: RunResult): void {
  assert.equal(result.code, 0, result.stdout + result.stderr);
}

function exactVersionOf(name: string): string {
  const manifest = readFileSync(path.join(ROOT, 'package.json'), 'utf8');
  const { devDependencies } = JSON.parse(manifest) as { devDependencies: Record<string, string> };
  return `${name}@${devDependencies[name]}`;
}

describe('the published packages', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-packaging-'));
  let unreachable: string | undefined;

  before(async () => {
    for (const name of PACKAGES) {
      succeeded(await npm(['pack', '--pack-destination', folder], path.join(ROOT, 'packages', name)));
    }
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    const tarballs = ['polylog-bytes', 'polylog-record', 'polylog-kafka-protocol', 'polylog-cli', 'polylog'];
    const wanted = tarballs.map((name) => `./${name}-0.1.0.tgz`);
    const installed = await npm(
      ['install', '--prefer-offline', ...wanted, exactVersionOf('kafkajs')],
      folder,
    );
    const isAlone = process.env['CI'] !== 'true' && NO_NETWORK.test(installed.stderr);
    if (isAlone) unreachable = 'the npm registry cannot be reached';
    else succeeded(installed);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('embed a broker that serves a stock client, its compute worker included', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    copyFileSync(path.join(ROOT, 'test/packaging/embed.mjs'), path.join(folder, 'embed.mjs'));
    const result = await run(process.execPath, ['embed.mjs'], { cwd: folder });
    succeeded(result);
    assert.equal(result.stdout, 'embedded\n');
  });

  it('have a polylog command', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const result = await run(path.join(folder, 'node_modules/.bin/polylog'), ['--version'], OPTIONS);
    succeeded(result);
    assert.equal(result.stdout, '0.1.0\n');
  });

  it('have a command line that speaks to a broker', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const broker = await Broker.start({ http: false });
    const env = { ...OPTIONS.env, POLYLOG_BOOTSTRAP: broker.kafkaAddress };
    const polylog = async (...args: string[]): Promise<string> => {
      const result = await run('npx', ['polylog', ...args], { env, cwd: folder });
      succeeded(result);
      return result.stdout;
    };
    try {
      assert.equal(await polylog('topic', 'create', 'packed'), 'Created topic packed with 1 partition.\n');
      assert.match(await polylog('topic', 'list'), /^TOPIC +PARTITIONS +REPLICAS\npacked +1 +1\n$/);
      assert.match(await polylog('--help'), /^Usage: polylog /);
    } finally {
      await broker.stop();
    }
  });

  it('have types that need nothing else', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    writeFileSync(path.join(folder, 'typed.ts'), TYPED_USE);
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', ''];
    succeeded(await run(path.join(BIN, 'tsc'), [...flags, 'typed.ts'], { ...OPTIONS, cwd: folder }));
  });

  it('hold nothing but what they publish', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    for (const name of ['polylog', 'polylog-cli']) {
      const listed = await run('tar', ['-tzf', path.join(folder, `${name}-0.1.0.tgz`)]);
      succeeded(listed);
      const strays = listed.stdout
        .trim()
        .split('\n')
        .filter((file) => !/^package\/(package\.json|dist\/.*\.(js|d\.ts))$/.test(file));
      assert.deepEqual(strays, []);
    }
  });
});

/** The packages as they are published: packed, installed in an empty folder by npm, and used from there as docs/embedding.md says. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Broker } from 'polylog';
import { blocksOf, commandsOf, readPage } from './docs/page.ts';
import { run, type RunResult } from './peers/process.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = path.join(ROOT, 'node_modules/.bin');
/** What the examples of docs/embedding.md were written for. */
const TOOLS = ['vitest@4.1.12', 'jest@30.5.2'];
const DEADLINE_MS = 300_000;
const NO_NETWORK = /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/;
const OPTIONS = { env: { PATH: `${BIN}${path.delimiter}${process.env['PATH']}` } };

const PAGE = readPage('docs/embedding.md');
const EXAMPLES = blocksOf(PAGE).filter(({ attributes }) => attributes.has('file'));

const TYPED_USE = `
import { Broker, ConfigError, type Logger } from 'polylog';
const broker: Broker = await Broker.start({ http: false });
export const address: string = broker.kafkaAddress;
export const logger: Logger | undefined = undefined;
await broker.stop().catch((error: unknown) => error instanceof ConfigError);
`;

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
    // Dependencies first: each one is compiled against what those before it have built.
    const [pack] = commandsOf(blocksOf(PAGE).find(({ language }) => language === 'console')!);
    const packed = await run('bash', ['-c', pack!.command.replace('~/my-project', folder)], {
      ...OPTIONS,
      cwd: ROOT,
      deadlineMs: DEADLINE_MS,
    });
    succeeded(packed);
    assert.equal(packed.stdout, pack!.output);
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    const tarballs = packed.stdout
      .trim()
      .split('\n')
      .map((name) => `./${name}`);
    const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    const installed = await run(
      'npm',
      ['install', ...quietly, ...tarballs, exactVersionOf('kafkajs'), ...TOOLS],
      {
        ...OPTIONS,
        cwd: folder,
        deadlineMs: DEADLINE_MS,
      },
    );
    const isAlone = process.env['CI'] !== 'true' && NO_NETWORK.test(installed.stderr);
    if (isAlone) unreachable = 'the npm registry cannot be reached';
    else succeeded(installed);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  function saveExamples(start: string): void {
    for (const { attributes, text } of EXAMPLES) {
      const file = attributes.get('file')!;
      if (!file.startsWith(start)) continue;
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), text);
    }
  }

  /** Runs an installed tool; returns all it printed. */
  async function tool(
    name: string,
    args: readonly string[],
    cwd: string,
    env: Record<string, string> = {},
  ): Promise<string> {
    const result = await run(path.join(folder, 'node_modules/.bin', name), args, {
      cwd: path.join(folder, cwd),
      env: { ...OPTIONS.env, ...env },
    });
    succeeded(result);
    return result.stdout + result.stderr;
  }

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

  it('serve a test in Vitest', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    saveExamples('vitest/');
    const printed = await tool('vitest', ['run', '--no-color'], 'vitest');
    assert.match(printed, /Tests +1 passed/);
  });

  it('serve tests in Jest, with a broker for all test files', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    saveExamples('jest/');
    assert.match(await tool('jest', [], 'jest'), /Tests: +1 passed, 1 total/);
  });

  it("serve Vitest's test in Jest with Node's flag", async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const inVitest = EXAMPLES.find(({ attributes }) => attributes.get('file') === 'vitest/orders.test.mjs')!;
    mkdirSync(path.join(folder, 'flagged'));
    writeFileSync(path.join(folder, 'flagged/package.json'), '{ "jest": {} }');
    const [, ...withoutImport] = inVitest.text.split('\n');
    writeFileSync(path.join(folder, 'flagged/orders.test.mjs'), withoutImport.join('\n'));
    const printed = await tool('jest', ['--testMatch=**/*.test.mjs'], 'flagged', {
      NODE_OPTIONS: '--experimental-vm-modules',
    });
    assert.match(printed, /Tests: +1 passed, 1 total/);
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

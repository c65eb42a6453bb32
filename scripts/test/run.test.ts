import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMMANDS, isInstalled, pickNode } from '../run.mjs';

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

describe('whether the dependencies are installed', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'polylog-run-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  type Packages = Record<string, object>;

  function install(locked: Packages, installed: Packages | undefined): void {
    writeFileSync(path.join(root, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...locked } }));
    if (installed === undefined) return;
    for (const name of Object.keys(installed)) mkdirSync(path.join(root, name), { recursive: true });
    mkdirSync(path.join(root, 'node_modules'), { recursive: true });
    writeFileSync(
      path.join(root, 'node_modules/.package-lock.json'),
      JSON.stringify({ packages: installed }),
    );
  }

  test('a fresh clone is not', () => {
    install({ 'node_modules/a': { version: '1.0.0' } }, undefined);
    assert.equal(isInstalled(root), false);
  });

  test('what npm has installed as locked is, and the next look needs the marker alone', () => {
    install({ 'node_modules/a': { version: '1.0.0' } }, { 'node_modules/a': { version: '1.0.0' } });
    assert.equal(isInstalled(root), true);
    rmSync(path.join(root, 'node_modules/.package-lock.json'));
    assert.equal(isInstalled(root), true);
  });

  test('another version is not, also after it was', () => {
    install({ 'node_modules/a': { version: '1.0.0' } }, { 'node_modules/a': { version: '1.0.0' } });
    assert.equal(isInstalled(root), true);
    install({ 'node_modules/a': { version: '1.0.1' } }, { 'node_modules/a': { version: '1.0.0' } });
    assert.equal(isInstalled(root), false);
  });

  test('a removed folder is noticed without the marker', () => {
    install({ 'node_modules/a': { version: '1.0.0' } }, { 'node_modules/a': { version: '1.0.0' } });
    rmSync(path.join(root, 'node_modules/a'), { recursive: true });
    assert.equal(isInstalled(root), false);
  });

  test('optional packages of other systems may be missing, those of this one may not', () => {
    const forOthers = { version: '1.0.0', optional: true, os: ['plan9'], cpu: ['mips'] };
    const forUs = { version: '1.0.0', optional: true, os: [process.platform], cpu: [process.arch] };
    install({ 'node_modules/a': forOthers }, {});
    assert.equal(isInstalled(root), true);
    install({ 'node_modules/a': forUs }, {});
    assert.equal(isInstalled(root), false);
  });
});

describe('the Node that runs the sources', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'polylog-node-'));
  after(() => rmSync(root, { recursive: true, force: true }));

  test('is the current one from 24 on, nothing before, and the pinned one where there is one', () => {
    assert.equal(pickNode(root, { path: '/bin/node', version: '24.0.0' }), '/bin/node');
    assert.equal(pickNode(root, { path: '/bin/node', version: '20.19.1' }), undefined);
    const { platform, arch } = process;
    for (const name of [`node-bin-${platform}-${arch}`, `node-${platform}-${arch}`]) {
      const inPackage = path.join(root, 'node_modules', name, 'bin/node');
      mkdirSync(path.dirname(inPackage), { recursive: true });
      writeFileSync(inPackage, '');
      assert.equal(pickNode(root, { path: '/bin/node', version: '20.19.1' }), inPackage);
    }
    mkdirSync(path.join(root, 'node_modules/.bin'), { recursive: true });
    writeFileSync(path.join(root, 'node_modules/.bin/node'), '');
    const pinned = path.join(root, 'node_modules/.bin/node');
    assert.equal(pickNode(root, { path: '/bin/node', version: '20.19.1' }), pinned);
    assert.equal(pickNode(root, { path: '/bin/node', version: '30.0.0' }), pinned);
  });
});

describe('npm commands', () => {
  let root: string;
  before(() => {
    root = mkdtempSync(path.join(tmpdir(), 'polylog-npm-'));
    for (const name of ['package.json', 'package-lock.json', 'scripts/run.mjs']) {
      cpSync(path.join(repository, name), path.join(root, name), { recursive: true });
    }
    symlinkSync(path.join(repository, 'node_modules'), path.join(root, 'node_modules'));
    mkdirSync(path.join(root, 'packages/broker/src'), { recursive: true });
    writeFileSync(path.join(root, 'packages/broker/src/main.ts'), FAKE_BROKER);
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  /** Takes its time to stop, as a broker does, and says how often it was asked to. */
  const FAKE_BROKER = `
    const [, , ...flags] = process.argv as string[];
    if (flags.includes('--exit')) process.exit(7);
    let asked = 0;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (++asked === 1) setTimeout(() => { console.log('stopped by ' + signal); process.exit(0); }, 300);
      });
    }
    setInterval(() => undefined, 1000);
    console.log('pid=' + process.pid, 'flags=' + flags.join(','), process.execArgv.join(','));
  `;

  const OLD_NODE = '--import=data:text/javascript,delete process.execve';
  const RUNNERS: [how: string, command: string, args: string[]][] = [
    ['npm start', 'npm', ['start', '--silent', '--']],
    ['a Node that can replace its process', process.execPath, ['scripts/run.mjs', 'start']],
    ['a Node that cannot', process.execPath, [OLD_NODE, 'scripts/run.mjs', 'start']],
  ];

  for (const [how, command, args] of RUNNERS) {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      test(`${how}: ${signal} stops the broker cleanly and leaves no process`, async () => {
        const child = spawn(command, [...args, '--data', 'a b'], {
          cwd: root,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let output = '';
        const { promise: closed, resolve } = Promise.withResolvers<number | null>();
        child.once('close', resolve);
        await new Promise<void>((listening) => {
          child.stdout.setEncoding('utf8').on('data', (text: string) => {
            output += text;
            if (output.includes('pid=')) listening();
          });
        });
        child.kill(signal);
        const code = await closed;
        assert.match(output, /flags=start,--data,a b --conditions=@polylog\/source/);
        assert.match(output, new RegExp(`stopped by ${signal}`));
        assert.equal(code, 0);
        const pid = Number(/pid=(\d+)/.exec(output)?.[1]);
        assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
      });
    }

    test(`${how}: the exit code is passed on`, async () => {
      const child = spawn(command, [...args, '--exit'], { cwd: root, stdio: 'ignore' });
      const code = await new Promise((resolve) => child.once('close', resolve));
      assert.equal(code, 7);
    });
  }

  test('a checkout is found through a link to it', async () => {
    const link = `${root}-link`;
    symlinkSync(root, link);
    const child = spawn(process.execPath, [path.join(link, 'scripts/run.mjs'), 'start', '--exit'], {
      stdio: 'ignore',
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    rmSync(link);
    assert.equal(code, 7);
  });

  test('every npm script of the repository has a command', () => {
    const { scripts } = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    assert.deepEqual(Object.keys(scripts).toSorted(), Object.keys(COMMANDS).toSorted());
    for (const [name, script] of Object.entries(scripts)) {
      // Without exec the shell stays between npm and the command, and signals end it instead of the command.
      assert.equal(script, `exec node scripts/run.mjs ${name}`);
    }
  });
});

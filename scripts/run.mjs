// Runs the repository's commands (`npm start`, `npm test`, ...) on a machine that has only git, npm and some Node >= 20.
// It therefore uses no dependency and no TypeScript. Three steps: install what package-lock.json names unless it is
// installed already, pick the Node that the repository pins, hand over to the command.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const SOURCE_NODE_MAJOR_MIN = 24;
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const CONDITIONS = '--conditions=@polylog/source';

/** Tests of a folder run as one invocation of Node's runner, so that its closing lines are the result of `npm test`. */
const TEST_FLAGS = ['--test', '--test-concurrency=2', '--test-timeout=600000'];
const TEST_FILES = ['packages', 'scripts', 'sim', 'test', 'bench'].map((folder) => `${folder}/**/*.test.ts`);

/** What each command runs: arguments for Node, relative to the repository's root; the user's own arguments follow. */
export const COMMANDS = {
  start: [CONDITIONS, 'packages/broker/src/main.ts', 'start'],
  polylog: [CONDITIONS, 'packages/broker/src/main.ts'],
  test: [CONDITIONS, ...TEST_FLAGS],
  check: [CONDITIONS, 'scripts/check.ts'],
  format: ['scripts/format.ts'],
  docs: [CONDITIONS, 'scripts/docs.ts'],
  sim: [CONDITIONS, 'sim/main.ts'],
  'sim:mutants': [CONDITIONS, 'sim/mutants/main.ts'],
  bench: [CONDITIONS, 'bench/main.ts'],
  figures: [CONDITIONS, 'test/longrun/figures.ts'],
  'figures:groups': [CONDITIONS, 'test/longrun/figures-groups.ts'],
  'chaos:kill9': [CONDITIONS, 'test/longrun/kill9.ts'],
  'chaos:compaction': [CONDITIONS, 'test/longrun/chaos-compaction.ts'],
  'compaction:big': [CONDITIONS, 'test/longrun/compaction-big.ts'],
  'chaos:groups': [CONDITIONS, 'test/longrun/kill9-groups.ts'],
  'chaos:streams': [CONDITIONS, 'test/longrun/chaos-streams.ts'],
  'chaos:connect': [CONDITIONS, 'test/longrun/chaos-connect.ts'],
  'chaos:transactions': [CONDITIONS, 'test/longrun/chaos-transactions.ts'],
  'suite:librdkafka': [CONDITIONS, 'test/suites/librdkafka/main.ts'],
  'fuzz:kafka': [CONDITIONS, 'test/longrun/fuzz-kafka.ts'],
};

/**
 * Whether node_modules holds what package-lock.json names. Normally one comparison of hashes; without a matching marker
 * (another tool installed, or the lockfile changed) it compares the lockfile with the one that npm keeps in node_modules.
 */
export function isInstalled(root) {
  const hash = lockHash(root);
  if (readIfThere(markerPath(root)) === hash) return true;
  const installed = readIfThere(path.join(root, 'node_modules/.package-lock.json'));
  if (installed === undefined || !sameTree(JSON.parse(readLock(root)), JSON.parse(installed), root))
    return false;
  writeMarker(root);
  return true;
}

/** The program that runs the sources: the pinned Node, else the current one if it is new enough, else undefined. */
export function pickNode(root, current = { path: process.execPath, version: process.versions.node }) {
  const { platform, arch } = process;
  // npm 10 installs the package but makes no link in .bin to a program that is called node.
  const places = ['.bin/node', `node-${platform}-${arch}/bin/node`, `node-bin-${platform}-${arch}/bin/node`];
  const pinned = places
    .map((place) => path.join(root, 'node_modules', place))
    .find((file) => existsSync(file));
  if (pinned !== undefined) return pinned;
  return Number.parseInt(current.version, 10) >= SOURCE_NODE_MAJOR_MIN ? current.path : undefined;
}

function lockHash(root) {
  // The platform counts too: a folder shared between machines holds the binaries of one of them.
  return createHash('sha256')
    .update(`${process.platform} ${process.arch}\n${readLock(root)}`)
    .digest('hex');
}

function readLock(root) {
  return readFileSync(path.join(root, 'package-lock.json'), 'utf8');
}

function markerPath(root) {
  return path.join(root, 'node_modules/.polylog-installed');
}

function writeMarker(root) {
  mkdirSync(path.join(root, 'node_modules'), { recursive: true });
  writeFileSync(markerPath(root), lockHash(root));
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function sameTree(wanted, installed, root) {
  return Object.entries(wanted.packages).every(([key, entry]) => {
    if (!key.startsWith('node_modules/')) return true;
    const found = installed.packages[key];
    if (found === undefined) return entry.optional === true && !isForThisMachine(entry);
    return found.version === entry.version && found.link === entry.link && existsSync(path.join(root, key));
  });
}

/** Whether npm must have installed an optional package: one for this system, in an edition for any C library. */
function isForThisMachine({ os, cpu, libc }) {
  return (
    libc === undefined && os?.includes(process.platform) === true && cpu?.includes(process.arch) === true
  );
}

function install(root) {
  console.error('Installing the dependencies that package-lock.json names (npm ci) ...');
  // NODE_ENV=production or npm_config_omit must not leave out the compiler, the tests' clients or the pinned Node.
  const args = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  const { npm_execpath: npmCli, npm_node_execpath: npmNode } = process.env;
  const options = { cwd: root, stdio: ['ignore', 2, 2] };
  const done =
    npmCli && npmNode ? spawnSync(npmNode, [npmCli, ...args], options) : spawnSync('npm', args, options);
  if (done.error) fail(`npm ci could not be started: ${done.error.message}`);
  if (done.status !== 0)
    fail(`npm ci failed with ${done.signal ?? `code ${done.status}`}; see its output above`);
  writeMarker(root);
}

function fail(message) {
  console.error(`polylog: ${message}`);
  process.exit(1);
}

/**
 * Hands over to the command. Where Node can replace its own process (22.15 and later) it does: no second process, no
 * memory, signals reach the command itself. Elsewhere (the first run on an old Node) it waits for a child.
 */
function handOver(node, args) {
  // The broker turns on Node's cache of compiled modules itself, but too late for its first file: to strip the types of that one
  // alone takes a compiler, which costs 50 ms and 15 MiB at each start. The place is Node's own default.
  const env = { NODE_COMPILE_CACHE: path.join(tmpdir(), 'node-compile-cache'), ...process.env };
  if (process.execve !== undefined) {
    process.removeAllListeners('warning'); // execve is marked experimental; the warning would say nothing to a user
    process.execve(node, [node, ...args], env);
  }
  const child = spawn(node, args, { stdio: 'inherit', env });
  // A terminal signals the whole group, so the child gets a Ctrl-C twice or more often: the broker allows for it.
  for (const signal of FORWARDED_SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function main([command, ...rest]) {
  const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  if (!Object.hasOwn(COMMANDS, command ?? '')) fail(`usage: npm run <${Object.keys(COMMANDS).join('|')}>`);
  process.chdir(root);
  if (!isInstalled(root)) install(root);
  const node = pickNode(root);
  if (node === undefined) {
    fail(
      `Polylog runs on Node ${SOURCE_NODE_MAJOR_MIN} or later; this is ${process.version}, and there is no pinned Node ` +
        `for ${process.platform}-${process.arch} in node_modules. Install a newer Node and try again.`,
    );
  }
  // `npm test -- FILE` runs that file, `npm test -- --test-name-pattern=X` looks through all.
  const targets = command === 'test' && rest.every((argument) => argument.startsWith('-')) ? TEST_FILES : [];
  handOver(node, [...COMMANDS[command], ...rest, ...targets]);
}

// The checkout may be reached through a link: this module's address is the real one, the argument is as it was written.
const [, script] = process.argv;
if (
  script !== undefined &&
  existsSync(script) &&
  import.meta.url === pathToFileURL(realpathSync(script)).href
)
  main(process.argv.slice(2));

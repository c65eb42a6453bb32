/**
 * librdkafka's sources as its npm package carries them, built together with their test suite in a cache outside of the repository.
 * Cache: `$XDG_CACHE_HOME/polylog`, else `~/.cache/polylog`; `librdkafka-of-kafka-javascript-<version>/deps/librdkafka` holds the build.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { installDebian } from '../../peers/debian.ts';
import { run, runOk } from '../../peers/process.ts';

const PACKAGE = '@confluentinc/kafka-javascript';
export const PACKAGE_VERSION = '1.10.1';
const TARBALL_SHA512 =
  'KVePUBn21EqCVP9mfxzEuM3SYJHHEF7X+iiC2e43QQgDSyEaksInmCGooT3w5q+cNAdkSCrK71j0ICfqoSqZLw==';

/** Each with the program or header by which its absence is noticed. Without rapidjson four tests are skipped, without sasl2 and curl others. */
const DEBIAN_PACKAGES: Readonly<Record<string, string>> = {
  'build-essential': '/usr/bin/g++',
  'pkg-config': '/usr/bin/pkg-config',
  'libssl-dev': '/usr/include/openssl/ssl.h',
  'zlib1g-dev': '/usr/include/zlib.h',
  'libzstd-dev': '/usr/include/zstd.h',
  'libsasl2-dev': '/usr/include/sasl/sasl.h',
  'libcurl4-openssl-dev': '/usr/share/doc/libcurl4-openssl-dev/copyright',
  'rapidjson-dev': '/usr/include/rapidjson/schema.h',
  // For the certificates of one test.
  openssl: '/usr/bin/openssl',
  // Two tests compile and run Java clients.
  'default-jdk-headless': '/usr/bin/javac',
};

/**
 * The one change to the suite: these tests create topics with replication factor 3, though nothing that they check needs it, and here is
 * one broker. (0101, which is about reading from a follower, is left as it is, and fails.)
 */
const WITH_ONE_REPLICA = [
  '0098-consumer-txn.cpp',
  '0103-transactions.c',
  '0107-topic_recreate.c',
  '0111-delay_create_topics.cpp',
  '0126-oauthbearer_oidc.c',
  '0135-sasl_credentials.cpp',
  '0142-reauthentication.c',
];
/** `create_topic_wait_exists(client, name, partitions, 3, timeout)` and `create_topic(client, name, partitions, 3)`. */
const THREE_REPLICAS = /(create_topic(?:_wait_exists)?\([^;]*?, )3(, 5000\)|\))/g;

const DOWNLOAD_DEADLINE_MS = 300_000;
const CONFIGURE_DEADLINE_MS = 600_000;
const BUILD_DEADLINE_MS = 3_600_000;
/** Its children inherit it: the build takes minutes, and must not keep the machine from other work. */
const NICE = ['-n', '10'];

export interface BuiltSuite {
  /** The folder with test-runner and the tests' sources. */
  readonly tests: string;
  /** Of librdkafka, such as 2.15.1. */
  readonly version: string;
}

/** Where builds, reports and logs are kept between runs. */
export function suiteCache(): string {
  return path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'polylog');
}

/**
 * Fetches and builds what is not there yet.
 * @throws Error with the output of the step that failed
 */
export async function buildSuite(report: (line: string) => void): Promise<BuiltSuite> {
  const folder = path.join(suiteCache(), `librdkafka-of-kafka-javascript-${PACKAGE_VERSION}`);
  const source = path.join(folder, 'deps/librdkafka');
  if (!existsSync(source)) {
    report(`fetching ${PACKAGE} ${PACKAGE_VERSION}`);
    await fetchPackage(folder);
  }
  const runner = path.join(source, 'tests/test-runner');
  if (!existsSync(runner)) {
    await installMissing(report);
    report('configuring librdkafka');
    await runOk('nice', [...NICE, './configure'], { cwd: source, deadlineMs: CONFIGURE_DEADLINE_MS });
    report('building librdkafka and its tests (some minutes)');
    const make = (args: readonly string[]): Promise<unknown> =>
      runOk('nice', [...NICE, 'make', '-j2', ...args], { cwd: source, deadlineMs: BUILD_DEADLINE_MS });
    await make(['libs']);
    await make(['-C', 'tests', 'build']);
  }
  return { tests: path.dirname(runner), version: versionOf(source) };
}

async function fetchPackage(folder: string): Promise<void> {
  const unpacked = `${folder}.part`;
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  const args = ['pack', `${PACKAGE}@${PACKAGE_VERSION}`, '--ignore-scripts', '--pack-destination', unpacked];
  const { stdout } = await runOk('npm', args, { cwd: unpacked, deadlineMs: DOWNLOAD_DEADLINE_MS });
  const tarball = path.join(unpacked, stdout.trim().split('\n').at(-1) ?? '');
  const digest = createHash('sha512').update(readFileSync(tarball)).digest('base64');
  if (digest !== TARBALL_SHA512) throw new Error(`${tarball} is not the file whose SHA-512 is pinned`);
  await runOk('tar', ['--extract', '--gzip', '--file', tarball, '--strip-components=1'], { cwd: unpacked });
  rmSync(tarball);
  askForOneReplica(path.join(unpacked, 'deps/librdkafka/tests'));
  renameSync(unpacked, folder);
}

function askForOneReplica(tests: string): void {
  for (const name of WITH_ONE_REPLICA) {
    const file = path.join(tests, name);
    const source = readFileSync(file, 'utf8');
    const adapted = source.replaceAll(THREE_REPLICAS, '$11$2');
    if (adapted === source)
      throw new Error(`${file} creates no topic with three replicas, as this program expects`);
    writeFileSync(file, adapted);
  }
}

async function installMissing(report: (line: string) => void): Promise<void> {
  const missing = Object.keys(DEBIAN_PACKAGES).filter((name) => !existsSync(DEBIAN_PACKAGES[name]!));
  if (missing.length === 0) return;
  report(`installing ${missing.join(' ')}`);
  await installDebian(missing);
}

function versionOf(source: string): string {
  const header = readFileSync(path.join(source, 'src/rdkafka.h'), 'utf8');
  const hex = /#define\s+RD_KAFKA_VERSION\s+0x([0-9a-f]{8})/.exec(header)?.[1];
  if (hex === undefined) throw new Error(`${source}/src/rdkafka.h has no RD_KAFKA_VERSION`);
  // 0xMMmmrrxx: major, minor, revision, and ff for a release.
  return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
}

/** Compiles the Java clients that two tests start, against the jars of `kafkaHome`. */
export async function buildJavaClients(tests: string, kafkaHome: string): Promise<void> {
  const built = await run('make', ['-s', '-C', 'java'], { cwd: tests, env: { KAFKA_PATH: kafkaHome } });
  if (built.code !== 0) throw new Error(`the suite's Java clients do not compile\n${built.stderr}`);
}

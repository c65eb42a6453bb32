/**
 * The stock clients that Polylog is tested against, installed on first use. A peer that cannot be installed skips its tests
 * with the reason; with CI=true it fails them instead, so that a green run there has really met every peer.
 */
import process from 'node:process';
import { installDebian } from './debian.ts';
import { withInstallLock } from './install-lock.ts';
import { installKafkaJars } from './kafka-jars.ts';
import { run } from './process.ts';

/** Debian's Python, not one that a version manager put before it: python3-kafka is installed for this one. */
export const DEBIAN_PYTHON = '/usr/bin/python3';

const JAVA_MAJOR_MIN = 17;

interface PeerDefinition {
  /** The version if the peer works, undefined if it has to be installed. */
  readonly probe: () => Promise<string | undefined>;
  /** Throws with a reason that says what is missing. */
  readonly install: () => Promise<void>;
}

const PEERS = {
  'python3-confluent-kafka': {
    probe: () =>
      versionOf(
        DEBIAN_PYTHON,
        ['-c', 'import confluent_kafka as c; print(c.version()[0], c.libversion()[0])'],
        /(\S+) (\S+)/,
      ),
    install: () => installDebian(['python3', 'python3-confluent-kafka']),
  },
  kcat: {
    probe: () => versionOf('kcat', ['-V'], /Version (\S+) .*librdkafka (\S+)/s),
    install: () => installDebian(['kcat']),
  },
  'python3-kafka': {
    probe: () =>
      versionOf(
        DEBIAN_PYTHON,
        ['-c', 'import kafka, lz4.frame, snappy, zstandard; print(kafka.__version__)'],
        /(\S+)/,
      ),
    install: () =>
      installDebian(['python3', 'python3-kafka', 'python3-lz4', 'python3-snappy', 'python3-zstandard']),
  },
  java: {
    probe: async () => {
      const version = await versionOf('java', ['-version'], /version "([^"]+)"/);
      return version !== undefined && Number.parseInt(version, 10) >= JAVA_MAJOR_MIN ? version : undefined;
    },
    install: () => installDebian(['default-jre-headless']),
  },
  jdk: {
    probe: async () => {
      const version = await versionOf('javac', ['-version'], /javac (\S+)/);
      return version !== undefined && Number.parseInt(version, 10) >= JAVA_MAJOR_MIN ? version : undefined;
    },
    install: () => installDebian(['default-jdk-headless']),
  },
  'kafka-jars': {
    probe: () => installKafkaJars('kafka', { download: false }),
    install: async () => void (await installKafkaJars('kafka')),
  },
  'kafka-app-jars': {
    probe: () => installKafkaJars('apps', { download: false }),
    install: async () => void (await installKafkaJars('apps')),
  },
} satisfies Record<string, PeerDefinition>;

export type PeerName = keyof typeof PEERS;

export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/** For node:test's options: `describe('kcat', await requirePeer('kcat'), ...)`. */
export interface PeerState {
  /** false, or why the tests cannot run here. */
  readonly skip: string | false;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Makes sure that the peers are there, installing them if need be. With CI=true a peer that cannot be installed throws.
 */
export async function requirePeer(...names: PeerName[]): Promise<PeerState> {
  const versions: Record<string, string> = {};
  for (const name of names) {
    try {
      versions[name] = await findOrInstall(name);
    } catch (error) {
      const reason = `${name} is not there: ${error instanceof Error ? error.message : String(error)}`;
      if (process.env['CI'] === 'true')
        throw new Error(`${reason} (CI=true allows no skip)`, { cause: error });
      return { skip: reason, versions };
    }
  }
  return { skip: false, versions };
}

async function findOrInstall(name: PeerName): Promise<string> {
  const { probe, install }: PeerDefinition = PEERS[name];
  const found = await probe();
  if (found !== undefined) return found;
  return withInstallLock(name, async () => {
    const meanwhile = await probe();
    if (meanwhile !== undefined) return meanwhile;
    await install();
    const installed = await probe();
    if (installed === undefined) throw new Error('installed, but it does not run');
    return installed;
  });
}

async function versionOf(command: string, args: string[], pattern: RegExp): Promise<string | undefined> {
  const result = await run(command, args).catch(() => undefined);
  if (result === undefined || result.code !== 0) return undefined;
  return pattern
    .exec(result.stdout + result.stderr)
    ?.slice(1)
    .join(', librdkafka ');
}

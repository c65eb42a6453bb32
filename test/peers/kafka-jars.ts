/**
 * Apache Kafka's jars, as kafka-jars.json pins them: the path of each in a Maven repository and its SHA-256. They are what
 * `mvn dependency:copy-dependencies` resolves for kafka_2.13 and kafka-tools 4.3.1, log4j 2.25.5 and jackson-dataformat-yaml.
 * kafka-app-jars.json has what applications need beside them: Kafka Streams with RocksDB, and Connect's file connectors.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { homedir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { PEER_CACHE } from './install-lock.ts';

export const KAFKA_VERSION = '4.3.1';
export const KAFKA_LIBS = path.join(PEER_CACHE, `kafka-${KAFKA_VERSION}`);
export const KAFKA_APP_LIBS = path.join(PEER_CACHE, `kafka-apps-${KAFKA_VERSION}`);

const MAVEN_CENTRAL = 'https://repo.maven.apache.org/maven2';
const DOWNLOADS_IN_PARALLEL = 6;
const DOWNLOAD_TRIES = 3;
const DOWNLOAD_TIMEOUT_MS = 120_000;

const SETS = {
  kafka: { pins: 'kafka-jars.json', folder: KAFKA_LIBS },
  apps: { pins: 'kafka-app-jars.json', folder: KAFKA_APP_LIBS },
} as const;

/**
 * The version if all jars of a set are in the cache, after fetching those that are not if `download` says so; otherwise undefined.
 * @throws Error if a jar cannot be fetched or is not the one that was pinned
 */
export async function installKafkaJars(
  set: keyof typeof SETS,
  { download = true } = {},
): Promise<string | undefined> {
  const { pins, folder } = SETS[set];
  const pinned = pinnedJars(pins);
  const missing = Object.keys(pinned).filter((jar) => !existsSync(path.join(folder, path.basename(jar))));
  if (missing.length > 0 && !download) return undefined;
  if (missing.length === 0) return KAFKA_VERSION;
  mkdirSync(folder, { recursive: true });
  http.setGlobalProxyFromEnv();
  const repository = mavenRepository();
  const jars = missing.values();
  const work = async (): Promise<void> => {
    for (const jar of jars)
      save(path.join(folder, path.basename(jar)), await fetchJar(repository, jar, pinned[jar] ?? ''));
  };
  await Promise.all(Array.from({ length: DOWNLOADS_IN_PARALLEL }, work));
  return KAFKA_VERSION;
}

function pinnedJars(pins: string): Record<string, string> {
  const file = path.join(path.dirname(fileURLToPath(import.meta.url)), pins);
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
}

function save(target: string, bytes: Uint8Array): void {
  writeFileSync(`${target}.part`, bytes);
  renameSync(`${target}.part`, target);
}

async function fetchJar(repository: string, jar: string, sha256: string): Promise<Uint8Array> {
  const local = path.join(homedir(), '.m2/repository', jar);
  if (existsSync(local) && digest(readFileSync(local)) === sha256) return readFileSync(local);
  for (let tries = 1; ; tries++) {
    try {
      const response = await fetch(`${repository}/${jar}`, {
        signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`${repository}/${jar}: HTTP ${response.status}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (digest(bytes) !== sha256)
        throw new Error(`${repository}/${jar} is not the file whose SHA-256 is pinned`);
      return bytes;
    } catch (error) {
      if (tries === DOWNLOAD_TRIES) throw error;
    }
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Maven's own mirror of Central if its settings name one, else Central. */
function mavenRepository(): string {
  const candidates = [path.join(homedir(), '.m2/settings.xml'), '/etc/maven/settings.xml'];
  const home = process.env['MAVEN_HOME'];
  if (home !== undefined) candidates.push(path.join(home, 'conf/settings.xml'));
  for (const file of candidates) {
    if (!existsSync(file)) continue;
    const settings = readFileSync(file, 'utf8').replaceAll(/<!--.*?-->/gs, '');
    for (const [, mirror = ''] of settings.matchAll(/<mirror>(.*?)<\/mirror>/gs)) {
      const of = /<mirrorOf>\s*(.*?)\s*<\/mirrorOf>/s.exec(mirror)?.[1]?.split(',') ?? [];
      const url = /<url>\s*(.*?)\s*<\/url>/s.exec(mirror)?.[1];
      const blocked = /<blocked>\s*true/.test(mirror);
      if (
        url !== undefined &&
        !blocked &&
        of.some((name) => ['*', 'external:*', 'central'].includes(name.trim()))
      ) {
        return url.replace(/\/$/, '');
      }
    }
  }
  return MAVEN_CENTRAL;
}

/**
 * Checks the direction of imports (ARCHITECTURE.md, "The map"): which folder may import which, where Node's own modules
 * may appear, and what a core may see. Type imports count, because they are dependencies of a reader too.
 * Usage: node scripts/check-imports.ts [ROOT]. Exit code 1 and one line per breach.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

interface Layer {
  /** Layers of the same package that this one may import, besides itself. */
  readonly layers: readonly string[];
  /** Packages that it may import, besides what every layer of its package may. */
  readonly packages?: readonly string[];
}

const GROUND = ['errors', 'bag', 'expressions', 'platform', 'metrics'];
const CLUSTER = [...GROUND, 'config', 'storage', 'metadata', 'cluster', 'peer'];
const DOMAIN = ['topics', 'groups', 'queues', 'transactions', 'security', 'quotas'];
const FRONTENDS = ['kafka', 'amqp', 'rocketmq', 'stomp', 'mqtt', 'amqp10'].map((name) => `frontends/${name}`);
/** Front ends and the admin API see topics and what stands beside them, never logs or replicas. */
const EDGE = [...GROUND, 'config', 'cluster', 'peer', ...DOMAIN];

/**
 * The layers of packages/broker/src, lowest first: a folder, or a file directly in src without its ending. A layer may
 * import those named here and none above it; a folder that is missing here is a breach until somebody gives it a place.
 */
export const BROKER_LAYERS: Readonly<Record<string, Layer>> = {
  errors: { layers: [] },
  bag: { layers: [] },
  platform: { layers: ['errors'] },
  expressions: { layers: ['errors', 'platform'], packages: ['re2js'] },
  'platform/node': { layers: ['errors', 'platform'], packages: ['pino'] },
  metrics: { layers: ['errors', 'platform'], packages: ['@prometheus-io/client'] },
  storage: { layers: GROUND },
  config: { layers: [...GROUND, 'storage'], packages: ['yaml'] },
  metadata: { layers: [...GROUND, 'config', 'storage'] },
  'metadata/local': { layers: [...GROUND, 'config', 'storage', 'metadata'] },
  'metadata/etcd': { layers: [...GROUND, 'config', 'metadata'], packages: ['@grpc/grpc-js'] },
  cluster: { layers: [...GROUND, 'config', 'storage', 'metadata'] },
  peer: { layers: [...GROUND, 'config', 'cluster'], packages: ['@polylog/kafka-protocol'] },
  replication: { layers: CLUSTER },
  security: { layers: [...GROUND, 'config', 'metadata', 'cluster'], packages: ['re2js'] },
  quotas: { layers: [...GROUND, 'config', 'metadata', 'cluster'] },
  topics: { layers: [...CLUSTER, 'replication'] },
  /** What runs a deterministic state machine over a partition of an internal topic: the ground of groups, queues and transactions. */
  coordinator: { layers: [...CLUSTER, 'replication', 'topics'] },
  groups: { layers: [...CLUSTER, 'replication', 'topics', 'coordinator'] },
  queues: { layers: [...CLUSTER, 'replication', 'topics'] },
  transactions: { layers: [...CLUSTER, 'replication', 'topics', 'coordinator'] },
  'frontends/kafka': { layers: EDGE, packages: ['@polylog/kafka-protocol'] },
  'frontends/amqp': { layers: EDGE, packages: ['@polylog/amqp-protocol'] },
  'frontends/rocketmq': { layers: EDGE, packages: ['@polylog/rocketmq-protocol', '@grpc/grpc-js'] },
  'frontends/stomp': { layers: EDGE, packages: ['@polylog/stomp-protocol'] },
  'frontends/mqtt': { layers: EDGE, packages: ['@polylog/mqtt-protocol'] },
  'frontends/amqp10': { layers: EDGE, packages: ['@polylog/amqp10-protocol'] },
  admin: { layers: EDGE, packages: ['fastify'] },
  /** What of the engine concerns groups and transactions. */
  coordinators: { layers: EDGE },
  /** Puts the parts together over any platform, the simulated one too: all layers, but no real I/O. */
  engine: {
    layers: [...EDGE, 'storage', 'metadata', 'metadata/local', 'replication', 'coordinators', ...FRONTENDS],
  },
};

/** Files directly in packages/broker/src that put the parts together: they import everything, platform/node included. */
const COMPOSITION = [
  'main',
  'broker',
  'process-metrics',
  'cleaning-thread',
  'cleaning-worker',
  'cleaning-messages',
  'index',
];

const PROTOCOL_PACKAGES = ['kafka', 'amqp', 'stomp', 'mqtt', 'rocketmq', 'amqp10'];

/** What the sources of a package may import; the broker's layers add to it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  bytes: ['node:zlib', '@node-rs/crc32', 'lz4-napi', 'snappyjs'],
  record: ['@polylog/bytes'],
  broker: ['@polylog/bytes', '@polylog/record'],
  ...Object.fromEntries(
    PROTOCOL_PACKAGES.map((name) => [`${name}-protocol`, ['@polylog/bytes', '@polylog/record']]),
  ),
};

/** Where Node's modules, and so real I/O, may be imported; .oxlintrc.json holds the same list for Node's globals. */
const REAL_WORLD = [
  'packages/broker/src/platform/node/**',
  'packages/broker/src/main.ts',
  'packages/broker/src/broker.ts',
  'packages/broker/src/process-metrics.ts',
  'packages/broker/src/cleaning-*.ts',
  'packages/cli/src/**',
  'sim/main.ts',
  'sim/run.ts',
  'sim/run-seeds.ts',
  // Hashes and signatures, which depend on their arguments alone.
  'sim/platform/crypto.ts',
  'sim/mutants/**',
];

/** What a `*.core.ts` may import as a value; it may import types from wherever its layer allows. */
const CORE_PACKAGES = ['@polylog/bytes', '@polylog/record'];
const CORE_FILE = /\.core\.ts$/;
const CORE_MAY_IMPORT = /(?:\.core|(?:^|\/)types|(?:^|\/)errors)\.ts$/;

export interface Import {
  /** As written; undefined for a dynamic import that is not a plain string. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
  /** From 1. */
  readonly line: number;
}

export interface Breach {
  /** Relative to the root, with forward slashes. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

const STATIC_IMPORT =
  /^[ \t]*(?:import|export)\s+(?<type>type\s)?(?:[\w$*{}\s,]*?\bfrom\s*)?['"](?<specifier>[^'"\n]+)['"]/gm;
const DYNAMIC_IMPORT = /(?<![\w$.])import\(\s*(?:['"](?<specifier>[^'"\n]+)['"])?/g;

/** The imports and re-exports of a module. Relies on the formatter: a statement starts its line. */
export function importsOf(source: string): Import[] {
  const found: Import[] = [];
  for (const pattern of [STATIC_IMPORT, DYNAMIC_IMPORT]) {
    for (const match of source.matchAll(pattern)) {
      const line = source.slice(0, match.index).split('\n').length;
      if (pattern === DYNAMIC_IMPORT && isComment(source, match.index)) continue;
      found.push({
        specifier: match.groups?.['specifier'],
        typeOnly: match.groups?.['type'] !== undefined,
        line,
      });
    }
  }
  return found.toSorted((a, b) => a.line - b.line);
}

function isComment(source: string, index: number): boolean {
  const start = source.slice(source.lastIndexOf('\n', index) + 1, index);
  return /^\s*(?:\/\/|\/?\*)/.test(start);
}

/** Every breach below `root`, sorted by file. */
export function checkImports(root: string): Breach[] {
  const files = globSync(['packages/*/src/**/*.ts', 'sim/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'], {
    cwd: root,
    exclude: ['**/node_modules/**'],
  });
  return files
    .map((file) => file.split(path.sep).join('/'))
    .toSorted()
    .flatMap((file) => checkFile(file, readFileSync(path.join(root, file), 'utf8')));
}

function checkFile(file: string, source: string): Breach[] {
  const breaches: Breach[] = [];
  const check = file.startsWith('packages/') ? checkPackageImport : checkOutsideImport;
  const unplaced = unplacedLayer(file);
  if (unplaced !== undefined) breaches.push({ file, line: 1, message: unplaced });
  for (const imported of importsOf(source)) {
    const message = check(file, imported);
    if (message !== undefined) breaches.push({ file, line: imported.line, message });
  }
  return breaches;
}

function unplacedLayer(file: string): string | undefined {
  const layer = brokerLayerOf(file);
  if (layer === undefined || COMPOSITION.includes(layer) || Object.hasOwn(BROKER_LAYERS, layer))
    return undefined;
  return `"${layer}" has no place in BROKER_LAYERS (scripts/check-imports.ts)`;
}

/** A source file of a package: undefined if the import is allowed, else why not. */
function checkPackageImport(file: string, { specifier, typeOnly }: Import): string | undefined {
  const packageFolder = file.split('/')[1] ?? '';
  if (specifier === undefined) return 'import() of a computed name cannot be checked';
  const target = resolve(file, specifier);
  if (CORE_FILE.test(file) && !typeOnly) {
    const allowed = target === undefined ? CORE_PACKAGES.includes(specifier) : CORE_MAY_IMPORT.test(target);
    if (!allowed) return `a core imports cores, types, errors, record and bytes only, not ${specifier}`;
  }
  if (target === undefined) return checkBareImport(file, packageFolder, specifier);
  if (!target.startsWith(`packages/${packageFolder}/src/`)) {
    return `${specifier} leaves the package's sources: import packages by name, and sim/ and tests never`;
  }
  return packageFolder === 'broker' ? checkLayers(file, target) : undefined;
}

function checkBareImport(file: string, packageFolder: string, specifier: string): string | undefined {
  if (isRealWorld(file)) return undefined;
  const layer = brokerLayerOf(file);
  if (layer !== undefined && COMPOSITION.includes(layer) && !specifier.startsWith('node:')) return undefined;
  const allowed = [
    ...(PACKAGES[packageFolder] ?? []),
    ...((layer === undefined ? undefined : BROKER_LAYERS[layer]?.packages) ?? []),
  ];
  if (allowed.includes(specifier)) return undefined;
  if (specifier.startsWith('node:'))
    return `${specifier} only in platform/node, main.ts, broker.ts and the command line`;
  return `${layer ?? packageFolder} may not import the package ${specifier}`;
}

function checkLayers(file: string, target: string): string | undefined {
  const from = brokerLayerOf(file) ?? '';
  const to = brokerLayerOf(target) ?? '';
  if (from === to || COMPOSITION.includes(from)) return undefined;
  if (BROKER_LAYERS[from]?.layers.includes(to)) return undefined;
  return `${from} may not import ${to}`;
}

/** Files outside packages: the simulator, tests, benchmarks. */
function checkOutsideImport(file: string, { specifier }: Import): string | undefined {
  if (specifier === undefined) return undefined;
  const target = resolve(file, specifier);
  const top = file.split('/')[0];
  if (top === 'sim' && !isRealWorld(file) && !file.endsWith('.test.ts')) {
    if (specifier.startsWith('node:'))
      return `${specifier} would break replay: only sim/main.ts and its runners see the real world`;
    if (target?.startsWith('packages/broker/src/platform/node/')) return 'the simulator has its own platform';
  }
  if (top === 'bench' && target?.startsWith('sim/')) return 'only tests import sim/';
  if (top === 'test' && target?.startsWith('packages/'))
    return 'end-to-end tests use packages by name, as users do';
  return undefined;
}

/** The path, relative to the root, of a relative import; undefined for a package or a module of Node. */
function resolve(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? path.posix.join(path.posix.dirname(file), specifier) : undefined;
}

/** `storage` for packages/broker/src/storage/log.ts, `main` for packages/broker/src/main.ts; undefined outside the broker. */
function brokerLayerOf(file: string): string | undefined {
  const prefix = 'packages/broker/src/';
  if (!file.startsWith(prefix)) return undefined;
  const parts = file.slice(prefix.length).split('/');
  const nested = parts.slice(0, 2).join('/');
  if (parts.length > 2 && (parts[0] === 'frontends' || Object.hasOwn(BROKER_LAYERS, nested))) return nested;
  return parts[0]?.replace(/\.ts$/, '');
}

function isRealWorld(file: string): boolean {
  return REAL_WORLD.some((pattern) => path.posix.matchesGlob(file, pattern));
}

if (import.meta.main) {
  const breaches = checkImports(path.resolve(process.argv[2] ?? '.'));
  for (const { file, line, message } of breaches) console.error(`${file}:${line}: ${message}`);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}

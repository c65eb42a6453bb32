import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { BROKER_LAYERS, checkImports, importsOf } from '../check-imports.ts';

const root = mkdtempSync(path.join(tmpdir(), 'polylog-imports-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** The breaches of a tree that holds this one file. */
function breachesOf(file: string, source: string): string[] {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), source);
  return checkImports(root).map((breach) => `${breach.line}: ${breach.message}`);
}

const SRC = 'packages/broker/src';

const FORBIDDEN: [rule: string, file: string, source: string][] = [
  [
    'storage must not know replication',
    `${SRC}/storage/log.ts`,
    `import { p } from '../replication/partition.ts';`,
  ],
  [
    'a type is a dependency too',
    `${SRC}/storage/log.ts`,
    `import type { P } from '../replication/types.ts';`,
  ],
  ['a re-export is a dependency too', `${SRC}/storage/log.ts`, `export * from '../topics/types.ts';`],
  ['a dynamic import is a dependency too', `${SRC}/storage/log.ts`, `await import('../topics/types.ts');`],
  ['an import type is a dependency too', `${SRC}/storage/a.ts`, `let x: import('../topics/types.ts').X;`],
  [
    'an import over several lines counts',
    `${SRC}/storage/a.ts`,
    `import {\n  a,\n  b,\n} from '../topics/types.ts';`,
  ],
  ['a computed import cannot be checked', `${SRC}/topics/a.ts`, `await import(name);`],
  ['a front end must not see logs', `${SRC}/frontends/kafka/fetch.ts`, `import '../../storage/log.ts';`],
  [
    'a front end must not see replicas',
    `${SRC}/frontends/kafka/fetch.ts`,
    `import '../../replication/types.ts';`,
  ],
  ['front ends must not know each other', `${SRC}/frontends/kafka/a.ts`, `import '../amqp/session.ts';`],
  ['the admin API must not see logs', `${SRC}/admin/http.ts`, `import '../storage/log.ts';`],
  ['topics must not know front ends', `${SRC}/topics/a.ts`, `import '../frontends/kafka/server.ts';`],
  ['replication must not know topics', `${SRC}/replication/a.ts`, `import '../topics/types.ts';`],
  ['platform knows nobody', `${SRC}/platform/disk.ts`, `import '../storage/types.ts';`],
  [
    'only the composition root sees platform/node',
    `${SRC}/storage/a.ts`,
    `import '../platform/node/disk.ts';`,
  ],
  ['only the composition root sees etcd', `${SRC}/cluster/a.ts`, `import '../metadata/etcd/store.ts';`],
  [
    'the engine runs in the simulator, without real I/O',
    `${SRC}/engine.ts`,
    `import './platform/node/disk.ts';`,
  ],
  ['the engine runs in the simulator, without Node', `${SRC}/engine.ts`, `import 'node:fs';`],
  ['nobody imports the engine but the composition root', `${SRC}/topics/a.ts`, `import '../engine.ts';`],
  ['nobody imports main', `${SRC}/topics/a.ts`, `import '../main.ts';`],
  ['Node modules stay in platform/node', `${SRC}/storage/a.ts`, `import { open } from 'node:fs';`],
  ['Node modules are not for the package entry', `${SRC}/index.ts`, `import 'node:fs';`],
  ['libraries belong to one layer', `${SRC}/topics/a.ts`, `import pino from 'pino';`],
  [
    'Kafka messages stay in the front end',
    `${SRC}/topics/a.ts`,
    `import { x } from '@polylog/kafka-protocol';`,
  ],
  ['a core must not import a driver', `${SRC}/storage/a.core.ts`, `import { log } from './log.ts';`],
  [
    'a core must not import the platform',
    `${SRC}/storage/a.core.ts`,
    `import { c } from '../platform/clock.ts';`,
  ],
  ['a core must not import libraries', `${SRC}/config/a.core.ts`, `import { parse } from 'yaml';`],
  ['a new folder needs a place', `${SRC}/helpers/a.ts`, ''],
  ['sources must not see the simulator', `${SRC}/storage/a.ts`, `import '../../../../sim/platform/disk.ts';`],
  ['sources must not see tests', `${SRC}/storage/a.ts`, `import '../../test/fake.ts';`],
  ['packages by name', `${SRC}/storage/a.ts`, `import '../../../bytes/src/reader.ts';`],
  ['bytes knows nobody', 'packages/bytes/src/a.ts', `import '@polylog/record';`],
  ['record knows bytes alone', 'packages/record/src/a.ts', `import '@polylog/kafka-protocol';`],
  ['a protocol package must not know the broker', 'packages/kafka-protocol/src/a.ts', `import 'polylog';`],
  ['a protocol package does no I/O', 'packages/kafka-protocol/src/a.ts', `import 'node:net';`],
  ['the simulator does no real I/O', 'sim/platform/disk.ts', `import 'node:fs';`],
  [
    'the simulator has its own platform',
    'sim/world.ts',
    `import '../packages/broker/src/platform/node/disk.ts';`,
  ],
  ['only tests use the simulator', 'bench/main.ts', `import '../sim/world.ts';`],
  ['end-to-end tests use the public API', 'test/kcat.test.ts', `import '../packages/broker/src/broker.ts';`],
];

const ALLOWED: [rule: string, file: string, source: string][] = [
  ['storage uses the platform', `${SRC}/storage/log.ts`, `import type { Disk } from '../platform/disk.ts';`],
  ['everybody uses record', `${SRC}/storage/log.ts`, `import { x } from '@polylog/record';`],
  [
    'a core takes types of its layer',
    `${SRC}/storage/a.core.ts`,
    `import type { Disk } from '../platform/disk.ts';`,
  ],
  ['a core uses cores', `${SRC}/storage/a.core.ts`, `import { b } from './b.core.ts';`],
  ['platform/node does I/O', `${SRC}/platform/node/disk.ts`, `import fs from 'node:fs';`],
  [
    'main builds everything',
    `${SRC}/main.ts`,
    `import './platform/node/disk.ts';\nimport process from 'node:process';`,
  ],
  ['broker.ts builds everything', `${SRC}/broker.ts`, `import './storage/log.ts';\nimport 'node:os';`],
  ['the engine puts all parts together', `${SRC}/engine.ts`, `import './frontends/kafka/server.ts';`],
  ['a front end serves topics', `${SRC}/frontends/kafka/a.ts`, `import '../../topics/types.ts';`],
  ['within a layer all is free', `${SRC}/frontends/kafka/handlers/a.ts`, `import '../session.ts';`],
  [
    'comments do not count',
    `${SRC}/storage/a.ts`,
    `// import '../topics/types.ts';\n/* see import('../topics/a.ts') */`,
  ],
  ['tests use the simulator', 'sim/a.test.ts', `import 'node:fs';\nimport './world.ts';`],
];

describe('the direction of imports', () => {
  for (const [rule, file, source] of FORBIDDEN) {
    test(`${rule}: ${file}`, () => assert.equal(breachesOf(file, source).length, 1));
  }
  for (const [rule, file, source] of ALLOWED) {
    test(`${rule}: ${file}`, () => assert.deepEqual(breachesOf(file, source), []));
  }

  test('no two layers may import each other', () => {
    for (const [name, { layers }] of Object.entries(BROKER_LAYERS)) {
      for (const other of layers) {
        assert.ok(BROKER_LAYERS[other] !== undefined, `${name} names ${other}, which is no layer`);
        const below = reachable(other);
        assert.ok(!below.has(name), `${name} and ${other} reach each other`);
      }
    }
  });

  test('a breach is reported with its line', () => {
    const found = breachesOf(`${SRC}/storage/a.ts`, `const a = 1;\n\nimport { b } from 'node:os';`);
    assert.deepEqual(found, ['3: node:os only in platform/node, main.ts, broker.ts and the command line']);
  });

  test('imports are found in every form', () => {
    const source = [
      `import a from 'a';`,
      `import type { B } from 'b';`,
      `import 'c';`,
      `export type { D } from 'd';`,
      `const e = await import('e');`,
      `const notAnImport = "import x from 'f'";`,
    ].join('\n');
    assert.deepEqual(
      importsOf(source).map(({ specifier, typeOnly }) => [specifier, typeOnly]),
      [
        ['a', false],
        ['b', true],
        ['c', false],
        ['d', true],
        ['e', false],
      ],
    );
  });
});

function reachable(layer: string, seen = new Set<string>()): Set<string> {
  for (const next of BROKER_LAYERS[layer]?.layers ?? []) {
    if (!seen.has(next)) reachable(next, seen.add(next));
  }
  return seen;
}

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const CONFIGURATION = ['.oxlintrc.json', '.oxfmtrc.json', 'package.json', 'tsconfig.json'];

describe('npm run check', () => {
  let root: string;
  before(() => {
    root = mkdtempSync(path.join(tmpdir(), 'polylog-check-'));
    for (const name of CONFIGURATION)
      cpSync(path.join(repository, name), path.join(root, name), { recursive: true });
    cpSync(path.join(repository, 'scripts'), path.join(root, 'scripts'), {
      recursive: true,
      // The pages of docs/ are written from the broker's sources, which are not in this tree.
      filter: (source) => !source.endsWith('.test.ts') && !/scripts.docs(?:\.ts)?$/.test(source),
    });
    symlinkSync(path.join(repository, 'node_modules'), path.join(root, 'node_modules'));
    execFileSync('git', ['init', '--quiet'], { cwd: root });
    writeFileSync(path.join(root, '.gitignore'), 'node_modules\n');
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  /** Runs steps of the check over a tree with one source file more; the file is gone afterwards. */
  function checkWith(file: string, source: string, steps: string[]): { passed: boolean; output: string } {
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, source);
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/check.ts', ...steps], {
      cwd: root,
      encoding: 'utf8',
    });
    rmSync(target);
    return { passed: status === 0, output: stdout + stderr };
  }

  const file = 'packages/broker/src/storage/breach.ts';
  const breaches: [rule: string, step: string, source: string, message: RegExp][] = [
    ['clocks', 'lint', 'export const now = Date.now();\n', /Take the Clock/],
    ['the performance clock', 'lint', 'export const now = performance.now();\n', /Take the Clock/],
    ['randomness', 'lint', 'export const coin = Math.random();\n', /Math.random/],
    ['timers', 'lint', 'setTimeout(() => undefined, 1);\n', /Take the Timers/],
    ['intervals', 'lint', 'setInterval(() => undefined, 1);\n', /Take the Timers/],
    ['the loop', 'lint', 'setImmediate(() => undefined);\n', /Take the Loop/],
    ['microtasks', 'lint', 'queueMicrotask(() => undefined);\n', /Take the Loop/],
    ['the process', 'lint', 'export const id = process.pid;\n', /Only main.ts/],
    ['any', 'lint', 'export const it: any = 1;\n', /no-explicit-any/],
    [
      'lost promises',
      'lint',
      'export function f(p: Promise<void>): void {\n  p;\n}\n',
      /no-floating-promises/,
    ],
    ['layers', 'imports', "import '../topics/types.ts';\n", /storage may not import topics/],
    ['Node modules', 'imports', "import 'node:fs';\n", /node:fs only in/],
    ['formatting', 'format', 'export const  a = "1"\n', /breach\.ts/],
    ['types', 'types', "export const a: number = '1';\n", /not assignable/],
    ['suppressions', 'style', '// oxlint-disable-next-line no-var\n', /states its reason/],
  ];
  for (const [rule, step, source, message] of breaches) {
    test(`a breach fails: ${rule} (${step})`, () => {
      const { passed, output } = checkWith(file, source, [step]);
      assert.equal(passed, false, output);
      assert.match(output, message);
      assert.match(output, new RegExp(`FAILED ${step}`));
    });
  }

  test('an import cycle fails', () => {
    writeFileSync(
      path.join(root, 'packages/broker/src/storage/other.ts'),
      "export { a } from './breach.ts';\n",
    );
    const { passed, output } = checkWith(file, "export * from './other.ts';\nexport const a = 1;\n", [
      'lint',
    ]);
    rmSync(path.join(root, 'packages/broker/src/storage/other.ts'));
    assert.equal(passed, false, output);
    assert.match(output, /no-cycle/);
  });

  test('the same code passes where it belongs', () => {
    const source =
      "import { hostname } from 'node:os';\n\nexport const now = () => `${hostname()} ${Date.now()}`;\n";
    const steps = ['lint', 'imports', 'format', 'types', 'style'];
    const { passed, output } = checkWith('packages/broker/src/platform/node/good.ts', source, steps);
    assert.equal(passed, true, output);
  });

  test('an unknown step is an error, not a pass', () => {
    assert.equal(checkWith(file, '', ['lnit']).passed, false);
  });
});

/**
 * `npm run check`: everything that can be known without running the tests. All steps run, two at a time; all must pass.
 * `npm run check -- lint imports` runs those two.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const STEPS_IN_PARALLEL = 2;

interface Step {
  readonly name: string;
  /** Arguments for Node, one list per process, run one after the other. */
  readonly runs: readonly (readonly string[])[];
}

const OXLINT = ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings'];
const TSC = 'node_modules/typescript/bin/tsc';

const steps: Step[] = [
  { name: 'format', runs: [['node_modules/oxfmt/bin/oxfmt', '--check', '.']] },
  { name: 'lint', runs: [OXLINT] },
  { name: 'types', runs: [[TSC, '-p', 'tsconfig.json']] },
  { name: 'imports', runs: [['scripts/check-imports.ts']] },
  { name: 'style', runs: [['scripts/check-style.ts']] },
  { name: 'docs', runs: [['--conditions=@polylog/source', 'scripts/docs.ts', '--check']] },
  { name: 'unused', runs: [['node_modules/knip/bin/knip.js', '--no-progress']] },
  { name: 'packages', runs: packageRuns() },
];

/** Compiles every package as it is published, dependencies first, and lints the result as its users would see it. */
function packageRuns(): string[][] {
  const folders = globSync('packages/*/package.json').map((file) => path.dirname(file));
  const manifests = new Map(folders.map((folder) => [folder, readManifest(folder)]));
  const folderOf = new Map([...manifests].map(([folder, { name }]) => [name, folder]));
  const ordered: string[] = [];
  const place = (folder: string): void => {
    if (ordered.includes(folder)) return;
    for (const name of Object.keys(manifests.get(folder)?.dependencies ?? {})) {
      const dependency = folderOf.get(name);
      if (dependency !== undefined) place(dependency);
    }
    ordered.push(folder);
  };
  for (const folder of folders.toSorted()) place(folder);
  return ordered.flatMap((folder) => [
    [TSC, '-p', `${folder}/tsconfig.build.json`],
    ['node_modules/publint/src/cli.js', '--strict', folder],
  ]);
}

function readManifest(folder: string): { name: string; dependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    name: string;
    dependencies?: Record<string, string>;
  };
}

async function runStep(step: Step): Promise<boolean> {
  const startedMs = performance.now();
  let output = '';
  let passed = true;
  for (const args of step.runs) {
    const result = await run(args);
    output += result.output;
    passed &&= result.code === 0;
    if (!passed) break;
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  if (!passed) console.error(output.trimEnd());
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)`);
  return passed;
}

async function run(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject).on('close', resolve);
  return { code: await promise, output };
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`no such step: ${unknown.join(', ')}; there are ${steps.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const waiting = steps.filter(({ name }) => names.length === 0 || names.includes(name)).values();
const results: boolean[] = [];
async function work(): Promise<void> {
  for (const step of waiting) results.push(await runStep(step));
}
await Promise.all(Array.from({ length: STEPS_IN_PARALLEL }, work));
process.exitCode = results.every(Boolean) ? 0 : 1;

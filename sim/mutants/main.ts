/**
 * npm run sim:mutants                  plants each known bug and requires that the simulator catches it
 * npm run sim:mutants -- --only truncate-to-hw --seeds 50
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Mutant, MUTANTS } from './mutants.ts';

const SEEDS_DEFAULT = 100;
const PARALLEL = 2;

const { values } = parseArgs({ options: { only: { type: 'string' }, seeds: { type: 'string' } } });
const chosen = MUTANTS.filter((mutant) => values.only === undefined || mutant.name === values.only);
if (chosen.length === 0) throw new Error(`there is no mutant ${values.only}`);

const waiting = [...chosen];
let escaped = 0;
await Promise.all(Array.from({ length: PARALLEL }, work));
console.log(`${chosen.length - escaped} of ${chosen.length} mutants caught`);
process.exitCode = escaped === 0 ? 0 : 1;

async function work(): Promise<void> {
  for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
    const { code, output } = await run(mutant);
    if (code === 0) console.log(`caught   ${mutant.name}: ${output}`);
    else {
      escaped++;
      console.log(`${code === 2 ? 'UNPLANTED' : 'ESCAPED'}  ${mutant.name} (${mutant.why}): ${output}`);
    }
  }
}

function run(mutant: Mutant): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = fileURLToPath(new URL('./child.ts', import.meta.url));
  const args = [
    ...process.execArgv,
    '--conditions=@polylog/source',
    child,
    mutant.name,
    values.seeds ?? String(SEEDS_DEFAULT),
  ];
  return new Promise((resolve, reject) => {
    const spawned = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    spawned.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    spawned.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    spawned.on('error', reject);
    spawned.on('close', (code) => resolve({ code, output: output.trim() }));
  });
}

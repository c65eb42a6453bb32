/**
 * npm run sim:mutants                  plants each known bug and requires that the simulator's checks find it, and nothing without it
 * npm run sim:mutants -- --only truncate-to-hw --seeds 50
 * npm run sim:mutants -- --scenario groups
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { commandOptions, endOnMistake, integer, oneOf, OptionError } from '../../scripts/options.ts';
import { MUTANTS } from './mutants.ts';

const SEEDS_DEFAULT = 60;
const PARALLEL = 2;
const BASELINE = '-';
/** What child.ts exits with. */
const VERDICTS = ['ESCAPED', 'caught', 'UNPLANTED', 'BROKEN'] as const;

interface Run {
  readonly name: string;
  readonly scenario: string;
  readonly why: string;
}

const values = commandOptions({
  command: 'sim:mutants',
  summary: "Plants each known bug, and requires that the simulator's checks find it, and nothing without it.",
  options: {
    only: oneOf('only this one', { values: MUTANTS.map(({ name }) => name) }),
    scenario: oneOf('only those of this scenario', {
      values: [...new Set(MUTANTS.map(({ scenario }) => scenario))],
    }),
    seeds: integer('seeds until a bug has to be found', { default: SEEDS_DEFAULT, min: 1 }),
  },
});
const seeds = String(values.seeds);
const chosen = MUTANTS.filter(
  ({ name, scenario }) =>
    (values.only === undefined || name === values.only) &&
    (values.scenario === undefined || scenario === values.scenario),
);
if (chosen.length === 0) {
  endOnMistake('sim:mutants', new OptionError(`${values.only} is not of the scenario ${values.scenario}`));
}

const baselines = [...new Set(chosen.map(({ scenario }) => scenario))].map((scenario) => ({
  name: BASELINE,
  scenario,
  why: 'unchanged code',
}));
const waiting: Run[] = [...baselines, ...chosen];
let caught = 0;
let failed = false;
await Promise.all(Array.from({ length: PARALLEL }, work));
console.log(`${caught} of ${chosen.length} mutants caught`);
process.exitCode = failed || caught < chosen.length ? 1 : 0;

async function work(): Promise<void> {
  for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
    const startMs = performance.now();
    const { code, output } = await start(run);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const verdict = VERDICTS[code ?? VERDICTS.length] ?? `exit code ${code}`;
    if (run.name === BASELINE) {
      const holds = verdict === 'ESCAPED';
      failed ||= !holds;
      console.log(`${holds ? 'holds' : 'FAILED'}  unchanged code, ${run.scenario}, ${seconds} s: ${output}`);
    } else if (verdict === 'caught') {
      caught++;
      console.log(`caught  ${run.name} (${run.scenario}, ${seconds} s): ${output}`);
    } else console.log(`${verdict}  ${run.name} (${run.scenario}, ${run.why}): ${output}`);
  }
}

function start(run: Run): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = fileURLToPath(new URL('./child.ts', import.meta.url));
  const args = [...process.execArgv, '--conditions=@polylog/source', child, run.name, run.scenario, seeds];
  return new Promise((resolve, reject) => {
    const spawned = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    spawned.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    spawned.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    spawned.on('error', reject);
    spawned.on('close', (code) => resolve({ code, output: output.trim() }));
  });
}

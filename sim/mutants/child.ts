/** One mutant in a process of its own: exits with 0 when a seed has caught it, 1 when none has, 2 when it could not be planted. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants.ts';

const [name, seedsText] = process.argv.slice(2);
const mutant = MUTANTS.find((one) => one.name === name);
if (mutant === undefined) throw new Error(`there is no mutant ${name}`);

const target = new URL(`../../packages/broker/src/${mutant.file}`, import.meta.url).href;
let planted = false;

function plant(
  source: string,
  { file, search, replace }: { file: string; search: string; replace: string },
): string {
  const pattern = search
    .trim()
    .split(/\s+/)
    .map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join(String.raw`\s+`);
  const found = source.match(new RegExp(pattern, 'g'))?.length ?? 0;
  if (found !== 1) {
    console.log(`the text to change was found ${found} times in ${file}`);
    process.exit(2);
  }
  planted = true;
  return source.replace(new RegExp(pattern), () => replace);
}

registerHooks({
  load(url, context, nextLoad) {
    if (url !== target) return nextLoad(url, context);
    const source = plant(readFileSync(fileURLToPath(url), 'utf8'), mutant);
    return { format: 'module-typescript', source, shortCircuit: true };
  },
});

// A mutant may also break a promise nobody waits for: that is being caught, too.
process.on('uncaughtException', (error) => {
  console.log(`caught outside of the scenario: ${error.message}`);
  process.exit(0);
});

const { runSeed, SCENARIOS } = await import('../run.ts');
const scenario = SCENARIOS.find((one) => one.name === mutant.scenario)!;
if (!planted) {
  console.log(`${mutant.file} was never loaded`);
  process.exit(2);
}
for (let seed = 1; seed <= Number(seedsText); seed++) {
  const { violation } = await runSeed(scenario, seed);
  if (violation === undefined) continue;
  console.log(`seed ${seed}: ${violation.message}`);
  process.exit(0);
}
process.exit(1);

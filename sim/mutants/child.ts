/**
 * The seeds of one scenario in a process of its own, with one mutant planted, or none. Exits with 0 when all seeds hold, 1 when a check has found a
 * violation, 2 when the mutant could not be planted, 3 when something else went wrong: a crash is no proof that the checks see the bug.
 *
 *     child.ts <mutant, or -> <scenario> <seeds>
 */
import { AssertionError } from 'node:assert';
import { MUTANTS } from './mutants.ts';
import { plantOnLoad } from './plant.ts';

const HELD = 0;
const CAUGHT = 1;
const UNPLANTED = 2;
const BROKEN = 3;

const [name, scenarioName, seedsText] = process.argv.slice(2);
const mutant = name === '-' ? undefined : MUTANTS.find((one) => one.name === name);
if (mutant === undefined && name !== '-') throw new Error(`there is no mutant ${name}`);
const planting =
  mutant === undefined
    ? undefined
    : plantOnLoad(mutant, (found) => {
        console.log(`the text to change was found ${found} times in ${mutant.file}`);
        process.exit(UNPLANTED);
      });

const { runSeed, SCENARIOS } = await import('../run.ts');
const { Violation } = await import('../invariants/history.ts');

process.on('uncaughtException', (error) => {
  console.log(`uncaught: ${error.stack}`);
  process.exit(error instanceof Violation ? CAUGHT : BROKEN);
});

const scenario = SCENARIOS.find((one) => one.name === scenarioName);
if (scenario === undefined) throw new Error(`there is no scenario ${scenarioName}`);
if (mutant !== undefined && planting?.isPlanted() === false) {
  console.log(`${mutant.file} was never loaded`);
  process.exit(UNPLANTED);
}
let broken = false;
for (let seed = 1; seed <= Number(seedsText); seed++) {
  const { violation } = await runSeed(scenario, seed);
  if (violation === undefined) continue;
  console.log(`seed ${seed}: ${violation.message}`);
  if (violation instanceof Violation || violation instanceof AssertionError) process.exit(CAUGHT);
  broken = true;
}
process.exit(broken ? BROKEN : HELD);

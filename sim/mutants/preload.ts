/**
 * Plants a known bug in a broker that is started as a process of its own, to see whether a test finds it: `node --import` this file, with the
 * mutant's name in PLANTED_MUTANT. The process ends at once if the bug has no place in the source.
 */
import process from 'node:process';
import { MUTANTS } from './mutants.ts';
import { plantOnLoad } from './plant.ts';

const name = process.env['PLANTED_MUTANT'];
const mutant = MUTANTS.find((one) => one.name === name);
if (mutant === undefined) throw new Error(`PLANTED_MUTANT: there is no mutant ${name}`);
plantOnLoad(mutant, (found) => {
  throw new Error(`the text to change was found ${found} times in ${mutant.file}`);
});

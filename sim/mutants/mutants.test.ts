import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUTANTS } from './mutants.ts';
import { plant } from './plant.ts';

test('every mutant has its place in the source, and only one', () => {
  const misplaced = MUTANTS.map((mutant) => ({ name: mutant.name, found: plant(mutant).found }));
  assert.deepEqual(
    misplaced.filter(({ found }) => found !== 1),
    [],
  );
});

/** `npm run format`: what the linter can mend without a decision, and then the formatting, as `npm run check` wants it. */
import { spawnSync } from 'node:child_process';
import process from 'node:process';

import { commandOptions } from './options.ts';

const STEPS = [
  ['node_modules/oxlint/bin/oxlint', '--type-aware', '--fix', '--quiet'],
  ['node_modules/oxfmt/bin/oxfmt', '--write', '.'],
];

commandOptions({
  command: 'format',
  summary: 'Mends what the linter can mend by itself, and formats everything.',
  options: {},
});
for (const step of STEPS) {
  // The linter's exit code tells what it could not mend: that is for the check to say.
  const { error } = spawnSync(process.execPath, step, { stdio: 'inherit' });
  if (error) throw error;
}

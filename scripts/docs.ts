/**
 * `npm run docs` writes the pages in docs/ that come from the code. `-- --check`, a step of `npm run check`, writes nothing: exit code 1 and a
 * line for each page that is not what it would write.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';

import { configurationPage } from './docs/configuration.ts';
import { kafkaPage } from './docs/kafka.ts';
import { metricsPage } from './docs/metrics.ts';
import { permissionsPage } from './docs/permissions.ts';
import { commandOptions, flag } from './options.ts';

/** Each page from what it is at present, of which some keep what is written by hand. */
const PAGES: Readonly<Record<string, (present: string) => string | Promise<string>>> = {
  'docs/configuration.md': configurationPage,
  'docs/kafka.md': kafkaPage,
  'docs/metrics.md': metricsPage,
  'docs/permissions.md': permissionsPage,
};

const { check: checkOnly } = commandOptions({
  command: 'docs',
  summary: 'Writes the pages in docs/ that come from the code.',
  options: { check: flag('writes nothing: says which pages are stale, and exits with 1 if one is') },
});
for (const [file, page] of Object.entries(PAGES)) {
  const present = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const text = await page(present);
  if (text === present) continue;
  if (checkOnly) {
    console.error(`${file} is not what the code says: run npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    console.log(`wrote ${file}`);
  }
}

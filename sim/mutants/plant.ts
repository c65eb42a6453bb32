import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Mutant } from './mutant.ts';

export function targetOf({ file }: Mutant): URL {
  return new URL(`../../packages/broker/src/${file}`, import.meta.url);
}

/** The source of a mutant's file with the bug in it, and how often the place for it was found: it must be once. */
export function plant(mutant: Mutant): { readonly source: string; readonly found: number } {
  const original = readFileSync(fileURLToPath(targetOf(mutant)), 'utf8');
  const pattern = mutant.search
    .trim()
    .split(/\s+/)
    .map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join(String.raw`\s+`);
  const found = original.match(new RegExp(pattern, 'g'))?.length ?? 0;
  return { source: original.replace(new RegExp(pattern), () => mutant.replace), found };
}

/**
 * From now on this process loads the mutant's file with the bug in it. `isPlanted` tells whether that has happened; `misplaced` is called
 * instead when the place is not found once.
 */
export function plantOnLoad(
  mutant: Mutant,
  misplaced: (found: number) => void,
): { readonly isPlanted: () => boolean } {
  const target = targetOf(mutant).href;
  let planted = false;
  registerHooks({
    load(url, context, nextLoad) {
      if (url !== target) return nextLoad(url, context);
      const { source, found } = plant(mutant);
      if (found !== 1) misplaced(found);
      planted = true;
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  return { isPlanted: () => planted };
}

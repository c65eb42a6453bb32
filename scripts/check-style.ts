/**
 * Small rules that the linter does not know: suppressions state their reason, and nothing of one machine gets into the
 * repository. Usage: node scripts/check-style.ts [ROOT]. Exit code 1 and one line per breach.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const SOURCE = /\.(?:[cm]?[jt]s|tsx)$/;
const SUPPRESSION = /(?:oxlint|eslint)-disable|@ts-expect-error/;
const REASON = /(?: -- |@ts-expect-error:? )\S/;
/** Home folders, temporary folders of one person, addresses of one network. */
const MACHINE_PATH = /(?:^|[\s'"`(=])\/(?:home|root|work|Users)\/[\w.-]+/;

/** Breaches in one file, as `file:line: message`. */
export function checkStyle(file: string, text: string): string[] {
  if (file === 'package-lock.json') return checkLockfile(file, text);
  const breaches: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const at = `${file}:${index + 1}`;
    if (MACHINE_PATH.test(line)) breaches.push(`${at}: names a path of one machine`);
    if (!SOURCE.test(file) || !isComment(line)) continue;
    if (SUPPRESSION.test(line) && !REASON.test(line))
      breaches.push(`${at}: a suppression states its reason after " -- "`);
    if (line.includes('@ts-ignore')) breaches.push(`${at}: use @ts-expect-error with a reason`);
  }
  return breaches;
}

function isComment(line: string): boolean {
  return /^\s*(?:\/\/|\/?\*)|[\s;{})]\/\/ (?:oxlint|eslint|@ts)/.test(line);
}

interface LockEntry {
  readonly resolved?: string;
  readonly optionalDependencies?: Record<string, string>;
}

/**
 * Addresses in the lockfile would tie an installation to the registry of whoever wrote it. And `npm ci` refuses a lockfile
 * that leaves out optional packages of other systems, as npm writes it where the registry did not offer them.
 */
function checkLockfile(file: string, text: string): string[] {
  const { packages } = JSON.parse(text) as { packages: Record<string, LockEntry> };
  return Object.entries(packages).flatMap(([name, entry]) => {
    const breaches: string[] = [];
    if (entry.resolved !== undefined && /^\w+:\/\//.test(entry.resolved)) {
      breaches.push(`${file}: ${name} names a registry (.npmrc: omit-lockfile-registry-resolved)`);
    }
    for (const optional of Object.keys(entry.optionalDependencies ?? {})) {
      const places = [`${name}/node_modules/${optional}`, `node_modules/${optional}`];
      if (!places.some((place) => packages[place] !== undefined)) {
        breaches.push(`${file}: ${optional}, optional for ${name}, is missing`);
      }
    }
    return breaches;
  });
}

/** What git tracks or would track; without git (a source archive) there is nothing to compare with. */
function trackedFiles(root: string): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
  });
  return listed.toString('utf8').split('\0').filter(Boolean);
}

if (import.meta.main) {
  const root = path.resolve(process.argv[2] ?? '.');
  const breaches = trackedFiles(root)
    .filter((file) => SOURCE.test(file) || /\.(?:json|md|ya?ml)$|^\.ci\//.test(file))
    .flatMap((file) => checkStyle(file, readFileSync(path.join(root, file), 'utf8')));
  for (const breach of breaches) console.error(breach);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}

/** What is known of each test: expectations.json, and how a run is compared with it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestResult } from './outcomes.ts';

export const MODES = ['classic', 'consumer'] as const;
/** Which protocol the suite's consumer groups speak. */
export type Mode = (typeof MODES)[number];

/** A test that does not pass. */
export interface Exception {
  /** In which modes; both by default. In the other one it passes. */
  readonly modes?: readonly Mode[];
  /** It passes now and then. */
  readonly isUnsteady?: boolean;
  readonly reason: string;
}

export interface Expectations {
  /** Names of the tests that pass in both modes. */
  readonly passing: readonly string[];
  readonly others: Readonly<Record<string, Exception>>;
}

export interface ModeResult extends TestResult {
  readonly mode: Mode;
  /** Runs that it took: tests that do not pass are run again, since they measure time on a machine that may be busy. */
  readonly tries: number;
}

const FILE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'expectations.json');

export function readExpectations(): Expectations {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Expectations;
}

export function isExpectedToPass(expectations: Expectations, name: string, mode: Mode): boolean {
  const other = expectations.others[name];
  if (other === undefined) return expectations.passing.includes(name);
  return !(other.modes ?? MODES).includes(mode);
}

/** Contradictions between what is expected and what there is, one line each. */
export function contradictions(expectations: Expectations, names: readonly string[]): string[] {
  const { passing, others } = expectations;
  const listed = [...passing, ...Object.keys(others)];
  return [
    ...names.filter((name) => !listed.includes(name)).map((name) => `${name} is not listed`),
    ...listed
      .filter((name) => !names.includes(name))
      .map((name) => `${name} is listed, but the suite has no such test`),
    ...passing.filter((name) => name in others).map((name) => `${name} is listed twice`),
  ];
}

/** How a run differs from what is expected, one line each; empty when it is as it was committed. */
export function surprises(expectations: Expectations, results: readonly ModeResult[]): string[] {
  return results.flatMap(({ name, mode, outcome, reason }) => {
    const expected = isExpectedToPass(expectations, name, mode);
    if (expected && outcome !== 'passed')
      return [`${mode} ${name} ${outcome}, but is listed as passing: ${reason}`];
    const isUnsteady = expectations.others[name]?.isUnsteady === true;
    if (!expected && outcome === 'passed' && !isUnsteady)
      return [`${mode} ${name} passed, but is listed among those that do not`];
    return [];
  });
}

/** What librdkafka's test runner says about its tests: the summary table at the end of what it prints. */
import type { TestGroup } from './catalogue.ts';

/** `unfinished`: the runner crashed, was stopped at its time limit, or left this test out. */
export type Outcome = 'passed' | 'failed' | 'skipped' | 'unfinished';

export interface TestResult {
  readonly name: string;
  readonly outcome: Outcome;
  readonly seconds: number;
  /** Why it failed or was skipped, in the runner's words; empty for a passed one. */
  readonly reason: string;
}

export interface RunnerEnd {
  readonly output: string;
  /** null if a signal ended it. */
  readonly code: number | null;
  readonly isLate: boolean;
  readonly seconds: number;
}

/** `| 0012_produce_consume   |     FAILED |   5.081s | why`, with escape sequences for colours in between. */
const SUMMARY_LINE = /^\|\s*(\d{4}_\w+)\s*\|\s*([A-Z]+)\s*\|\s*([\d.]+)s[ \t]*\|[ \t]*(.*)$/gm;
/**
 * `### Test "0012_produce_consume (subtest)" failed at FILE:LINE:FUNCTION() at DATE: ###`, then the reason. It stands for the summary,
 * which is missing when the runner aborts because a failed test has left clients behind.
 */
const FAILURE = /^### Test "(\d{4}_\w+)[^"]*" failed at .*###\n(.*)$/gm;
/** So it says at once; for those before the one that failed. */
const PASSED = /=+ Test (\d{4}_\w+) PASSED =+/g;
// oxlint-disable-next-line no-control-regex -- terminals' escape sequences begin with a control character
const COLOUR = /\u001B\[\d*m/g;
const REASON_CHARACTERS_MAX = 300;

/** A test passed only if the runner says so and ends well: it exits with another code than 0 when a client leaks. */
export function readOutcomes(group: TestGroup, end: RunnerEnd): TestResult[] {
  const text = end.output.replaceAll(COLOUR, '');
  const lines = new Map<string, TestResult>();
  for (const [, name = '', state = '', seconds, reason = ''] of text.matchAll(SUMMARY_LINE)) {
    lines.set(name, { name, outcome: outcomeOf(state), seconds: Number(seconds), reason: shorten(reason) });
  }
  for (const [, name = ''] of text.matchAll(PASSED)) {
    if (!lines.has(name)) lines.set(name, { name, outcome: 'passed', seconds: end.seconds, reason: '' });
  }
  for (const [, name = '', reason = ''] of text.matchAll(FAILURE)) {
    if (lines.get(name)?.outcome === 'failed') continue;
    lines.set(name, { name, outcome: 'failed', seconds: end.seconds, reason: shorten(reason) });
  }
  const aFailureIsNamed = [...lines.values()].some((line) => line.outcome === 'failed');
  const ended = end.isLate
    ? 'it did not end within the time limit'
    : `the runner ended with ${end.code ?? 'a signal'}`;
  return group.tests.map(({ name }) => {
    const line = lines.get(name);
    if (line === undefined || line.outcome === 'unfinished') {
      return { name, outcome: 'unfinished', seconds: end.seconds, reason: ended };
    }
    if (line.outcome === 'passed' && end.code !== 0 && !aFailureIsNamed) {
      return { ...line, outcome: 'failed', reason: `${ended} after the test had passed` };
    }
    return line;
  });
}

function outcomeOf(state: string): Outcome {
  if (state === 'PASSED') return 'passed';
  if (state === 'FAILED') return 'failed';
  if (state === 'SKIPPED') return 'skipped';
  return 'unfinished';
}

function shorten(reason: string): string {
  const text = reason.trim();
  return text.length > REASON_CHARACTERS_MAX ? `${text.slice(0, REASON_CHARACTERS_MAX)}...` : text;
}

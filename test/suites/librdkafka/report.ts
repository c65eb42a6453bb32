/** The report of a run: one file of JSON that grows test by test, so that a run can be taken up again, and a table. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { MODES, type Mode, type ModeResult } from './expectations.ts';

interface ReportFile {
  readonly librdkafka: string;
  readonly results: readonly ModeResult[];
}

export class Report {
  readonly #file: string;
  readonly #librdkafka: string;
  readonly #results = new Map<string, ModeResult>();

  private constructor(file: string, librdkafka: string) {
    this.#file = file;
    this.#librdkafka = librdkafka;
  }

  /** Begins anew, or, with `resume`, with what the file already says. */
  static open(file: string, { librdkafka, resume }: { librdkafka: string; resume: boolean }): Report {
    const report = new Report(file, librdkafka);
    if (resume && existsSync(file)) {
      const { results } = JSON.parse(readFileSync(file, 'utf8')) as ReportFile;
      for (const result of results) report.#results.set(keyOf(result.mode, result.name), result);
    }
    return report;
  }

  get results(): ModeResult[] {
    return [...this.#results.values()];
  }

  has(mode: Mode, name: string): boolean {
    return this.#results.has(keyOf(mode, name));
  }

  add(result: ModeResult): void {
    this.#results.set(keyOf(result.mode, result.name), result);
    const content: ReportFile = { librdkafka: this.#librdkafka, results: this.results };
    writeFileSync(`${this.#file}.part`, `${JSON.stringify(content, undefined, 2)}\n`);
    renameSync(`${this.#file}.part`, this.#file);
  }
}

function keyOf(mode: Mode, name: string): string {
  return `${mode} ${name}`;
}

/** One line per test that ran, one column per mode, and a closing line with the counts. */
export function table(results: readonly ModeResult[]): string {
  const names = [...new Set(results.map(({ name }) => name))].sort();
  const width = Math.max(...names.map((name) => name.length), 0);
  const lines = names.map((name) => {
    const cells = MODES.map((mode) => {
      const result = results.find((candidate) => candidate.name === name && candidate.mode === mode);
      return (result === undefined ? '-' : cell(result)).padEnd(30);
    });
    return `${name.padEnd(width)}  ${cells.join('')}`.trimEnd();
  });
  const counts = MODES.map((mode) => {
    const ran = results.filter((result) => result.mode === mode);
    return `${mode}: ${ran.filter(({ outcome }) => outcome === 'passed').length} of ${ran.length} passed`;
  });
  return [
    `${''.padEnd(width)}  ${MODES.map((mode) => mode.padEnd(30)).join('')}`.trimEnd(),
    ...lines,
    counts.join('; '),
  ].join('\n');
}

function cell({ outcome, seconds, tries }: ModeResult): string {
  return `${outcome} ${seconds.toFixed(1)} s${tries > 1 ? ` (try ${tries})` : ''}`;
}

import Table from 'cli-table3';

export interface Column {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly align?: 'left' | 'right';
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Columns without lines between them: legible on 80 columns, and easy for awk. Ends with a newline. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
  style: (title: string) => string = (title) => title,
): string {
  const table = new Table({
    head: columns.map(({ title }) => style(title.toUpperCase())),
    chars: NO_BORDERS,
    colAligns: columns.map(({ align = 'left' }) => align),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const row of rows) table.push(row.map(String));
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** `Name   value` lines, values aligned. */
export function formatFacts(
  facts: readonly (readonly [name: string, value: string | number])[],
  style: (name: string) => string = (name) => name,
): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${style(name.padEnd(width))}  ${value}\n`).join('');
}

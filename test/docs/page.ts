import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A fenced block of a page. A first line such as "```js file=hello.mjs" says under which name a reader saves it; "```console" holds commands
 * after `$ ` and what they print.
 */
export interface Block {
  readonly language: string;
  /** Of the first line, after the language: `file=hello.mjs`. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly text: string;
  /** Of the block's first line, from 1. */
  readonly line: number;
}

export interface Command {
  readonly command: string;
  /** What it prints, with `...` for what differs from run to run. */
  readonly output: string;
}

const FENCE = /^```(\S*) ?(.*)\n((?:(?!^```).*\n)*?)^```$/gm;

export function readPage(name: string): string {
  return readFileSync(path.join(ROOT, name), 'utf8');
}

export function blocksOf(page: string): Block[] {
  return [...page.matchAll(FENCE)].map((match) => ({
    language: match[1]!,
    attributes: new Map(
      match[2]!
        .split(' ')
        .filter((word) => word.includes('='))
        .map((word): [string, string] => [
          word.slice(0, word.indexOf('=')),
          word.slice(word.indexOf('=') + 1),
        ]),
    ),
    text: match[3]!,
    line: page.slice(0, match.index).split('\n').length,
  }));
}

/** The commands of a `console` block. A line that ends in a backslash goes on in the next one. */
export function commandsOf(block: Block): Command[] {
  const commands: { command: string; output: string }[] = [];
  let continues = false;
  for (const line of block.text.split('\n').slice(0, -1)) {
    const last = commands.at(-1);
    if (continues) last!.command += `\n${line}`;
    else if (line.startsWith('$ ')) commands.push({ command: line.slice(2), output: '' });
    else if (last === undefined) throw new Error(`line ${block.line}: output before any command`);
    else last.output += `${line}\n`;
    continues = (continues || line.startsWith('$ ')) && line.endsWith('\\');
  }
  return commands;
}

/** Whether something was printed as the page shows it. `...` in a line stands for any text in it, a line of its own for any lines. */
export function isPrintedAs(printed: string, shown: string): boolean {
  const pattern = shown
    .split('\n')
    .map((line) => (line === '...' ? '(?:.*\n)*?.*' : line.split('...').map(escaped).join('.*')))
    .join('\n');
  return new RegExp(`^${pattern}$`).test(printed);
}

function escaped(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
}

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';

import { run } from '../peers/process.ts';
import { commandsOf, isPrintedAs, ROOT, type Block } from './page.ts';

/** What Node says of KafkaJS, on which the pages do not dwell: only newer versions of Node do. */
const KAFKAJS_WARNING =
  /\(node:\d+\) TimeoutNegativeWarning: .*\nTimeout duration was set to 1\.\n\(Use `node --trace-warnings .*\n/g;
/** Of the checkout, what is not linked into the reader's folder. */
const NOT_LINKED = new Set(['.git', 'data', 'docs']);

/** Who does what a page says, in a folder that looks like the checkout, and compares what is printed with the page. */
export class Reader {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'polylog-reader-'));
  readonly #addresses: ReadonlyMap<string, string>;
  readonly #environment: Record<string, string>;
  readonly #aliases: string[] = [];
  readonly #tools: string[] = [path.dirname(process.execPath)];

  /** `addresses`: what stands in for the addresses of the page, which may be taken on this machine; `environment`: for those it leaves out. */
  constructor(addresses: ReadonlyMap<string, string> = new Map(), environment: Record<string, string> = {}) {
    this.#addresses = addresses;
    this.#environment = environment;
    for (const name of readdirSync(ROOT)) {
      if (!NOT_LINKED.has(name)) symlinkSync(path.join(ROOT, name), path.join(this.folder, name));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Has a folder of programs searched first. */
  useTools(folder: string): void {
    this.#tools.push(folder);
  }

  /** Saves a block under the name that the page gives it. */
  save(block: Block): void {
    const target = path.join(this.folder, block.attributes.get('file')!);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, this.#here(block.text));
  }

  /** Runs the commands of a block, one after the other, as in one terminal; asserts that each prints what the page shows. */
  async type(block: Block): Promise<void> {
    for (const { command, output } of commandsOf(block)) {
      if (command.startsWith('alias ')) this.#aliases.push(this.#here(command));
      const script = [
        'shopt -s expand_aliases',
        // Or an inner test runner takes itself for a part of this one.
        'unset NODE_TEST_CONTEXT',
        'exec 2>&1',
        ...this.#aliases,
        this.#here(command),
      ].join('\n');
      // Line by line, as in a terminal: both streams are shown in the order in which they are written.
      const result = await run('stdbuf', ['-oL', 'bash', '-c', script], {
        cwd: this.folder,
        env: {
          ...this.#environment,
          PATH: [...this.#tools, process.env['PATH']].join(path.delimiter),
        },
      });
      const printed = result.stdout.replaceAll(KAFKAJS_WARNING, '');
      const shown = this.#here(output);
      assert.ok(
        isPrintedAs(printed, shown),
        `line ${block.line}: $ ${command}\nprinted:\n${printed}\nthe page shows:\n${shown}`,
      );
    }
  }

  #here(text: string): string {
    let replaced = text;
    for (const [onPage, here] of this.#addresses) replaced = replaced.replaceAll(onPage, here);
    return replaced;
  }
}

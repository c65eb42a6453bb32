/** The command line as a user runs it: a process of its own. */
import assert from 'node:assert/strict';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { run, start, type RunOptions, type RunResult } from '../peers/process.ts';

const MAIN = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../packages/broker/src/main.ts');
const ARGUMENTS = ['--conditions=@polylog/source', MAIN];

export class PolylogCli {
  /** HOST:PORT of the broker that it speaks to. */
  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  get env(): Record<string, string> {
    return { POLYLOG_BOOTSTRAP: this.address, NO_COLOR: '1' };
  }

  /** As a shell would have to write it. */
  get shellCommand(): string {
    return [process.execPath, ...ARGUMENTS].map((part) => `'${part}'`).join(' ');
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(process.execPath, [...ARGUMENTS, ...args], {
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  /** What it prints, if it succeeds. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.run(args, options);
    assert.equal(result.code, 0, `polylog ${args.join(' ')}\n${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  async json<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
    return JSON.parse(await this.ok([...args, '--json'], options)) as T;
  }

  /** Each line of what it prints, parsed. */
  async jsonLines<T>(args: readonly string[], options: RunOptions = {}): Promise<T[]> {
    return (await this.ok(args, options))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T);
  }

  /** A command in bash; `polylog` is this one. */
  async shell(script: string, options: RunOptions = {}): Promise<RunResult> {
    const withFunction = `polylog() { ${this.shellCommand} "$@"; }\n${script}`;
    return run('bash', ['-c', withFunction], { ...options, env: { ...this.env, ...options.env } });
  }

  start(args: readonly string[]): ReturnType<typeof start> {
    return start(process.execPath, [...ARGUMENTS, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...this.env },
    });
  }
}

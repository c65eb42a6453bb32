import { once } from 'node:events';
import process from 'node:process';
import type { ReadStream, WriteStream } from 'node:tty';
import { styleText } from 'node:util';
import { parseAddresses } from './client/address.ts';
import { clientSecurity, type ClientSecurity, type SecurityOptions } from './client/security.ts';
import { Cluster } from './client/cluster.ts';
import { usageError } from './errors.ts';
import { formatFacts, formatTable, type Column } from './output/table.ts';

export const BOOTSTRAP_DEFAULT = '127.0.0.1:9092';

export interface CommonOptions extends SecurityOptions {
  readonly bootstrap?: string;
  readonly json?: boolean;
  /** ms. */
  readonly timeout?: number;
}

const TIMEOUT_DEFAULT_MS = 15_000;

/** What a command works with: the streams, the options that all commands share, the cluster, and the wish to stop. */
export class Context {
  readonly stdin: ReadStream = process.stdin;
  readonly stdout: WriteStream = process.stdout;
  readonly stderr: WriteStream = process.stderr;
  readonly json: boolean;
  readonly timeoutMs: number;
  /** Aborted by the first Ctrl-C or SIGTERM, or when nobody reads the output any longer. */
  readonly signal: AbortSignal;
  readonly #bootstrap: string;
  readonly #securityOptions: SecurityOptions;
  #security: ClientSecurity | undefined;
  #cluster: Cluster | undefined;

  constructor(options: CommonOptions, signal: AbortSignal) {
    this.json = options.json ?? false;
    this.timeoutMs = options.timeout ?? TIMEOUT_DEFAULT_MS;
    this.signal = signal;
    this.#securityOptions = options;
    const fromEnvironment = process.env['POLYLOG_BOOTSTRAP'];
    this.#bootstrap = options.bootstrap ?? (fromEnvironment || BOOTSTRAP_DEFAULT);
  }

  /** HOST:PORT, several with commas between. */
  get bootstrap(): string {
    return this.#bootstrap;
  }

  /** Throws CliError for options that do not go together. */
  get security(): ClientSecurity {
    this.#security ??= clientSecurity(this.#securityOptions);
    return this.#security;
  }

  get cluster(): Cluster {
    this.#cluster ??= new Cluster({
      bootstrap: parseAddresses(this.#bootstrap),
      timeoutMs: this.timeoutMs,
      security: this.security,
    });
    return this.#cluster;
  }

  async close(): Promise<void> {
    await this.#cluster?.close();
  }

  /** Writes, and waits while the reader is behind. */
  async write(text: string | Uint8Array): Promise<void> {
    if (this.stdout.write(text) || this.signal.aborted) return;
    await once(this.stdout, 'drain', { signal: this.signal }).catch((error: unknown) => {
      if (!this.signal.aborted) throw error;
    });
  }

  /** The result of a command: for programs the value as JSON, for people the text. */
  async print(value: unknown, text: () => string): Promise<void> {
    await this.write(this.json ? `${JSON.stringify(value, undefined, 2)}\n` : text());
  }

  /** A remark for people, beside the result. */
  note(line: string): void {
    if (!this.json) this.stderr.write(`${line}\n`);
  }

  table(columns: readonly Column[], rows: readonly (readonly (string | number)[])[]): string {
    return formatTable(columns, rows, (title) => this.bold(title));
  }

  facts(facts: readonly (readonly [name: string, value: string | number])[]): string {
    return formatFacts(facts, (name) => this.bold(name));
  }

  bold(text: string): string {
    return this.#styled('bold', text);
  }

  good(text: string): string {
    return this.#styled('green', text);
  }

  bad(text: string): string {
    return this.#styled('red', text);
  }

  dim(text: string): string {
    return this.#styled('dim', text);
  }

  /** Columns of the terminal, or 80. */
  get width(): number {
    return this.stdout.isTTY ? this.stdout.columns : 80;
  }

  /** styleText looks at NO_COLOR, FORCE_COLOR and whether the stream is a terminal. */
  #styled(style: 'bold' | 'green' | 'red' | 'dim', text: string): string {
    return styleText(style, text, { stream: this.stdout, validateStream: true });
  }

  /**
   * Asks before something is destroyed. Without a terminal nobody can answer: then only --yes goes on.
   *
   * @throws CliError (usage) without --yes and without a terminal
   * @returns whether to go on
   */
  async confirm(question: string, options: { readonly yes: boolean }): Promise<boolean> {
    if (options.yes) return true;
    if (!this.stdin.isTTY || !this.stderr.isTTY) {
      throw usageError(`${question} Nobody can be asked here.`, 'Pass --yes to go on.');
    }
    // A word, not a key: what was typed ahead must not destroy anything.
    const { isCancel, text } = await import('@clack/prompts');
    const answer = await text({
      message: `${question} Type yes to go on.`,
      output: this.stderr,
      signal: this.signal,
    });
    return !isCancel(answer) && answer.trim().toLowerCase() === 'yes';
  }
}

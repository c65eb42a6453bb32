/** Java programs that run until they are told to end, or are killed, and can be started again. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PEER_CACHE } from '../peers/install-lock.ts';
import { KAFKA_APP_LIBS, KAFKA_LIBS } from '../peers/kafka-jars.ts';
import { kafkaAppArgs } from '../peers/kafka.ts';
import { runOk, start } from '../peers/process.ts';

const SOURCES = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../java');
const STOP_DEADLINE_MS = 20_000;
const LINES_KEPT = 500;

/** Compiles test/java/NAME.java, once for each content; the folder of its classes. Needs the jdk and Kafka's jars. */
export async function compileJava(name: string): Promise<string> {
  const source = path.join(SOURCES, `${name}.java`);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const classes = path.join(PEER_CACHE, `java-${name}-${hash}`);
  if (existsSync(classes)) return classes;
  mkdirSync(PEER_CACHE, { recursive: true });
  const fresh = mkdtempSync(path.join(PEER_CACHE, 'compiling-'));
  const libs = [KAFKA_LIBS, KAFKA_APP_LIBS].map((folder) => path.join(folder, '*')).join(':');
  await runOk('javac', ['-Xlint:all,-classfile,-path', '-Werror', '-cp', libs, '-d', fresh, source]);
  // Another process may have been quicker.
  if (existsSync(classes)) rmSync(fresh, { recursive: true });
  else renameSync(fresh, classes);
  return classes;
}

export interface JavaProgramOptions {
  readonly classPath?: readonly string[];
  readonly main: string;
  readonly args: readonly string[];
  /** Called for each line that a process prints or logs. */
  readonly onLine?: (line: string) => void;
}

/** One program with fixed arguments, of which at most one process runs at a time. */
export class JavaProgram {
  readonly #options: JavaProgramOptions;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'polylog-java-'));
  #child: ReturnType<typeof start> | undefined;
  #lines: string[] = [];

  constructor(options: JavaProgramOptions) {
    this.#options = options;
  }

  /** What the present or last process printed and logged, at most the last 500 lines. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    const lines: string[] = [];
    this.#lines = lines;
    // What is being tested comes first on a machine with few cores.
    const args = ['-n', '5', 'java', ...kafkaAppArgs(this.#folder, this.#options)];
    const child = start('nice', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        this.#options.onLine?.(line);
        if (lines.length > LINES_KEPT) lines.shift();
      });
    }
    this.#child = child;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; false if that did not end it, and it was killed. */
  async stop(): Promise<boolean> {
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.#end('SIGTERM');
    clearTimeout(timer);
    return this.#child?.signalCode !== 'SIGKILL';
  }

  /** It is not started again. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }
}

/** Kafka's command-line tools, many of them in one JVM: each of its starts would take a second or more. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { kafkaProgramArgs, KAFKA_TOOLS } from '../peers/kafka.ts';
import { start, type RunResult } from '../peers/process.ts';
import { compileJava } from './java-program.ts';

const TOOL_DEADLINE_MS = 60_000;

export type KafkaTool = keyof typeof KAFKA_TOOLS;

/** A JVM that runs one tool after the other, for one cluster. Needs the peers jdk and kafka-jars. */
export class KafkaTools {
  readonly #address: string;
  readonly #folder: string;
  readonly #child: ReturnType<typeof start>;
  /** The tool that runs: what hears of its result, or, without one, of the end of the JVM. */
  #running: ((line: string | undefined) => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  static async start(address: string): Promise<KafkaTools> {
    return new KafkaTools(address, await compileJava('ToolRunner'));
  }

  private constructor(address: string, classes: string) {
    this.#address = address;
    this.#folder = mkdtempSync(path.join(tmpdir(), 'polylog-java-'));
    const args = kafkaProgramArgs(this.#folder, { classPath: [classes], main: 'ToolRunner', args: [] });
    this.#child = start('java', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on('line', (line) => this.#running?.(line));
    this.#child.once('close', () => this.#running?.(undefined));
  }

  /** Runs a tool with `--bootstrap-server` and these arguments to its end. */
  run(tool: KafkaTool, ...args: string[]): Promise<RunResult> {
    const words = withServer(tool, args, ['--bootstrap-server', this.#address]);
    const result = this.#last.then(() => this.#run([KAFKA_TOOLS[tool], ...words]));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** What the tool printed to its standard output. Throws if its exit code is not 0, with all it printed. */
  async ok(tool: KafkaTool, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(tool, ...args);
    if (code !== 0) throw new Error(`${tool} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, 'close');
      this.#child.kill('SIGKILL');
      await closed;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #run(words: readonly string[]): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${why}: ${words.join(' ')}`));
      const late = setTimeout(() => {
        fail(`no end within ${TOOL_DEADLINE_MS} ms`);
        void this.stop();
      }, TOOL_DEADLINE_MS);
      this.#running = (line) => {
        this.#running = undefined;
        clearTimeout(late);
        if (line === undefined) {
          fail('the JVM has ended');
          return;
        }
        const [code, out, err] = line.split(' ');
        const text = (word = '') => Buffer.from(word.slice(1), 'base64').toString();
        resolve({ code: Number(code), stdout: text(out), stderr: text(err) });
      };
      this.#child.stdin?.write(`${words.map((word) => Buffer.from(word).toString('base64')).join(' ')}\n`);
    });
  }
}

function withServer(tool: KafkaTool, args: readonly string[], server: readonly string[]): readonly string[] {
  switch (tool) {
    // It belongs to the command, not to the tool.
    case 'cluster':
      return [...args, ...server];
    case 'transactionalMessageCopier':
      return [...args, '--broker-list', server[1]!];
    default:
      return [...server, ...args];
  }
}

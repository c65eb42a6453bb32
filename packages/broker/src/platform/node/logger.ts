import { destination, pino, type Logger as PinoLogger } from 'pino';
import type { LogFields, Logger, LogLevel } from '../log.ts';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Where the JSON lines go; default stderr, so that stdout stays free for what a user asked to see. */
  readonly output?: 'stdout' | 'stderr' | { write(line: string): void };
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** JSON lines of pino; an `error` field is written with its type, message, stack and causes. */
export class NodeLogger implements Logger {
  readonly #pino: PinoLogger;
  /** The same object in all that came from one: pino's own levels are copied into its children. */
  readonly #least: { severity: number };

  private constructor(logger: PinoLogger, least: { severity: number }) {
    this.#pino = logger;
    this.#least = least;
  }

  static create(options: LoggerOptions): NodeLogger {
    const output = options.output ?? 'stderr';
    // Synchronous, because the last lines before a crash are the ones that matter, and the hot path does not log.
    const stream =
      typeof output === 'object' ? output : destination({ dest: output === 'stdout' ? 1 : 2, sync: true });
    return new NodeLogger(
      pino({ level: 'debug', base: null, serializers: { error: pino.stdSerializers.errWithCause } }, stream),
      { severity: SEVERITY[options.level] },
    );
  }

  debug(fields: LogFields, message: string): void {
    if (this.#least.severity <= SEVERITY.debug) this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    if (this.#least.severity <= SEVERITY.info) this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    if (this.#least.severity <= SEVERITY.warn) this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    if (this.#least.severity <= SEVERITY.error) this.#pino.error(fields, message);
  }

  child(fields: LogFields): NodeLogger {
    return new NodeLogger(this.#pino.child(fields), this.#least);
  }

  setLevel(level: LogLevel): void {
    this.#least.severity = SEVERITY[level];
  }
}

import { destination, pino, type Logger as PinoLogger } from 'pino';
import type { LogFields, Logger } from '../log.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Where the JSON lines go; default stderr, so that stdout stays free for what a user asked to see. */
  readonly output?: 'stdout' | 'stderr' | { write(line: string): void };
}

/** JSON lines of pino; an `error` field is written with its type, message, stack and causes. */
export class NodeLogger implements Logger {
  readonly #pino: PinoLogger;

  private constructor(logger: PinoLogger) {
    this.#pino = logger;
  }

  static create(options: LoggerOptions): NodeLogger {
    const output = options.output ?? 'stderr';
    // Synchronous, because the last lines before a crash are the ones that matter, and the hot path does not log.
    const stream =
      typeof output === 'object' ? output : destination({ dest: output === 'stdout' ? 1 : 2, sync: true });
    return new NodeLogger(
      pino(
        { level: options.level, base: null, serializers: { error: pino.stdSerializers.errWithCause } },
        stream,
      ),
    );
  }

  debug(fields: LogFields, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#pino.error(fields, message);
  }

  child(fields: LogFields): NodeLogger {
    return new NodeLogger(this.#pino.child(fields));
  }
}

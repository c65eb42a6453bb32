import { kafkaErrorName, kafkaErrors } from '@polylog/kafka-protocol';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface CliErrorOptions {
  readonly exitCode?: ExitCode;
  /** For programs: Kafka's name of the error where a broker sent one, else a name of ours. */
  readonly code?: string;
  /** What to do about it; printed on a line of its own. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** A failure that the user can understand and perhaps mend; anything else is a bug and is shown with its stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly hint: string | undefined;

  constructor(message: string, options: CliErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.code = options.code ?? 'FAILED';
    this.hint = options.hint;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage, code: 'USAGE', hint });
}

const NOT_FOUND = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'GROUP_ID_NOT_FOUND',
  'RESOURCE_NOT_FOUND',
]);

/** What to do about errors whose text alone does not say it. */
const HINTS: Readonly<Record<string, string>> = {
  NON_EMPTY_GROUP: 'Stop its consumers first, or wait until their sessions have timed out.',
  NOT_ENOUGH_REPLICAS: 'See `polylog cluster health`.',
  KAFKA_STORAGE_ERROR: "The broker's log says more; `polylog dump-log` shows where a data folder is damaged.",
  SECURITY_DISABLED: 'Start the broker with authorization.enabled=true; docs/security.md says more.',
  GROUP_SUBSCRIBED_TO_TOPIC: 'Stop the consumers that subscribe to the topic first.',
};

/**
 * An error code of the protocol as an error of ours.
 *
 * @param what what failed, such as `topic orders`
 * @param detail the broker's own message, if it sent one
 * @param hint instead of what is usually said of this error
 */
export function protocolError(code: number, what: string, detail?: string | null, hint?: string): CliError {
  const name = kafkaErrorName(code) ?? `ERROR_${code}`;
  const known = kafkaErrorName(code);
  const text = detail ?? (known === undefined ? `unknown error ${code}` : kafkaErrors[known].message);
  return new CliError(`${what}: ${withoutStop(text)} (${name})`, {
    code: name,
    exitCode: NOT_FOUND.has(name) ? EXIT.notFound : EXIT.failed,
    hint: hint ?? HINTS[name],
  });
}

/** Whether the same request may succeed later. */
export function isRetriable(code: number): boolean {
  const name = kafkaErrorName(code);
  return name !== undefined && kafkaErrors[name].retriable;
}

/** `No such topic.` within a sentence. */
function withoutStop(text: string): string {
  return text.endsWith('.') ? text.slice(0, -1) : text;
}

import { constants } from 'node:os';
import process from 'node:process';
import { CommanderError, type Command } from 'commander';
import { ConnectionError } from './client/connection.ts';
import { unreachable } from './client/cluster.ts';
import type { Runner } from './command.ts';
import { Context } from './context.ts';
import { CliError, usageError } from './errors.ts';
import { EXIT, EXIT_SIGNAL_BASE } from './exit-codes.ts';
import { buildProgram } from './program.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A command that was asked to stop gets so long to leave its group and close its connections. */
const STOP_PATIENCE_MS = 5000;

/**
 * Runs one command line (without the program's name) and ends the process with its exit code. The first signal asks the
 * command to stop, the second one stops it. Nobody reading the output any longer (`| head`) is a reason to stop, not an error.
 */
export async function runCli(argv: readonly string[]): Promise<never> {
  const stop = new AbortController();
  let stoppedBy: NodeJS.Signals | undefined;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const code = EXIT_SIGNAL_BASE + constants.signals[signal];
      if (stoppedBy !== undefined) process.exit(code);
      stoppedBy = signal;
      stop.abort();
      setTimeout(() => process.exit(code), STOP_PATIENCE_MS).unref();
    });
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop.abort();
  });
  // Remarks that nobody reads are no reason for anything.
  process.stderr.on('error', () => undefined);

  const json = argv.includes('--json');
  let exitCode: number = EXIT.ok;
  const runner: Runner = async (options, work) => {
    const context = new Context(options, stop.signal);
    try {
      exitCode = (await work(context)) ?? EXIT.ok;
    } finally {
      await context.close();
    }
  };
  try {
    await parse(buildProgram(runner), argv);
  } catch (error) {
    // What a signal broke off is not a failure of its own.
    if (!stop.signal.aborted || error instanceof CliError) exitCode = report(error, json);
  }
  if (stoppedBy !== undefined) exitCode = EXIT_SIGNAL_BASE + constants.signals[stoppedBy];
  process.exit(exitCode);
}

/** Throws CliError for what cannot be understood, with what commander says about it. */
async function parse(program: Command, argv: readonly string[]): Promise<void> {
  let written = '';
  for (const command of withSubcommands(program)) {
    command.exitOverride().configureOutput({ writeErr: (text) => (written += text) });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    if (error.code === 'commander.help')
      throw new CliError(written.trimEnd(), { exitCode: EXIT.usage, code: 'HELP' });
    const [message = '', suggestion] = (written || error.message)
      .trim()
      .replace(/^error: /, '')
      .split('\n');
    const nearest = suggestion === undefined ? '' : ` ${suggestion.replace('Did', 'did')}`;
    throw usageError(
      message.replace(/\.$/, '') + nearest,
      `See \`polylog ${namedCommand(program, argv)}--help\`.`,
    );
  }
}

/** The command that a command line names, as far as it can be understood, with a blank behind it. */
function namedCommand(program: Command, argv: readonly string[]): string {
  let command = program;
  let path = '';
  for (const word of argv) {
    const child = command.commands.find((one) => one.name() === word);
    if (child === undefined) continue;
    command = child;
    path += `${word} `;
  }
  return path;
}

function* withSubcommands(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* withSubcommands(child);
}

/** Prints the error, and returns the exit code that goes with it. */
function report(error: unknown, json: boolean): number {
  const known = error instanceof ConnectionError ? unreachable([error]) : error;
  if (!(known instanceof CliError)) {
    process.stderr.write(`polylog: this is a bug: ${stackOf(known)}\n`);
    return EXIT.failed;
  }
  const { message, hint, code, exitCode } = known;
  if (json) {
    process.stderr.write(`${JSON.stringify({ error: { code, message, hint: hint ?? null, exitCode } })}\n`);
  } else if (code === 'HELP') {
    process.stderr.write(`${message}\n`);
  } else {
    process.stderr.write(`polylog: ${message}\n${hint === undefined ? '' : `  ${hint}\n`}`);
  }
  return exitCode;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

import { Option, type Argument, type Command } from 'commander';
import { SASL_MECHANISMS } from './client/security.ts';
import { BOOTSTRAP_DEFAULT, type CommonOptions, type Context } from './context.ts';
import type { ExitCode } from './exit-codes.ts';
import { patience } from './values.ts';

/** One command: what its help says and what it does. */
export interface CommandSpec<O extends object, A extends readonly unknown[]> {
  /** Name and arguments, as commander writes them: `create <name...>`. */
  readonly usage: string;
  /** Without a full stop: it stands in the list of commands too. */
  readonly summary: string;
  /** Instead of the summary, in the command's own help. */
  readonly description?: string;
  /** Arguments that need more than `usage` says. */
  readonly arguments?: readonly Argument[];
  readonly options?: readonly Option[];
  /** Command lines without `polylog`, each with what it does. */
  readonly examples: readonly (readonly [line: string, explanation: string])[];
  /** Further help, below the examples. */
  readonly notes?: string;
  /** It speaks to no broker. */
  readonly offline?: boolean;
  /** Resolves with the exit code, 0 if left out. Throws CliError. */
  run(context: Context, options: O, ...args: A): Promise<ExitCode | void>;
}

/** Runs what a command does, with a context that it closes. */
export type Runner = (
  options: CommonOptions,
  work: (context: Context) => Promise<ExitCode | void>,
) => Promise<void>;

/** A group of commands, such as `topic`. */
export function addGroup(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .summary(summary)
    .description(`${summary}.`)
    .helpCommand(false)
    .helpOption('-h, --help', 'show this help');
}

export function addCommand<O extends object, A extends readonly unknown[]>(
  parent: Command,
  runner: Runner,
  spec: CommandSpec<O, A>,
): Command {
  const command = parent.command(spec.usage).summary(spec.summary).helpCommand(false);
  command.description(spec.description ?? `${spec.summary}.`);
  for (const one of spec.arguments ?? []) command.addArgument(one);
  for (const one of spec.options ?? []) command.addOption(one);
  for (const one of commonOptions(spec.offline ?? false)) command.addOption(one);
  command.helpOption('-h, --help', 'show this help');
  command.addHelpText('after', examplesText(spec));
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, -2) as unknown as A;
    const options = command.optsWithGlobals<O & CommonOptions>();
    await runner(options, (context) => spec.run(context, options, ...args));
  });
  return command;
}

/** An option with an argument that is parsed; see values.ts. */
export function option<T>(
  flags: string,
  description: string,
  parser?: (text: string, previous: T | undefined) => T,
): Option {
  const made = new Option(flags, description);
  return parser === undefined ? made : made.argParser(parser);
}

/** On the program and on each command, so that they may stand before or behind the command's name. */
export function commonOptions(offline = false): Option[] {
  const bootstrap = `broker to ask, or several with commas between (default: $POLYLOG_BOOTSTRAP or ${BOOTSTRAP_DEFAULT})`;
  const ofBrokers = [
    option('--bootstrap <host:port>', bootstrap),
    option('--timeout <duration>', 'patience with a broker (default: 15s)', patience),
  ];
  const ofSecurity = [
    option('--username <name>', 'who logs in'),
    option('--password <password>', 'its password, which others may see'),
    option('--password-file <file>', 'a file with it'),
    option('--sasl-mechanism <name>', 'how it logs in (default: SCRAM-SHA-512)').choices(SASL_MECHANISMS),
    option('--tls', 'speak TLS, trusting the authorities that Node trusts'),
    option('--tls-ca <file>', 'the authorities to trust instead, in PEM'),
    option('--tls-cert <file>', 'a certificate to show, in PEM'),
    option('--tls-key <file>', 'its key, where it is in a file of its own'),
    option('--command-config <file>', "all of this as settings of Kafka's clients, name=value"),
  ].map((one) => one.helpGroup('Security options:'));
  const all = [...(offline ? [] : ofBrokers), option('--json', 'print JSON, for programs')];
  const common = all.map((one) => one.helpGroup('Common options:'));
  return offline ? common : [...common, ...ofSecurity];
}

function examplesText({ examples, notes }: Pick<CommandSpec<object, []>, 'examples' | 'notes'>): string {
  const lines = ['', 'Examples:'];
  for (const [line, explanation] of examples) lines.push(`  # ${explanation}`, `  polylog ${line}`);
  if (notes !== undefined) lines.push('', notes.trim());
  return lines.join('\n');
}

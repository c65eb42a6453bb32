import { createRequire } from 'node:module';
import { Command } from 'commander';
import { commonOptions, type Runner } from './command.ts';
import { addAclCommands } from './commands/acl.ts';
import { addClusterCommands } from './commands/cluster.ts';
import { addCompletionCommands } from './commands/completion.ts';
import { addConfigCommands } from './commands/config.ts';
import { addConsumeCommand } from './commands/consume.ts';
import { addDumpLogCommand } from './commands/dump-log.ts';
import { addGroupCommands } from './commands/group.ts';
import { addProduceCommand } from './commands/produce.ts';
import { addQuotaCommands } from './commands/quota.ts';
import { addTopicCommands } from './commands/topic.ts';
import { addUserCommands } from './commands/user.ts';

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no broker answers,
5 damage or ill health found; 128 + N ended by signal N.

\`polylog COMMAND --help\` shows examples. Every setting of the broker:
\`polylog start --help\`.`;

/** The tree of commands. Its actions go through the runner. */
export function buildProgram(runner: Runner): Command {
  const program = new Command('polylog');
  program.description('A message broker: one log, every protocol. Without a command it starts a broker.');
  program.usage('[command] [options]').helpOption('-h, --help', 'show this help');
  program.version(version(), '-V, --version', 'show the version');
  for (const one of commonOptions()) program.addOption(one);
  // Set before the commands are made: they inherit it.
  program.configureHelp({ subcommandTerm: (command) => subcommandTerm(command) });
  program.commandsGroup('Broker:');
  // Handled before this package is loaded (packages/broker/src/main.ts): here for the help and the completion.
  program
    .command('start')
    .summary('Start a broker')
    .description('Start a broker. `polylog start --help` lists its settings.')
    .allowUnknownOption();
  program.commandsGroup('Commands:');
  addTopicCommands(program, runner);
  addProduceCommand(program, runner);
  addConsumeCommand(program, runner);
  addGroupCommands(program, runner);
  addConfigCommands(program, runner);
  addUserCommands(program, runner);
  addAclCommands(program, runner);
  addQuotaCommands(program, runner);
  addClusterCommands(program, runner);
  addDumpLogCommand(program, runner);
  addCompletionCommands(program, runner);
  program.helpCommand('help [command]', 'Show the help of a command');
  program.addHelpText('after', EXIT_CODES);
  return program;
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../package.json') as { version: string };
  return manifest.version;
}

/** Name and arguments: that there are options goes without saying. */
function subcommandTerm(command: Command): string {
  const args = command.registeredArguments.map((one) => {
    const name = one.variadic ? `${one.name()}...` : one.name();
    return one.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...args].join(' ');
}

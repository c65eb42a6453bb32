import { Argument, type Command } from 'commander';
import { completionScript, SHELLS, type Shell } from '../completion/scripts.ts';
import { completionTree } from '../completion/tree.ts';
import { addCommand, type Runner } from '../command.ts';
import { allGroups } from '../client/groups.ts';
import { CliError } from '../errors.ts';

/** Names offered to a shell: more are no help to anyone who types. */
const NAMES_MAX = 1000;

export function addCompletionCommands(program: Command, runner: Runner): void {
  addCommand<object, [Shell]>(program, runner, {
    usage: 'completion',
    summary: 'Print a script that completes commands in a shell',
    offline: true,
    arguments: [new Argument('<shell>', 'whose script').choices([...SHELLS])],
    examples: [
      ['completion bash >> ~/.bashrc', 'for every new bash'],
      ['completion zsh > ~/.zfunc/_polylog', 'in a folder of $fpath'],
      ['completion fish > ~/.config/fish/completions/polylog.fish', 'for fish'],
    ],
    async run(context, _options, shell) {
      await context.write(completionScript(shell, completionTree(program)));
    },
  });
  // For those scripts.
  program
    .command('complete', { hidden: true })
    .argument('<kind>')
    .action(async (kind: string) => {
      await runner({ timeout: 1000 }, async (context) => {
        try {
          const known =
            kind === 'groups'
              ? (await allGroups(context.cluster)).map(({ group }) => group)
              : (await context.cluster.topics()).filter(({ internal }) => !internal).map(({ name }) => name);
          await context.write(`${known.slice(0, NAMES_MAX).join('\n')}\n`);
        } catch (error) {
          // Without a broker there is nothing to offer, and nobody wants to read why at a prompt.
          if (!(error instanceof CliError)) throw error;
        }
      });
    });
}

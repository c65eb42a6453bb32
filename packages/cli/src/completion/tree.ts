import type { Command } from 'commander';

/** What can be completed after the words of one command. */
export interface CompletionNode {
  /** `topic create`; empty for the program itself. */
  readonly path: string;
  readonly words: readonly CompletionWord[];
  /** Names that only a broker knows, for the arguments. */
  readonly names: 'topics' | 'groups' | undefined;
}

export interface CompletionWord {
  readonly text: string;
  readonly description: string;
}

/** Arguments called like this are names of what exists. */
const NAMES_OF_ARGUMENTS: Readonly<Record<string, CompletionNode['names']>> = {
  topic: 'topics',
  group: 'groups',
};
/** Commands whose argument `name` is that of something that exists. */
const NAMES_OF_COMMANDS: Readonly<Record<string, CompletionNode['names']>> = {
  'topic describe': 'topics',
  'topic alter': 'topics',
  'topic delete': 'topics',
};

/** All commands with their options and subcommands, parents first. */
export function completionTree(program: Command): CompletionNode[] {
  return [...nodes(program, '')];
}

function* nodes(command: Command, path: string): Generator<CompletionNode> {
  const visible = command.createHelp().visibleCommands(command);
  const options = command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, short, description }) =>
      [long, short].filter((flag) => flag !== undefined).map((text) => ({ text, description })),
    );
  const choices = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices);
  const argument = command.registeredArguments[0]?.name() ?? '';
  yield {
    path,
    words: [
      ...visible.map((one) => ({ text: one.name(), description: one.summary() })),
      ...choices.map((text) => ({ text, description: '' })),
      ...options,
    ],
    names: NAMES_OF_COMMANDS[path] ?? NAMES_OF_ARGUMENTS[argument],
  };
  for (const child of visible) yield* nodes(child, path === '' ? child.name() : `${path} ${child.name()}`);
}

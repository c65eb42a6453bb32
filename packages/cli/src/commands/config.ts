import { Argument, type Command } from 'commander';
import {
  alterConfigs,
  describeConfigs,
  RESOURCE_BROKER,
  RESOURCE_GROUP,
  RESOURCE_TOPIC,
  resourceKind,
  resourceText,
  type ConfigEntry,
  type ConfigResource,
} from '../client/configs.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { wrap } from '../output/units.ts';
import { nameValue, type NameValue } from '../values.ts';

const INDENT = '    ';
/** Longer values would break a line of the table into two. */
const VALUE_CHARACTERS_MAX = 40;

const NOTES = `
SOURCE says where a value comes from: topic, group, broker (set at run time),
cluster (set at run time for all brokers), start (flags, environment or file),
default. \`broker all\` stands for all brokers: it has what was set for them.`;

export function addConfigCommands(program: Command, runner: Runner): void {
  const config = addGroup(program, 'config', 'Show and change settings of topics, brokers and groups');
  addList(config, runner);
  addGet(config, runner);
  addSet(config, runner);
  addUnset(config, runner);
}

const KINDS: Readonly<Record<string, ConfigResource['type']>> = {
  topic: RESOURCE_TOPIC,
  broker: RESOURCE_BROKER,
  group: RESOURCE_GROUP,
};
const ALL_BROKERS = 'all';

/** `topic orders`, `broker 1`, `broker all` or `group billing`. */
function resource(kind: string, name: string): ConfigResource {
  const type = KINDS[kind];
  if (type === undefined)
    throw usageError(
      `there are no settings of "${kind}"`,
      'Give `topic NAME`, `broker ID`, `broker all` or `group NAME`.',
    );
  if (type === RESOURCE_BROKER && name === ALL_BROKERS) return { type, name: '' };
  if (type === RESOURCE_BROKER && !/^\d+$/.test(name)) {
    throw usageError(
      `"${name}" is not the number of a broker`,
      '`polylog cluster describe` shows the brokers.',
    );
  }
  return { type, name };
}

function kindArgument(): Argument {
  return new Argument('<kind>', 'what has the settings').choices(Object.keys(KINDS));
}

interface ListOptions {
  readonly all?: boolean;
  readonly docs?: boolean;
}

function addList(group: Command, runner: Runner): void {
  addCommand<ListOptions, [string, string]>(group, runner, {
    usage: 'list',
    arguments: [
      kindArgument(),
      new Argument('<name>', 'name of a topic or group, number of a broker, or `all`'),
    ],
    summary: 'List settings',
    description: 'List the settings that were changed, or with --all every one.',
    options: [option('-a, --all', 'defaults too'), option('--docs', 'say what each setting is for')],
    examples: [
      ['config list topic orders', 'what was set for the topic'],
      ['config list broker 1 --all --docs', 'all there is to set, explained'],
    ],
    notes: NOTES,
    async run(context, options, kind, name) {
      const named = resource(kind, name);
      const { configs } = await describeConfigs(context.cluster, named);
      const shown = configs.filter(({ source }) => options.all === true || source !== 'default');
      await printConfigs(context, named, shown, options.docs ?? false);
      if (shown.length === 0)
        context.note(`All settings of ${resourceText(named)} are defaults: --all shows them.`);
    },
  });
}

function addGet(group: Command, runner: Runner): void {
  addCommand<object, [string, string, string[]]>(group, runner, {
    usage: 'get',
    arguments: [
      kindArgument(),
      new Argument('<name>', 'name of a topic or group, number of a broker, or `all`'),
      new Argument('<setting...>', 'names of settings'),
    ],
    summary: 'Show settings with their sources and what they are for',
    examples: [['config get topic orders retention.ms', 'value, source and explanation']],
    notes: NOTES,
    async run(context, _options, kind, name, settings) {
      const named = resource(kind, name);
      const { configs } = await describeConfigs(context.cluster, named, settings);
      await context.print(configsJson(named, configs), () =>
        configs.map((one) => configText(context, one)).join('\n'),
      );
    },
  });
}

async function printConfigs(
  context: Context,
  named: ConfigResource,
  configs: readonly ConfigEntry[],
  docs: boolean,
): Promise<void> {
  await context.print(configsJson(named, configs), () => {
    if (configs.length === 0) return '';
    if (docs) return configs.map((one) => configText(context, one)).join('\n');
    return context.table(
      [{ title: 'setting' }, { title: 'value' }, { title: 'source' }],
      configs.map((one) => [one.name, shortened(valueText(one)), one.source]),
    );
  });
}

function configsJson(named: ConfigResource, configs: readonly ConfigEntry[]): object {
  return { resource: { kind: resourceKind(named), name: named.name || ALL_BROKERS }, configs };
}

function shortened(text: string): string {
  return text.length <= VALUE_CHARACTERS_MAX ? text : `${text.slice(0, VALUE_CHARACTERS_MAX - 1)}…`;
}

function valueText({ value, sensitive }: Pick<ConfigEntry, 'value' | 'sensitive'>): string {
  if (sensitive) return '(hidden)';
  return value === null ? '(unset)' : value === '' ? '(empty)' : value;
}

function sourceText({ source, readOnly }: ConfigEntry): string {
  return readOnly ? `${source}, read-only` : source;
}

function configText(context: Context, one: ConfigEntry): string {
  const lines = [`${context.bold(one.name)} = ${valueText(one)}`];
  const others = one.synonyms
    .slice(1)
    .map(({ name, value, source }) => `${source} ${name}=${valueText({ value, sensitive: one.sensitive })}`);
  const beneath = others.length === 0 ? '' : `; beneath it: ${others.join(', ')}`;
  const facts = `${one.type}, from ${sourceText(one)}${beneath}`;
  for (const line of wrap(facts, context.width - INDENT.length)) lines.push(INDENT + context.dim(line));
  for (const line of wrap(one.documentation ?? '', context.width - INDENT.length)) lines.push(INDENT + line);
  return `${lines.join('\n')}\n`;
}

function addSet(group: Command, runner: Runner): void {
  addCommand<object, [string, string, string[]]>(group, runner, {
    usage: 'set',
    arguments: [
      kindArgument(),
      new Argument('<name>', 'name of a topic or group, number of a broker, or `all`'),
      new Argument('<setting=value...>', 'settings with their new values'),
    ],
    summary: 'Change settings, all of them or none',
    examples: [
      ['config set topic orders retention.ms=86400000', 'keep messages for a day'],
      ['config set topic orders cleanup.policy=compact segment.ms=3600000', 'two at once'],
      ['config set broker all log.retention.ms=86400000', 'the default of topics, while brokers run'],
    ],
    async run(context, _options, kind, name, assignments) {
      const named = resource(kind, name);
      const set = assignments.flatMap(parseAssignment);
      await alterConfigs(context.cluster, named, { set, unset: [] });
      const { configs } = await describeConfigs(
        context.cluster,
        named,
        set.map((one) => one.name),
      );
      await context.print(configsJson(named, configs), () =>
        configs.map((one) => `${resourceText(named)}: ${one.name} = ${valueText(one)}\n`).join(''),
      );
    },
  });
}

function parseAssignment(text: string): NameValue[] {
  try {
    return nameValue(text);
  } catch {
    throw usageError(`"${text}" is not SETTING=VALUE`, 'An empty value is SETTING=.');
  }
}

function addUnset(group: Command, runner: Runner): void {
  addCommand<object, [string, string, string[]]>(group, runner, {
    usage: 'unset',
    arguments: [
      kindArgument(),
      new Argument('<name>', 'name of a topic or group, number of a broker, or `all`'),
      new Argument('<setting...>', 'names of settings'),
    ],
    summary: 'Give settings back to what lies beneath: the broker, or the default',
    examples: [['config unset topic orders retention.ms', "as the broker's again"]],
    async run(context, _options, kind, name, settings) {
      const named = resource(kind, name);
      await alterConfigs(context.cluster, named, { set: [], unset: settings });
      const { configs } = await describeConfigs(context.cluster, named, settings);
      await context.print(configsJson(named, configs), () =>
        configs
          .map((one) => `${resourceText(named)}: ${one.name} = ${valueText(one)} (${one.source})\n`)
          .join(''),
      );
    },
  });
}

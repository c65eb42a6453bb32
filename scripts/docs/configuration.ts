import {
  BROKER_CONFIGS,
  BROKER_DEFINITIONS,
  COARSER_SYNONYMS,
} from '../../packages/broker/src/config/broker-config.ts';
import { GROUP_CONFIGS } from '../../packages/broker/src/config/group-config.ts';
import type { ConfigDefinition } from '../../packages/broker/src/config/definition.ts';
import {
  topicConfigDefinitions,
  type TopicConfigDefinition,
} from '../../packages/broker/src/config/topic-config-definitions.ts';
import { isDynamicSetting } from '../../packages/broker/src/config/dynamic-settings.ts';
import { ENVIRONMENT_PREFIX } from '../../packages/broker/src/config/load.ts';

/** Largest first. */
const AMOUNTS: Readonly<Record<string, readonly (readonly [name: string, size: number])[]>> = {
  ms: [
    ['days', 86_400_000],
    ['hours', 3_600_000],
    ['minutes', 60_000],
    ['seconds', 1000],
  ],
  minutes: [
    ['days', 1440],
    ['hours', 60],
  ],
  bytes: [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ],
};
const UNITS = ['ms', 'bytes', 'hours', 'minutes'];

const HEAD = `# Configuration

<!-- Written by \`npm run docs\` from the schema of the settings; \`npm run check\` fails when it is stale. -->

A setting of the broker can be given in three places; the later ones win:

| Where | How, for \`log.retention.ms\` |
|---|---|
| the YAML file named by \`--config\` or \`POLYLOG_CONFIG\` | \`log.retention.ms: 3600000\`, or nested: \`log: { retention: { ms: 3600000 } }\` |
| the environment | \`${ENVIRONMENT_PREFIX}LOG_RETENTION_MS=3600000\` |
| the command line | \`--log-retention-ms 3600000\` |

In a program \`Broker.start({ config: { 'log.retention.ms': 3600000 } })\` takes what it is given, and looks at neither file nor environment.
Unknown names and illegal values are refused at the start, all of them at once, with the place they come from. Names are Kafka's wherever
Kafka has the setting. Settings of the broker are read at its start, but those that say *changes at run time* and all defaults of topics can also be
changed while it runs, for one broker or for all of them, by any Kafka client (\`kafka-configs --entity-type brokers\`); that wins over the three
places, takes effect at once, and lasts until it is taken back. Configurations of a topic can be given when it is created and changed at any time, by
any Kafka client; they take effect at once.
`;

/** docs/configuration.md, whole. */
export function configurationPage(): string {
  const topicConfigs = topicConfigDefinitions();
  const ownSettings = Object.values<ConfigDefinition<unknown>>(BROKER_CONFIGS);
  const ownNames = new Set(ownSettings.map(({ name }) => name));
  const defaults = topicConfigs.filter(
    ({ brokerSynonym }) => brokerSynonym !== undefined && !ownNames.has(brokerSynonym),
  );
  return [
    HEAD,
    '## Settings of the broker\n',
    ...ownSettings.map((definition) => section(definition, sourcesOf(definition.name))),
    '## Defaults of topics\n',
    'These settings of the broker are the defaults of topics that do not say otherwise. Values and meaning are those of the topic\nconfiguration.\n',
    defaultsTable(defaults),
    '## Configurations of topics\n',
    ...topicConfigs.map((definition) => section(definition, synonymLine(definition))),
    '## Configurations of consumer groups\n',
    'A single group of the newer protocol (`group.protocol=consumer`) can have its own, changed at any time by any Kafka client\n(`kafka-configs --entity-type groups`) or by `polylog config set group NAME`.\n',
    ...Object.values(GROUP_CONFIGS).map((definition) =>
      section(definition, `Default from the broker's \`${definition.brokerSynonym}\`.`),
    ),
  ].join('\n');
}

function section(definition: ConfigDefinition<unknown>, extra: string | undefined): string {
  const { name, type, documentation, legal, importance } = definition;
  const unit = unitOf(definition);
  const facts = [
    `${type}${unit === undefined ? '' : `, in ${unit}`}`,
    `default ${defaultOf(definition, unit)}`,
    legal,
    ...(importance === 'high' ? ['important'] : []),
    ...(isDynamicSetting(name) ? ['changes at run time'] : []),
  ];
  const lines = [`### \`${name}\`\n`, `${documentation}\n`, `*${facts.join(' · ')}*\n`];
  if (extra !== undefined) lines.push(`${extra}\n`);
  return lines.join('\n');
}

function unitOf({ name, unit, type }: ConfigDefinition<unknown>): string | undefined {
  if (unit !== undefined) return unit;
  if (type !== 'int' && type !== 'long') return undefined;
  return UNITS.find((one) => name.split('.').includes(one));
}

function defaultOf({ defaultText }: ConfigDefinition<unknown>, unit: string | undefined): string {
  if (defaultText === null) return 'unset';
  if (defaultText === '') return 'empty';
  if (Number(defaultText) >= Number.MAX_SAFE_INTEGER) return `\`${defaultText}\` (no limit)`;
  const readable = readableAmount(Number(defaultText), unit);
  return readable === undefined ? `\`${defaultText}\`` : `\`${defaultText}\` (${readable})`;
}

/** `7 days` for 604800000 ms; undefined where no larger unit fits. */
export function readableAmount(amount: number, unit: string | undefined): string | undefined {
  if (amount <= 0 || unit === undefined) return undefined;
  const found = AMOUNTS[unit]?.find(([, size]) => amount % size === 0);
  if (found === undefined) return undefined;
  const [name, size] = found;
  const count = amount / size;
  return `${count} ${count === 1 ? name.replace(/s$/, '') : name}`;
}

function sourcesOf(name: string): string | undefined {
  for (const [topicConfig, coarser] of COARSER_SYNONYMS) {
    if (coarser.some((one) => one.name === name))
      return `Default of the topic configuration \`${topicConfig}\`.`;
  }
  return undefined;
}

function synonymLine({ name, brokerSynonym }: TopicConfigDefinition): string {
  if (brokerSynonym === undefined) return 'It has no setting of the broker for its default.';
  const names = [brokerSynonym, ...(COARSER_SYNONYMS.get(name) ?? []).map((coarser) => coarser.name)];
  return `Default from the broker's ${names.map((one) => `\`${one}\``).join(', else ')}.`;
}

function defaultsTable(definitions: readonly TopicConfigDefinition[]): string {
  const rows = definitions
    .toSorted((left, right) => (left.brokerSynonym! < right.brokerSynonym! ? -1 : 1))
    .map((definition) => {
      const broker = BROKER_DEFINITIONS.get(definition.brokerSynonym ?? definition.name)!;
      const anchor = definition.name.replaceAll('.', '');
      return `| \`${broker.name}\` | [\`${definition.name}\`](#${anchor}) | ${defaultOf(definition, unitOf(definition))} |`;
    });
  return ['| Setting of the broker | Configuration of topics | Default |', '|---|---|---|', ...rows, ''].join(
    '\n',
  );
}

import { Argument, type Command, type Option } from 'commander';
import { alterQuotas, entityText, listQuotas, type Quota, type QuotaEntity } from '../client/quotas.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';

const NOTES = `
Quotas of users, client ids, and both together:
  producer_byte_rate        bytes per second that may be produced
  consumer_byte_rate        bytes per second that may be fetched
  request_percentage        share of the broker's time for requests, 100 is all
  controller_mutation_rate  partitions per second to create and delete
Of addresses:
  connection_creation_rate  new connections per second

A default is for each one that has no quota of its own. The quota of a user
and client id together counts before that of the user, and that before the
client id's.`;

interface EntityOptions {
  readonly user?: string;
  readonly defaultUser?: boolean;
  readonly clientId?: string;
  readonly defaultClientId?: boolean;
  readonly ip?: string;
  readonly defaultIp?: boolean;
}

function entityOptions(): Option[] {
  return [
    option('--user <name>', 'a user, as `alice`'),
    option('--default-user', 'each user without a quota of its own'),
    option('--client-id <id>', 'a client id'),
    option('--default-client-id', 'each client id without a quota of its own'),
    option('--ip <address>', 'an address'),
    option('--default-ip', 'each address without a quota of its own'),
  ];
}

export function addQuotaCommands(program: Command, runner: Runner): void {
  const quota = addGroup(program, 'quota', 'Show and set limits of users, client ids and addresses');
  addList(quota, runner);
  addSet(quota, runner);
  addDelete(quota, runner);
}

/** What the options name; empty if nothing. */
function entityOf(options: EntityOptions): QuotaEntity {
  const user = part('user', options.user, options.defaultUser);
  const clientId = part('client-id', options.clientId, options.defaultClientId);
  const ip = part('ip', options.ip, options.defaultIp);
  if (ip !== undefined && (user !== undefined || clientId !== undefined)) {
    throw usageError('A quota is for an address, or for a user and client id', 'Give two commands.');
  }
  return {
    ...(user === undefined ? {} : { user }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(ip === undefined ? {} : { ip }),
  };
}

/** Null for the default. */
function part(
  name: string,
  value: string | undefined,
  isDefault: boolean | undefined,
): string | null | undefined {
  if (isDefault !== true) return value;
  if (value !== undefined) throw usageError(`--${name} and --default-${name} exclude each other`);
  return null;
}

function needEntity(options: EntityOptions): QuotaEntity {
  const entity = entityOf(options);
  if (Object.keys(entity).length > 0) return entity;
  throw usageError(
    'Whose quota?',
    'Give --user NAME, --client-id ID, both, --ip ADDRESS, or --default-user and the like.',
  );
}

function addList(group: Command, runner: Runner): void {
  addCommand<EntityOptions, []>(group, runner, {
    usage: 'list',
    summary: 'List quotas',
    description: 'List all quotas, or those whose entity has the given parts.',
    options: entityOptions(),
    examples: [
      ['quota list', 'all of them'],
      ['quota list --user alice', 'those of alice, with client ids and without'],
    ],
    async run(context, options) {
      const quotas = await listQuotas(context.cluster, entityOf(options));
      await printQuotas(context, quotas);
      if (quotas.length === 0) context.note('No quotas. `polylog quota set --help` shows how to set one.');
    },
  });
}

async function printQuotas(context: Context, quotas: readonly Quota[]): Promise<void> {
  const rows = quotas.flatMap(({ entity, values }) =>
    Object.entries(values).map(([key, value]) => [entityText(entity), key, String(value)]),
  );
  await context.print({ quotas }, () =>
    rows.length === 0
      ? ''
      : context.table([{ title: 'for' }, { title: 'quota' }, { title: 'value', align: 'right' }], rows),
  );
}

function addSet(group: Command, runner: Runner): void {
  addCommand<EntityOptions, [string[]]>(group, runner, {
    usage: 'set',
    arguments: [new Argument('<quota=value...>', 'quotas with their values')],
    summary: 'Set quotas, all of them or none',
    options: entityOptions(),
    examples: [
      ['quota set --client-id reports consumer_byte_rate=1048576', '1 MiB a second'],
      ['quota set --default-user producer_byte_rate=10485760 request_percentage=25', 'for each user'],
      ['quota set --default-ip connection_creation_rate=20', 'for each address'],
    ],
    notes: NOTES,
    async run(context, options, assignments) {
      const entity = needEntity(options);
      await alterQuotas(context.cluster, entity, { set: assignments.map(parseAssignment), remove: [] });
      await printEntity(context, entity);
    },
  });
}

function parseAssignment(text: string): readonly [key: string, value: number] {
  const [, key, value] = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (key === undefined) throw usageError(`"${text}" is not QUOTA=NUMBER`, 'As producer_byte_rate=1048576.');
  return [key, Number(value)];
}

/** What the entity has now. */
async function printEntity(context: Context, entity: QuotaEntity): Promise<void> {
  await printQuotas(context, await listQuotas(context.cluster, entity, { exact: true }));
}

function addDelete(group: Command, runner: Runner): void {
  addCommand<EntityOptions, [string[]]>(group, runner, {
    usage: 'delete',
    arguments: [new Argument('[quota...]', 'quotas; without any, all that the entity has')],
    summary: 'Remove quotas of one entity',
    options: entityOptions(),
    examples: [
      ['quota delete --user alice', 'all of the quotas of alice'],
      ['quota delete --client-id reports consumer_byte_rate', 'one of them'],
    ],
    async run(context, options, names) {
      const entity = needEntity(options);
      const [present] = await listQuotas(context.cluster, entity, { exact: true });
      const remove = names.length > 0 ? names : Object.keys(present?.values ?? {});
      const missing = remove.filter((name) => present?.values[name] === undefined);
      if (present === undefined || missing.length > 0) {
        const what = missing.length === 0 ? 'no quota' : `no quota ${missing.join(', ')}`;
        throw new CliError(`${entityText(entity)} has ${what}`, {
          code: 'UNKNOWN_QUOTA',
          exitCode: EXIT.notFound,
          hint: '`polylog quota list` shows all.',
        });
      }
      await alterQuotas(context.cluster, entity, { set: [], remove });
      await context.print({ entity, deleted: remove }, () =>
        remove.map((name) => `Deleted ${name} of ${entityText(entity)}.\n`).join(''),
      );
    },
  });
}

import { aclOperations } from '@polylog/kafka-protocol';
import { Argument, type Command, type Option } from 'commander';
import {
  createAcls,
  deleteAcls,
  listAcls,
  type Acl,
  type AclFilter,
  type AclOperation,
  type AclPattern,
  type AclResourceType,
} from '../client/acls.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { collect } from '../values.ts';

const CLUSTER_NAME = 'kafka-cluster';
/** Words of the command line for the protocol's: `describe-configs`. */
const OPERATIONS: ReadonlyMap<string, AclOperation> = new Map(
  Object.keys(aclOperations).map((name) => [wordOf(name), name as AclOperation]),
);

const NOTES = `
A rule allows or denies a principal operations on resources. What no rule
allows is denied, and a rule that denies counts before all that allow.
  topics             read write create describe delete alter describe-configs
                     alter-configs
  groups             read describe delete describe-configs alter-configs
  transactional ids  write describe two-phase-commit
  the cluster        create alter describe describe-configs alter-configs
                     cluster-action idempotent-write
read, write, delete and alter include describe; alter-configs includes
describe-configs; \`all\` is all of them. A consumer needs read on its topics and
its group, a producer write on its topics.

Rules are in force where the broker was started with authorization.enabled=true.`;

interface ResourceOptions {
  readonly topic?: readonly string[];
  readonly topicPrefix?: readonly string[];
  readonly group?: readonly string[];
  readonly groupPrefix?: readonly string[];
  readonly transactionalId?: readonly string[];
  readonly transactionalIdPrefix?: readonly string[];
  readonly cluster?: boolean;
}

function resourceOptions(): Option[] {
  return [
    option('--topic <name>', 'a topic, or `*` for all; may be repeated', collect),
    option('--topic-prefix <prefix>', 'topics whose names begin so', collect),
    option('--group <name>', 'a consumer group, or `*`', collect),
    option('--group-prefix <prefix>', 'groups whose names begin so', collect),
    option('--transactional-id <id>', 'a transactional id, or `*`', collect),
    option('--transactional-id-prefix <prefix>', 'transactional ids that begin so', collect),
    option('--cluster', 'the cluster itself'),
  ];
}

function patternsOf(options: ResourceOptions): AclPattern[] {
  const patterns = (
    resourceType: AclResourceType,
    names: readonly string[] = [],
    prefixes: readonly string[] = [],
  ): AclPattern[] => [
    ...names.map((name) => ({ resourceType, patternType: 'LITERAL' as const, name })),
    ...prefixes.map((name) => ({ resourceType, patternType: 'PREFIXED' as const, name })),
  ];
  return [
    ...patterns('TOPIC', options.topic, options.topicPrefix),
    ...patterns('GROUP', options.group, options.groupPrefix),
    ...patterns('TRANSACTIONAL_ID', options.transactionalId, options.transactionalIdPrefix),
    ...patterns('CLUSTER', options.cluster === true ? [CLUSTER_NAME] : []),
  ];
}

interface RuleOptions extends ResourceOptions {
  readonly deny?: boolean;
  readonly host?: string;
}

export function addAclCommands(program: Command, runner: Runner): void {
  const acl = addGroup(program, 'acl', 'Show and change who may do what');
  addList(acl, runner);
  addAdd(acl, runner);
  addDelete(acl, runner);
}

function principalArgument(): Argument {
  return new Argument('<principal>', 'a user, as `alice` or `User:alice`, or `*` for everyone');
}

function principalOf(text: string): string {
  return text.includes(':') ? text : `User:${text}`;
}

function operationOf(text: string): AclOperation {
  const operation = OPERATIONS.get(text.toLowerCase().replaceAll('_', '-'));
  if (operation !== undefined) return operation;
  throw usageError(`"${text}" is no operation`, `Operations are ${[...OPERATIONS.keys()].join(', ')}.`);
}

interface ListOptions extends ResourceOptions {
  readonly principal?: string;
  readonly applying?: boolean;
}

function addList(group: Command, runner: Runner): void {
  addCommand<ListOptions, []>(group, runner, {
    usage: 'list',
    summary: 'List access rules',
    description: 'List all access rules, or those for a principal and resources.',
    options: [
      option('--principal <name>', 'those for this user, as `alice` or `User:alice`'),
      ...resourceOptions(),
      option('--applying', 'also rules for `*` and prefixes that apply to the named resources'),
    ],
    examples: [
      ['acl list', 'all of them'],
      ['acl list --principal alice', 'those that name alice'],
      ['acl list --topic orders --applying', 'all that count for the topic'],
    ],
    async run(context, options) {
      const acls = await listed(context, options);
      await context.print({ acls }, () => (acls.length === 0 ? '' : tableOf(context, acls)));
      if (acls.length === 0) context.note('No access rules. `polylog acl add --help` shows how to add one.');
    },
  });
}

async function listed(context: Context, options: ListOptions): Promise<Acl[]> {
  const principal = options.principal === undefined ? undefined : principalOf(options.principal);
  const patterns = patternsOf(options);
  if (patterns.length === 0) return listAcls(context.cluster, { principal });
  const lists: Acl[][] = [];
  for (const pattern of patterns) {
    const patternType = options.applying === true ? 'MATCH' : pattern.patternType;
    lists.push(await listAcls(context.cluster, { ...pattern, patternType, principal }));
  }
  return [...new Map(lists.flat().map((acl) => [JSON.stringify(acl), acl])).values()];
}

function tableOf(context: Context, acls: readonly Acl[]): string {
  return context.table(
    ['principal', 'rule', 'operation', 'resource', 'from'].map((title) => ({ title })),
    acls.map((acl) => [
      acl.principal,
      wordOf(acl.permission),
      wordOf(acl.operation),
      patternText(acl),
      acl.host === '*' ? 'anywhere' : acl.host,
    ]),
  );
}

/** `topic orders`, `topic logs.…` for a prefix, `cluster`. */
function patternText({ resourceType, patternType, name }: AclPattern): string {
  if (resourceType === 'CLUSTER') return 'cluster';
  return `${wordOf(resourceType)} ${name}${patternType === 'PREFIXED' ? '…' : ''}`;
}

function wordOf(term: string): string {
  return term.toLowerCase().replaceAll('_', '-');
}

function addAdd(group: Command, runner: Runner): void {
  addCommand<RuleOptions, [string, string[]]>(group, runner, {
    usage: 'add',
    arguments: [principalArgument(), new Argument('<operation...>', 'operations, or `all`')],
    summary: 'Add access rules: one for each operation on each resource',
    options: [
      ...resourceOptions(),
      option('--deny', 'deny instead of allowing'),
      option('--host <address>', 'only from this address'),
    ],
    examples: [
      ['acl add alice read --topic orders --group billing', 'alice may consume the topic in the group'],
      ['acl add alice write create --topic-prefix logs.', 'and make and fill topics called logs.…'],
      ["acl add '*' all --topic secrets --deny", 'nobody may do anything with it'],
    ],
    notes: NOTES,
    async run(context, options, principal, operations) {
      const patterns = patternsOf(options);
      if (patterns.length === 0) {
        throw usageError(
          'A rule is for a resource',
          'Give --topic NAME, --group NAME, --cluster or the like.',
        );
      }
      const acls = patterns.flatMap((pattern) =>
        operations.map((operation): Acl => ({
          ...pattern,
          principal: principalOf(principal),
          host: options.host ?? '*',
          operation: operationOf(operation),
          permission: options.deny === true ? 'DENY' : 'ALLOW',
        })),
      );
      await createAcls(context.cluster, acls);
      await context.print({ acls }, () => tableOf(context, acls));
    },
  });
}

function addDelete(group: Command, runner: Runner): void {
  addCommand<RuleOptions & { readonly yes?: boolean }, [string, string[]]>(group, runner, {
    usage: 'delete',
    arguments: [
      principalArgument(),
      new Argument('[operation...]', 'operations that rules name; without any, all rules'),
    ],
    summary: 'Delete access rules of a principal',
    description:
      'Delete the access rules of a principal that name the given operations and resources; without resources, all of them.',
    options: [
      ...resourceOptions(),
      option('--deny', 'rules that deny; without it, those that allow'),
      option('--host <address>', 'rules for this address; without it, for any'),
      option('-y, --yes', 'do not ask'),
    ],
    examples: [
      ['acl delete alice read --topic orders --yes', 'the rule that lets alice read it'],
      ['acl delete alice --yes', 'every rule that allows alice something'],
    ],
    async run(context, options, principal, operations) {
      const filters = filtersOf(options, principalOf(principal), operations.map(operationOf));
      const found: Acl[] = [];
      for (const filter of filters) found.push(...(await listAcls(context.cluster, filter)));
      if (found.length === 0) {
        throw new CliError('No access rule matches', {
          code: 'UNKNOWN_ACL',
          exitCode: EXIT.notFound,
          hint: '`polylog acl list` shows all.',
        });
      }
      context.note(tableOf(context, found).trimEnd());
      if (!(await context.confirm(`Delete ${counted(found)}?`, { yes: options.yes ?? false }))) {
        context.note('Nothing was deleted.');
        return EXIT.failed;
      }
      const deleted = await deleteAcls(context.cluster, filters);
      await context.print({ deleted }, () => `Deleted ${counted(deleted)}.\n`);
      return EXIT.ok;
    },
  });
}

function counted({ length }: readonly Acl[]): string {
  return length === 1 ? '1 access rule' : `${length} access rules`;
}

function filtersOf(
  options: RuleOptions,
  principal: string,
  operations: readonly AclOperation[],
): AclFilter[] {
  const patterns = patternsOf(options);
  const permission = options.deny === true ? 'DENY' : 'ALLOW';
  const filters: AclFilter[] = [];
  for (const pattern of patterns.length === 0 ? [undefined] : patterns) {
    for (const operation of operations.length === 0 ? [undefined] : operations) {
      filters.push({ ...pattern, principal, operation, permission, host: options.host });
    }
  }
  return filters;
}

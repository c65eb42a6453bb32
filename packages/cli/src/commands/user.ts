import { randomBytes } from 'node:crypto';
import { Argument, type Command } from 'commander';
import {
  alterUserScramCredentials,
  describeUserScramCredentials,
  kafkaErrors,
  type AlterUserScramCredentialsRequestInit,
} from '@polylog/kafka-protocol';
import { saltedPassword, type ScramMechanism } from '../client/security.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, protocolError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { readAll } from '../input.ts';
import { integer } from '../values.ts';

/** KIP-554's numbers. */
const MECHANISMS: Readonly<Record<ScramMechanism, number>> = { 'SCRAM-SHA-256': 1, 'SCRAM-SHA-512': 2 };
const SALT_BYTES = 24;
const ITERATIONS_DEFAULT = 8192;
const ITERATIONS_MIN = 4096;
const ITERATIONS_MAX = 16_384;

interface UserInfo {
  readonly name: string;
  readonly credentials: readonly { readonly mechanism: string; readonly iterations: number }[];
}

export function addUserCommands(program: Command, runner: Runner): void {
  const user = addGroup(program, 'user', 'List, add and delete users who log in with a password');
  addList(user, runner);
  addAdd(user, runner);
  addDelete(user, runner);
}

async function usersOf(context: Context, names: readonly string[]): Promise<UserInfo[]> {
  const users = names.length === 0 ? null : names.map((name) => ({ name }));
  const answer = await context.cluster.request(describeUserScramCredentials, { users });
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode, 'users', answer.errorMessage);
  return answer.results.map(({ user, errorCode, errorMessage, credentialInfos }) => {
    if (errorCode !== 0) throw protocolError(errorCode, `user ${user}`, errorMessage);
    return {
      name: user,
      credentials: credentialInfos.map(({ mechanism, iterations }) => ({
        mechanism:
          Object.entries(MECHANISMS).find(([, number]) => number === mechanism)?.[0] ??
          `mechanism ${mechanism}`,
        iterations,
      })),
    };
  });
}

function addList(group: Command, runner: Runner): void {
  addCommand<object, []>(group, runner, {
    usage: 'list',
    summary: 'List users with what they can log in by',
    examples: [['user list', 'all users']],
    async run(context) {
      const users = await usersOf(context, []);
      const rows = users.map(({ name, credentials }) => [
        name,
        credentials.map(({ mechanism }) => mechanism).join(', '),
      ]);
      await context.print({ users }, () =>
        users.length === 0 ? '' : context.table([{ title: 'user' }, { title: 'credentials' }], rows),
      );
      if (users.length === 0) context.note('There are no users: `polylog user add NAME` makes one.');
    },
  });
}

interface AddOptions {
  readonly newPassword?: string;
  readonly newPasswordFile?: string;
  readonly iterations?: number;
}

function addAdd(group: Command, runner: Runner): void {
  addCommand<AddOptions, [string]>(group, runner, {
    usage: 'add',
    arguments: [new Argument('<name>', "user's name")],
    summary: 'Add a user, or give one another password',
    options: [
      option(
        '--new-password <password>',
        'the password, which others may see; without it, it is read from standard input',
      ),
      option('--new-password-file <file>', 'a file with the password'),
      option(
        '--iterations <n>',
        'rounds of hashing (default: 8192)',
        integer(ITERATIONS_MIN, ITERATIONS_MAX),
      ),
    ],
    examples: [
      ['user add alice < password.txt', 'with the password in a file'],
      ['user add alice --new-password-file password.txt', 'the same'],
    ],
    notes: `
The password does not leave this program: the broker gets keys of it for
SCRAM-SHA-256 and SCRAM-SHA-512, against which it checks PLAIN too. Who reads
them on their way can log in: use TLS.`,
    async run(context, options, name) {
      const password = await passwordFor(context, options);
      const iterations = options.iterations ?? ITERATIONS_DEFAULT;
      const upsertions = [];
      for (const mechanism of Object.keys(MECHANISMS) as ScramMechanism[]) {
        const salt = randomBytes(SALT_BYTES);
        const salted = await saltedPassword(mechanism, password, salt, iterations);
        upsertions.push({ name, mechanism: MECHANISMS[mechanism], iterations, salt, saltedPassword: salted });
      }
      await alter(context, { deletions: [], upsertions });
      await context.print({ user: name, iterations }, () => `User ${name} can log in.\n`);
    },
  });
}

async function passwordFor(context: Context, options: AddOptions): Promise<string> {
  const { newPassword, newPasswordFile } = options;
  if (newPassword !== undefined && newPasswordFile !== undefined) {
    throw usageError('--new-password and --new-password-file exclude each other');
  }
  const text = newPassword ?? (await readPassword(context, newPasswordFile));
  if (text === '') throw usageError('the password is empty');
  return text;
}

async function readPassword(context: Context, file: string | undefined): Promise<string> {
  if (file === undefined && context.stdin.isTTY) {
    const { isCancel, password } = await import('@clack/prompts');
    const answer = await password({ message: 'Password', output: context.stderr, signal: context.signal });
    if (isCancel(answer)) throw new CliError('nothing was changed', { code: 'CANCELLED' });
    return answer;
  }
  return (await readAll(context.stdin, file)).replace(/\r?\n$/, '');
}

function addDelete(group: Command, runner: Runner): void {
  addCommand<{ readonly yes?: boolean }, [string]>(group, runner, {
    usage: 'delete',
    arguments: [new Argument('<name>', "user's name")],
    summary: 'Delete a user with all credentials',
    options: [option('-y, --yes', 'do not ask')],
    examples: [['user delete alice --yes', 'nobody can log in as alice any more']],
    notes: `
Connections that are authenticated stay until they end, or until
connections.max.reauth.ms.`,
    async run(context, { yes }, name) {
      const [user] = await usersOf(context, [name]);
      if (!(await context.confirm(`Delete the user ${name}?`, { yes: yes ?? false }))) return EXIT.failed;
      const deletions = user!.credentials.map(({ mechanism }) => ({
        name,
        mechanism: MECHANISMS[mechanism as ScramMechanism],
      }));
      await alter(context, { deletions, upsertions: [] });
      await context.print({ user: name }, () => `Deleted user ${name}.\n`);
      return EXIT.ok;
    },
  });
}

async function alter(context: Context, body: AlterUserScramCredentialsRequestInit): Promise<void> {
  const { results } = await context.cluster.request(alterUserScramCredentials, body);
  for (const { user, errorCode, errorMessage } of results) {
    if (errorCode === kafkaErrors.NONE.code) continue;
    throw protocolError(errorCode, `user ${user}`, errorMessage);
  }
}

import assert from 'node:assert/strict';
import { pbkdf2Sync } from 'node:crypto';
import { describe, it } from 'node:test';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import { checkPassword, UserStore, type CredentialChange } from '../../src/security/users.ts';
import { openCluster } from '../support/cluster-bench.ts';
import { crypto } from './credentials.ts';

async function openUsers() {
  const { store, tracker } = await openCluster();
  const users = new UserStore({
    image: () => tracker.image,
    writer: new SectionWriter({ store, tracker }),
    crypto,
  });
  await users.prepare();
  return { users, store };
}

function set(
  user: string,
  password: string,
  changes: Partial<Extract<CredentialChange, { kind: 'set' }>> = {},
): CredentialChange {
  const salt = Buffer.from(`salt of ${user}`);
  const saltedPassword = pbkdf2Sync(password, salt, 4096, 32, 'sha256');
  const mechanism = 'SCRAM-SHA-256';
  return {
    kind: 'set',
    user,
    mechanism,
    iterations: 4096,
    salt,
    saltedPassword,
    ...changes,
  };
}

async function codes(users: UserStore, changes: readonly CredentialChange[]) {
  return [...(await users.change(changes))].map(([user, { code }]) => [user, code]);
}

describe('Users', () => {
  it('have credentials that are kept as keys, and the password of no one', async () => {
    const { users, store } = await openUsers();
    await users.addMissing(new Map([['alice', 'alice-secret']]));
    await users.addMissing(new Map([['alice', 'another']]));
    assert.deepEqual(
      [...users.users()].map(({ name, iterations }) => [name, [...iterations]]),
      [
        [
          'alice',
          [
            ['SCRAM-SHA-256', 8192],
            ['SCRAM-SHA-512', 8192],
          ],
        ],
      ],
    );
    const check = (user: string, password: string) =>
      checkPassword(crypto, users, user, Buffer.from(password));
    assert.equal(await check('alice', 'alice-secret'), true);
    assert.equal(await check('alice', 'another'), false);
    assert.equal(await check('bob', 'alice-secret'), false);
    const { entries } = await store.range('users/');
    assert.ok(entries.every(({ value }) => !value.includes('alice-secret')));
  });

  it('change all of their credentials in a request, or none', async () => {
    const { users } = await openUsers();
    const deletion = (user: string, mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'): CredentialChange => ({
      kind: 'delete',
      user,
      mechanism,
    });
    assert.deepEqual(await codes(users, [set('alice', 'a'), set('ü/@', 'b')]), []);
    assert.deepEqual(
      await codes(users, [
        set('alice', 'new'),
        deletion('alice', 'SCRAM-SHA-512'),
        set('bob', 'b'),
        deletion('ü/@', 'SCRAM-SHA-256'),
      ]),
      [['alice', 'RESOURCE_NOT_FOUND']],
    );
    assert.equal(await checkPassword(crypto, users, 'alice', Buffer.from('a')), true);
    assert.deepEqual(
      [...users.users()].map(({ name }) => name),
      ['alice', 'bob'],
    );
  });

  it('are refused credentials that are no good', async () => {
    const { users } = await openUsers();
    for (const change of [
      set('', 'x'),
      set('x'.repeat(257), 'x'),
      set('few', 'x', { iterations: 4095 }),
      set('many', 'x', { iterations: 16_385 }),
      set('salt', 'x', { salt: Buffer.alloc(0) }),
      set('short', 'x', { saltedPassword: Buffer.alloc(31) }),
      set('long', 'x', { mechanism: 'SCRAM-SHA-512' }),
    ]) {
      assert.deepEqual(await codes(users, [change]), [[change.user, 'UNACCEPTABLE_CREDENTIAL']]);
    }
    assert.deepEqual(await codes(users, [set('twice', 'x'), set('twice', 'y')]), [
      ['twice', 'DUPLICATE_RESOURCE'],
    ]);
    assert.deepEqual([...users.users()], []);
  });

  it('have the salt that their client has chosen, however short', async () => {
    const { users } = await openUsers();
    assert.deepEqual(await codes(users, [set('alice', 'a', { salt: Buffer.from('salt') })]), []);
    assert.deepEqual(
      [...users.users()].map(({ name }) => name),
      ['alice'],
    );
  });

  it('that there are not look like those that there are, each time the same', async () => {
    const { users } = await openUsers();
    await users.change([set('alice', 'a')]);
    const real = users.lookUp('alice', 'SCRAM-SHA-256');
    const [first, again, other] = ['nobody', 'nobody', 'no one'].map((user) =>
      users.lookUp(user, 'SCRAM-SHA-256'),
    );
    assert.deepEqual([real.isReal, first!.isReal], [true, false]);
    assert.equal(first!.credential.iterations, real.credential.iterations);
    assert.equal(first!.credential.salt.length, real.credential.salt.length);
    assert.deepEqual(first, again);
    assert.notDeepEqual(first!.credential.salt, other!.credential.salt);
    assert.equal(users.lookUp('alice', 'SCRAM-SHA-512').isReal, false);
  });
});

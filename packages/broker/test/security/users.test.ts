import assert from 'node:assert/strict';
import { pbkdf2Sync } from 'node:crypto';
import { describe, it } from 'node:test';
import type { ClusterImage } from '../../src/cluster/image.ts';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import type { Section } from '../../src/cluster/sections.ts';
import { SortedMap } from '../../src/cluster/sorted-map.ts';
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

  it('are deleted though others are changed between the steps of the request', async () => {
    const { store, tracker } = await openCluster();
    let before: (() => Promise<unknown>) | undefined;
    const writer = new SectionWriter({
      store: {
        get: (key) => store.get(key),
        range: (prefix) => store.range(prefix),
        transact: async (transaction) => {
          if (transaction.operations.some(({ key }) => key === 'users/u199')) {
            const meddle = before;
            before = undefined;
            await meddle?.();
          }
          return store.transact(transaction);
        },
      },
      tracker,
    });
    const users = new UserStore({ image: () => tracker.image, writer, crypto });
    await users.prepare();
    const credential = set('', 'x');
    const names = Array.from({ length: 200 }, (_, index) => `u${index}`);
    await users.change(names.map((user) => ({ ...credential, user })));
    before = () => users.change([{ ...credential, user: 'u199', mechanism: 'SCRAM-SHA-256' }]);
    const deletions = names.map((user): CredentialChange => {
      return { kind: 'delete', user, mechanism: 'SCRAM-SHA-256' };
    });
    assert.deepEqual(await codes(users, deletions), []);
    assert.equal(before, undefined, 'nothing came in between');
    assert.deepEqual([...users.users()], []);
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

  it('are not all looked at to make up those that there are not, with each change', () => {
    const credential = { iterations: 5000, salt: 'c2FsdA==', storedKey: '', serverKey: '' };
    const users = Array.from({ length: 5000 }, (_, index): [string, unknown] => [
      `u${String(index).padStart(4, '0')}`,
      { scram: { 'SCRAM-SHA-256': credential } },
    ]);
    const all = SortedMap.from<unknown>([['@stand-ins', { secret: 'c2VjcmV0' }], ...users]);
    let looks = 0;
    const section: Section = {
      size: all.size,
      get: (key) => all.get(key),
      *entries() {
        for (const entry of all.entries()) {
          looks++;
          yield entry;
        }
      },
    };
    const image = () => ({ section: () => section }) as unknown as ClusterImage;
    const store = new UserStore({ image, writer: undefined as unknown as SectionWriter, crypto });
    assert.equal(store.lookUp('nobody', 'SCRAM-SHA-256').credential.iterations, 5000);
    assert.ok(looks < 1100, `${looks} looks`);
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

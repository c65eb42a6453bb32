import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BrokerError } from '../../src/errors.ts';
import {
  describeQuotas,
  quotaChanges,
  QUOTA_ENTITIES_MAX,
  type QuotaAlteration,
  type QuotaFilter,
} from '../../src/quotas/admin.ts';
import { canonicalAddress } from '../../src/platform/address.ts';
import { entityKey, parseEntityKey } from '../../src/quotas/entities.ts';
import { quotaSection } from '../support/quotas.ts';

const set = (
  entity: QuotaAlteration['entity'],
  operations: Readonly<Record<string, number | undefined>>,
): QuotaAlteration => ({
  entity,
  operations: Object.entries(operations).map(([key, value]) => ({ key, value })),
});

describe('The key of a quota', () => {
  it('is one for an entity, in whichever order its parts come, and gives them back', () => {
    const names: readonly (readonly ['user' | 'client-id', string | null])[] = [
      ['client-id', 'a/b:c d%ü'],
      ['user', null],
    ];
    const key = entityKey(new Map(names));
    assert.equal(entityKey(new Map(names.toReversed())), key);
    assert.match(key, /^[!-~]+$/);
    assert.deepEqual(parseEntityKey(key), new Map(names));
  });
});

describe('Altering quotas', () => {
  it('sets, changes and removes, and an entity without limits is gone', () => {
    const { changes, mistakes } = quotaChanges(
      new Map<string, unknown>([
        ['user:old', { producer_byte_rate: 1 }],
        ['user:both', { producer_byte_rate: 1, request_percentage: 50 }],
      ]),
      [
        set([['user', 'old']], { producer_byte_rate: undefined }),
        set([['user', 'both']], { producer_byte_rate: undefined }),
        set([['client-id', 'c']], { consumer_byte_rate: 10 }),
        set([['client-id', 'c']], { controller_mutation_rate: 0.5 }),
        set([['ip', '::ffff:10.0.0.1']], { connection_creation_rate: 3 }),
      ],
    );
    assert.deepEqual(mistakes, [undefined, undefined, undefined, undefined, undefined]);
    assert.deepEqual(
      changes,
      new Map([
        ['user:old', undefined],
        ['user:both', { request_percentage: 50 }],
        ['client-id:c', { consumer_byte_rate: 10, controller_mutation_rate: 0.5 }],
        ['ip:10.0.0.1', { connection_creation_rate: 3 }],
      ]),
    );
  });

  const refusals: readonly (readonly [alteration: QuotaAlteration, message: RegExp])[] = [
    [set([], { producer_byte_rate: 1 }), /needs an entity/],
    [set([['group', 'g']], { producer_byte_rate: 1 }), /Unknown type of quota entity: "group"/],
    [
      set(
        [
          ['user', 'a'],
          ['user', 'b'],
        ],
        { producer_byte_rate: 1 },
      ),
      /each type of entity once/,
    ],
    [set([['user', '']], { producer_byte_rate: 1 }), /cannot be empty/],
    [set([['ip', 'example.org']], { connection_creation_rate: 1 }), /"example.org" is not an IP address/],
    [
      set(
        [
          ['ip', null],
          ['user', 'a'],
        ],
        { connection_creation_rate: 1 },
      ),
      /cannot name a user/,
    ],
    [set([['user', 'a']], { connection_creation_rate: 1 }), /Unknown quota "connection_creation_rate"/],
    [set([['ip', null]], { producer_byte_rate: 1 }), /addresses have connection_creation_rate/],
    [set([['user', 'a']], { nonesuch: undefined }), /Unknown quota "nonesuch"/],
    [set([['user', 'a']], { producer_byte_rate: 1.5 }), /must be a whole number/],
    [set([['user', 'a']], { producer_byte_rate: -1 }), /must be a number from 0 on/],
    [set([['user', 'a']], { request_percentage: Number.NaN }), /must be a number from 0 on/],
    [set([['client-id', 'x'.repeat(1025)]], { request_percentage: 1 }), /longer than 1024/],
  ];
  for (const [alteration, message] of refusals) {
    it(`refuses ${JSON.stringify(alteration.entity).slice(0, 40)} ${Object.values(alteration.operations[0]!).join(' ')}, and nothing else of the request`, () => {
      const fine = set([['user', 'fine']], { request_percentage: 1 });
      const { changes, mistakes } = quotaChanges(new Map(), [alteration, fine]);
      assert.match(mistakes[0] ?? '', message);
      assert.equal(mistakes[1], undefined);
      assert.deepEqual([...changes.keys()], ['user:fine']);
    });
  }

  it('refuses more entities than a broker keeps, but not changes of those', () => {
    const full = new Map<string, unknown>(
      Array.from({ length: QUOTA_ENTITIES_MAX }, (_, index) => [`user:u${index}`, { request_percentage: 1 }]),
    );
    const { mistakes } = quotaChanges(full, [
      set([['user', 'new']], { request_percentage: 1 }),
      set([['user', 'u0']], { request_percentage: undefined }),
      set([['user', 'new']], { request_percentage: 1 }),
    ]);
    assert.match(mistakes[0] ?? '', /already/);
    assert.deepEqual(mistakes.slice(1), [undefined, undefined]);
  });
});

describe('Describing quotas', () => {
  const section = quotaSection({
    'user:a': { producer_byte_rate: 1 },
    'user:': { producer_byte_rate: 2 },
    'user:a/client-id:c': { producer_byte_rate: 3 },
    'user:a/client-id:': { producer_byte_rate: 4 },
    'client-id:c': { producer_byte_rate: 5 },
    'ip:10.0.0.1': { connection_creation_rate: 6 },
    [entityKey(new Map([['ip', canonicalAddress('2001:db8::7')!]]))]: { connection_creation_rate: 7 },
  });
  const found = (filters: readonly QuotaFilter[], strict = false): number[] =>
    describeQuotas(section, filters, { strict })
      .map(({ values }) => Object.values(values)[0]!)
      .sort((a, b) => a - b);
  const user = (match: QuotaFilter['match']): QuotaFilter => ({ type: 'user', match });
  const clientId = (match: QuotaFilter['match']): QuotaFilter => ({ type: 'client-id', match });

  it('finds what fulfils all conditions', () => {
    assert.deepEqual(found([user({ name: 'a' })]), [1, 3, 4]);
    assert.deepEqual(found([user({ name: 'a' })], true), [1]);
    assert.deepEqual(found([user('default')]), [2]);
    assert.deepEqual(found([user('any')]), [1, 2, 3, 4]);
    assert.deepEqual(found([user({ name: 'a' }), clientId('any')], true), [3, 4]);
    assert.deepEqual(found([clientId({ name: 'c' })]), [3, 5]);
    assert.deepEqual(found([{ type: 'ip', match: 'any' }]), [6, 7]);
    assert.deepEqual(found([]), [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(found([], true), []);
  });

  it('finds an address in any of its spellings', () => {
    for (const name of ['2001:db8::7', '2001:DB8:0:0:0:0:0:7', '2001:db8::0.0.0.7']) {
      assert.deepEqual(found([{ type: 'ip', match: { name } }]), [7]);
    }
    assert.deepEqual(found([{ type: 'ip', match: { name: '::ffff:10.0.0.1' } }]), [6]);
  });

  const refusals: readonly (readonly [filters: readonly QuotaFilter[], code: string])[] = [
    [[{ type: '', match: 'any' }], 'INVALID_REQUEST'],
    [[{ type: 'group', match: 'any' }], 'UNSUPPORTED_VERSION'],
    [[user('any'), user('default')], 'INVALID_REQUEST'],
    [[user('any'), { type: 'ip', match: 'any' }], 'INVALID_REQUEST'],
  ];
  for (const [filters, code] of refusals) {
    it(`refuses ${JSON.stringify(filters)} with ${code}`, () => {
      assert.throws(
        () => found(filters),
        (error) => error instanceof BrokerError && error.code === code,
      );
    });
  }
});

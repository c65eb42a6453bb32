import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  ALL,
  appliesTo,
  bitOf,
  EVERYONE,
  matches,
  OPERATIONS,
  WILDCARD,
  type Acl,
  type AclFilter,
  type AclOperation,
  type Operation,
  type ResourceType,
} from '../../src/security/acl.core.ts';
import { AclIndex, type Subject } from '../../src/security/acl-index.core.ts';

/** Few names, close to each other, so that rules meet. */
const NAMES = ['a', 'ab', 'abc', 'abd', 'b', 'ba', WILDCARD];
const PRINCIPALS = ['User:alice', 'User:bob', EVERYONE];
const HOSTS = ['10.0.0.1', '10.0.0.2', WILDCARD];

const acl: fc.Arbitrary<Acl> = fc.record({
  resourceType: fc.constantFrom<ResourceType>('TOPIC', 'GROUP'),
  patternType: fc.constantFrom('LITERAL', 'PREFIXED'),
  resourceName: fc.constantFrom(...NAMES),
  principal: fc.constantFrom(...PRINCIPALS),
  host: fc.constantFrom(...HOSTS),
  operation: fc.constantFrom<AclOperation>(ALL, ...OPERATIONS),
  permission: fc.constantFrom('ALLOW', 'DENY'),
});
const subject: fc.Arbitrary<Subject> = fc.record({
  principal: fc.constantFrom('User:alice', 'User:bob', 'User:carol'),
  host: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
});
const question = fc.record({
  type: fc.constantFrom<ResourceType>('TOPIC', 'GROUP', 'CLUSTER'),
  name: fc.constantFrom(...NAMES, 'abcd', 'c'),
  operation: fc.constantFrom(...OPERATIONS),
});

/** The rules of KIP-11 and KIP-290, word by word, over all rules. */
function naive(
  acls: readonly Acl[],
  who: Subject,
  asked: { type: ResourceType; name: string; operation: Operation },
  allowIfNoAcl: boolean,
): boolean {
  const named = acls.filter((rule) => rule.resourceType === asked.type && appliesTo(rule, asked.name));
  if (named.length === 0) return allowIfNoAcl;
  const own = named.filter(
    ({ principal, host }) =>
      [who.principal, EVERYONE].includes(principal) && [who.host, WILDCARD].includes(host),
  );
  const implying: AclOperation[] = [ALL, asked.operation];
  if (asked.operation === 'DESCRIBE') implying.push('READ', 'WRITE', 'DELETE', 'ALTER');
  if (asked.operation === 'DESCRIBE_CONFIGS') implying.push('ALTER_CONFIGS');
  const isDenied = own.some(
    ({ permission, operation }) => permission === 'DENY' && [ALL, asked.operation].includes(operation),
  );
  const isAllowed = own.some(
    ({ permission, operation }) => permission === 'ALLOW' && implying.includes(operation),
  );
  return isAllowed && !isDenied;
}

describe('The index of access rules', () => {
  it('decides as all rules read one after the other', () => {
    fc.assert(
      fc.property(
        fc.array(acl, { maxLength: 12 }),
        subject,
        fc.array(question, { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (acls, who, questions, allowIfNoAcl) => {
          const index = new AclIndex(acls, { allowIfNoAcl });
          for (const asked of questions) {
            const decided = (index.operations(who, asked.type, asked.name) & bitOf(asked.operation)) !== 0;
            assert.equal(decided, naive(acls, who, asked, allowIfNoAcl), JSON.stringify(asked));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('finds out whether any name is allowed, as asking for every name would', () => {
    // Every pattern's own name, and one that begins with it and is in no literal pattern.
    const candidates = NAMES.flatMap((name) => [name, `${name}~`]).concat('~');
    fc.assert(
      fc.property(
        fc.array(acl, { maxLength: 12 }),
        subject,
        fc.constantFrom(...OPERATIONS),
        fc.boolean(),
        (acls, who, operation, allowIfNoAcl) => {
          const expected = candidates
            // `*` is no name of a resource.
            .filter((name) => name !== WILDCARD)
            .some((name) => naive(acls, who, { type: 'TOPIC', name, operation }, allowIfNoAcl));
          const found = new AclIndex(acls, { allowIfNoAcl }).allowsOnAny(who, 'TOPIC', operation);
          assert.equal(found, expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('does not walk through the rules of others, nor those for other hosts, however many there are', () => {
    const rules = Array.from({ length: 1000 }, (_, index): Acl[] => {
      const rule: Omit<Acl, 'resourceName' | 'patternType'> = {
        resourceType: 'TOPIC',
        principal: index % 2 === 0 ? `User:u${index}` : EVERYONE,
        host: index % 2 === 0 ? WILDCARD : `10.0.${index >> 8}.${index & 0xff}`,
        operation: 'READ',
        permission: index % 2 === 0 ? 'ALLOW' : 'DENY',
      };
      return [
        { ...rule, patternType: 'LITERAL', resourceName: WILDCARD },
        { ...rule, patternType: 'PREFIXED', resourceName: 'a' },
      ];
    });
    const index = new AclIndex(rules.flat(), { allowIfNoAcl: false });
    let looks = 0;
    const subjectOf = (principal: string, host: string): Subject => ({
      get principal() {
        looks++;
        return principal;
      },
      get host() {
        looks++;
        return host;
      },
    });
    const mayRead = (who: Subject): boolean =>
      (index.operations(who, 'TOPIC', 'abc') & bitOf('READ')) !== 0 &&
      index.allowsOnAny(who, 'TOPIC', 'READ');
    assert.equal(mayRead(subjectOf('User:u500', '10.0.0.2')), true);
    assert.equal(mayRead(subjectOf('User:u500', '10.0.1.1')), false);
    assert.equal(mayRead(subjectOf('User:carol', '10.0.0.2')), false);
    assert.ok(looks < 100, `${looks} looks`);
  });

  it('lets DENY for everyone win over ALLOW for one, and a prefix over a literal name', () => {
    const rule = (over: Partial<Acl>): Acl => ({
      resourceType: 'TOPIC',
      patternType: 'LITERAL',
      resourceName: 'orders',
      principal: 'User:alice',
      host: WILDCARD,
      operation: 'READ',
      permission: 'ALLOW',
      ...over,
    });
    const alice = { principal: 'User:alice', host: '10.0.0.1' };
    const read = (...acls: Acl[]): boolean =>
      (new AclIndex(acls, { allowIfNoAcl: false }).operations(alice, 'TOPIC', 'orders') & bitOf('READ')) !==
      0;
    assert.equal(read(), false);
    assert.equal(read(rule({})), true);
    assert.equal(read(rule({}), rule({ principal: EVERYONE, permission: 'DENY' })), false);
    assert.equal(
      read(rule({}), rule({ patternType: 'PREFIXED', resourceName: 'or', permission: 'DENY' })),
      false,
    );
    assert.equal(read(rule({ host: '10.0.0.2' })), false);
  });
});

describe('A filter of access rules', () => {
  const filter: fc.Arbitrary<AclFilter> = fc.record({
    resourceType: fc.constantFrom<AclFilter['resourceType'][]>('TOPIC', 'GROUP', undefined),
    patternType: fc.constantFrom<AclFilter['patternType'][]>('LITERAL', 'PREFIXED', 'MATCH', undefined),
    resourceName: fc.constantFrom(...NAMES, 'abcd', undefined),
    principal: fc.constantFrom(...PRINCIPALS, undefined),
    host: fc.constantFrom(...HOSTS, undefined),
    operation: fc.constantFrom<AclFilter['operation'][]>(ALL, 'READ', 'WRITE', undefined),
    permission: fc.constantFrom<AclFilter['permission'][]>('ALLOW', 'DENY', undefined),
  });

  it('matches field by field; MATCH asks for the patterns that cover the name', () => {
    fc.assert(
      fc.property(filter, acl, (wanted, rule) => {
        const plain = (['resourceType', 'principal', 'host', 'operation', 'permission'] as const).every(
          (field) => wanted[field] === undefined || wanted[field] === rule[field],
        );
        const name = wanted.resourceName;
        const pattern =
          wanted.patternType === 'MATCH'
            ? name === undefined ||
              (rule.patternType === 'PREFIXED'
                ? name.startsWith(rule.resourceName)
                : [name, WILDCARD].includes(rule.resourceName))
            : (wanted.patternType === undefined || wanted.patternType === rule.patternType) &&
              (name === undefined || name === rule.resourceName);
        assert.equal(matches(wanted, rule), plain && pattern);
      }),
    );
  });
});

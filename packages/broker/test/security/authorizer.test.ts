import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import { BrokerError } from '../../src/errors.ts';
import { BrokerMetrics } from '../../src/metrics/registry.ts';
import type { Acl } from '../../src/security/acl.core.ts';
import { AclStore, checkAcl } from '../../src/security/acl-store.ts';
import { Authorizer } from '../../src/security/authorizer.ts';
import { Denials } from '../../src/security/denials.ts';
import { openCluster } from '../support/cluster-bench.ts';
import { ManualClock, SILENT } from '../replication/helpers.ts';

const ALICE = { type: 'User', name: 'alice' };
const READ_ORDERS: Acl = {
  resourceType: 'TOPIC',
  patternType: 'LITERAL',
  resourceName: 'orders',
  principal: 'User:alice',
  host: '*',
  operation: 'READ',
  permission: 'ALLOW',
};
const EVERYTHING = {
  resourceType: undefined,
  patternType: undefined,
  resourceName: undefined,
  principal: undefined,
  host: undefined,
  operation: undefined,
  permission: undefined,
};

async function open() {
  const { store, tracker } = await openCluster();
  const lines: Record<string, unknown>[] = [];
  const logger = { ...SILENT, warn: (fields: Record<string, unknown>) => void lines.push(fields) };
  const section = () => tracker.image.section('acls/');
  const denials = new Denials(new ManualClock(), logger);
  const acls = new AclStore({ writer: new SectionWriter({ store, tracker }), section });
  const authorizer = new Authorizer({
    superUsers: new Set(['User:admin']),
    allowIfNoAcl: false,
    section,
    denials,
  });
  return { acls, authorizer, denials, lines, tracker };
}

describe('The authorizer', () => {
  it('denies what no rule allows, and follows the rules in the turn in which the image shows them', async () => {
    const { acls, authorizer } = await open();
    const alice = authorizer.subject(ALICE, '127.0.0.1');
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), false);
    await acls.create([READ_ORDERS]);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), true);
    assert.equal(alice.may('DESCRIBE', 'TOPIC', 'orders'), true);
    assert.equal(alice.may('WRITE', 'TOPIC', 'orders'), false);
    assert.equal(alice.mayOnAny('READ', 'TOPIC'), true);
    await acls.create([{ ...READ_ORDERS, principal: 'User:*', permission: 'DENY' }]);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), false);
    await acls.remove([{ ...EVERYTHING, permission: 'DENY' }]);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), true);
    await acls.remove([EVERYTHING]);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), false);
    assert.equal(alice.mayOnAny('READ', 'TOPIC'), false);
  });

  it('lets no rule concern a super user', async () => {
    const { acls, authorizer, lines } = await open();
    await acls.create([{ ...READ_ORDERS, principal: 'User:*', permission: 'DENY' }]);
    const admin = authorizer.subject({ type: 'User', name: 'admin' }, '127.0.0.1');
    assert.equal(admin.may('READ', 'TOPIC', 'orders'), true);
    assert.equal(admin.forRequest('Fetch').isUnlimited, true);
    assert.deepEqual(lines, []);
  });

  it('compares addresses, not their spellings', async () => {
    const { acls, authorizer } = await open();
    await acls.create([
      checkAcl({ ...READ_ORDERS, host: '10.0.0.1' }),
      checkAcl({ ...READ_ORDERS, host: '::1' }),
    ]);
    const from = (address: string): boolean =>
      authorizer.subject(ALICE, address).may('READ', 'TOPIC', 'orders');
    assert.equal(from('10.0.0.1'), true);
    assert.equal(from('::ffff:10.0.0.1'), true);
    assert.equal(from('0:0:0:0:0:0:0:1'), true);
    assert.equal(from('10.0.0.2'), false);
  });

  it('goes on deciding rightly when it had to forget what it remembered', async () => {
    const { acls, authorizer } = await open();
    await acls.create([READ_ORDERS]);
    const alice = authorizer.subject(ALICE, '127.0.0.1');
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), true);
    for (let other = 0; other < 10_001; other++)
      authorizer.subject({ type: 'User', name: `u${other}` }, '::1');
    assert.equal(alice.dropped, true);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), true);
    await acls.remove([EVERYTHING]);
    assert.equal(alice.may('READ', 'TOPIC', 'orders'), false);
  });

  it('remembers nothing of names that are longer than those in use', async () => {
    const { acls, authorizer } = await open();
    await acls.create([{ ...READ_ORDERS, patternType: 'PREFIXED' }]);
    const alice = authorizer.subject(ALICE, '127.0.0.1');
    for (let length = 250; length < 300; length++) {
      assert.equal(alice.may('READ', 'TOPIC', 'orders'.padEnd(length, '-')), true);
      assert.equal(alice.may('READ', 'GROUP', 'orders'.padEnd(length, '-')), false);
    }
    assert.equal(authorizer.decisionCount, 2 * (256 - 250 + 1));
  });

  it('counts denials and tells them in the log, but not those of lists', async () => {
    const { authorizer, denials, lines } = await open();
    const metrics = new BrokerMetrics();
    denials.describe(metrics);
    const access = authorizer.subject(ALICE, '127.0.0.1').forRequest('Fetch');
    assert.equal(access.shows('DESCRIBE', 'TOPIC', 'orders'), false);
    assert.deepEqual(lines, []);
    assert.equal(access.allows('READ', 'TOPIC', 'orders'), false);
    assert.deepEqual(lines, [
      {
        principal: 'User:alice',
        host: '127.0.0.1',
        operation: 'READ',
        resourceType: 'TOPIC',
        resourceName: 'orders',
        request: 'Fetch',
      },
    ]);
    for (let again = 0; again < 1000; again++) access.allows('READ', 'TOPIC', 'orders');
    assert.ok(lines.length <= 20, `${lines.length} lines`);
    const { body } = await metrics.render();
    assert.match(
      body,
      /^polylog_authorization_denials_total\{resource_type="TOPIC",operation="READ"\} 1001$/m,
    );
  });
});

describe('The store of access rules', () => {
  it('adds a rule once, and says which rules each filter has removed', async () => {
    const { acls, tracker } = await open();
    await acls.create([READ_ORDERS, { ...READ_ORDERS, principal: 'User:a/ü b' }]);
    const before = tracker.image.section('acls/');
    await acls.create([READ_ORDERS]);
    assert.equal(tracker.image.section('acls/'), before);
    assert.equal(acls.list(EVERYTHING).length, 2);
    const removed = await acls.remove([{ ...EVERYTHING, principal: 'User:a/ü b' }, EVERYTHING]);
    assert.deepEqual(
      removed.map((group) => group.map(({ principal }) => principal).toSorted()),
      [['User:a/ü b'], ['User:a/ü b', 'User:alice']],
    );
    assert.deepEqual(acls.list(EVERYTHING), []);
  });

  it('takes more rules than one transaction holds, and refuses to have too many', async () => {
    const { acls } = await open();
    const rules = (from: number, count: number): Acl[] =>
      Array.from({ length: count }, (_, index) => ({ ...READ_ORDERS, resourceName: `t${from + index}` }));
    await acls.create(rules(0, 300));
    assert.equal(acls.list(EVERYTHING).length, 300);
    await assert.rejects(
      acls.create(rules(300, 9_701)),
      (error) => error instanceof BrokerError && error.code === 'POLICY_VIOLATION',
    );
    const [removed] = await acls.remove([EVERYTHING]);
    assert.equal(removed?.length, 300);
  });

  for (const [name, wrong] of Object.entries({
    'an empty name': { resourceName: '' },
    'a name that is too long': { resourceName: 'x'.repeat(1025) },
    'another cluster': { resourceType: 'CLUSTER', resourceName: 'mine' },
    'a principal without a type': { principal: 'alice' },
    'a principal without a name': { principal: 'User:' },
    'a principal that is too long': { principal: `User:${'x'.repeat(1024)}` },
    'the name of a host': { host: 'example.org' },
    'an empty host': { host: '' },
  } satisfies Record<string, Partial<Acl>>)) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => checkAcl({ ...READ_ORDERS, ...wrong }),
        (error) => error instanceof BrokerError && error.code === 'INVALID_REQUEST',
      );
    });
  }
});

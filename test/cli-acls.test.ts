/** `polylog acl` against a broker whose access rules are in force, and what the rules then let a client do. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Broker } from 'polylog';
import { PolylogCli } from './clients/polylog.ts';

const RULE = { host: '*', permission: 'ALLOW' };

describe('polylog acl', () => {
  let broker: Broker;
  let cli: PolylogCli;
  before(async () => {
    broker = await Broker.start({
      http: false,
      config: { 'authorization.enabled': 'true', 'super.users': 'User:ANONYMOUS' },
    });
    cli = new PolylogCli(broker.kafkaAddress);
  });
  after(() => broker.stop());

  it('adds a rule for each operation on each resource, lists and deletes them', async () => {
    const { acls } = await cli.json<{ acls: unknown[] }>([
      'acl',
      'add',
      'alice',
      'read',
      'DESCRIBE_CONFIGS',
      '--topic',
      'orders',
      '--group-prefix',
      'billing-',
    ]);
    const alice = { ...RULE, principal: 'User:alice' };
    const topic = { resourceType: 'TOPIC', patternType: 'LITERAL', name: 'orders', ...alice };
    const group = { resourceType: 'GROUP', patternType: 'PREFIXED', name: 'billing-', ...alice };
    const expected = [topic, group].flatMap((pattern) => [
      { ...pattern, operation: 'READ' },
      { ...pattern, operation: 'DESCRIBE_CONFIGS' },
    ]);
    assert.deepEqual(acls, expected);
    const listed = await cli.ok(['acl', 'list', '--principal', 'User:alice']);
    assert.match(listed, /^PRINCIPAL +RULE +OPERATION +RESOURCE +FROM$/m);
    assert.match(listed, /^User:alice +allow +read +topic orders +anywhere$/m);
    assert.match(listed, /^User:alice +allow +describe-configs +group billing-… +anywhere$/m);
    assert.equal(await cli.ok(['acl', 'list', '--topic', 'orders', '--principal', 'bob']), '');
    assert.equal(
      await cli.ok(['acl', 'delete', 'alice', 'read', '--topic', 'orders', '--yes']),
      'Deleted 1 access rule.\n',
    );
    assert.equal(await cli.ok(['acl', 'delete', 'alice', '-y']), 'Deleted 3 access rules.\n');
    const again = await cli.run(['acl', 'delete', 'alice', '-y']);
    assert.equal(again.code, 3);
    assert.match(again.stderr, /No access rule matches/);
  });

  it('lists the rules for everything and for prefixes that apply to a resource', async () => {
    await cli.ok(['acl', 'add', '*', 'describe', '--topic', '*']);
    await cli.ok([
      'acl',
      'add',
      'bob',
      'write',
      '--topic-prefix',
      'or',
      '--deny',
      '--host',
      '::ffff:10.0.0.1',
    ]);
    await cli.ok(['acl', 'add', 'bob', 'write', '--topic', 'others', '--cluster']);
    assert.equal(await cli.ok(['acl', 'list', '--topic', 'orders']), '');
    const applying = await cli.ok(['acl', 'list', '--topic', 'orders', '--applying']);
    assert.match(applying, /^User:\* +allow +describe +topic \* +anywhere$/m);
    assert.match(applying, /^User:bob +deny +write +topic or… +10\.0\.0\.1$/m);
    assert.doesNotMatch(applying, /others|cluster/);
    assert.match(await cli.ok(['acl', 'list', '--cluster']), /^User:bob +allow +write +cluster +anywhere$/m);
    // One that denies is not deleted with those that allow.
    assert.equal(await cli.ok(['acl', 'delete', 'bob', '-y']), 'Deleted 2 access rules.\n');
    assert.equal(await cli.ok(['acl', 'delete', 'bob', '--deny', '-y']), 'Deleted 1 access rule.\n');
    assert.equal(await cli.ok(['acl', 'delete', '*', '-y']), 'Deleted 1 access rule.\n');
  });

  for (const [args, code, message] of [
    [['acl', 'add', 'alice', 'read'], 2, /A rule is for a resource/],
    [['acl', 'add', 'alice', 'reed', '--topic', 'x'], 2, /"reed" is no operation/],
    [
      ['acl', 'add', 'alice', 'read', '--topic', 'x', '--host', 'example.org'],
      1,
      /must be an IP address or \*/,
    ],
    [['acl', 'delete', 'alice'], 3, /No access rule matches/],
  ] satisfies [string[], number, RegExp][]) {
    it(`refuses polylog ${args.join(' ')}`, async () => {
      const result = await cli.run(args);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, message);
    });
  }

  it('says that rules are not in force', async () => {
    const open = await Broker.start({ http: false });
    try {
      const { code, stderr } = await new PolylogCli(open.kafkaAddress).run(['acl', 'list']);
      assert.equal(code, 1);
      assert.match(stderr, /SECURITY_DISABLED[\s\S]*authorization\.enabled=true/);
    } finally {
      await open.stop();
    }
  });
});

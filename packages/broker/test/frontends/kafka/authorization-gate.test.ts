import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { api, apis, field, string, ZERO_UUID, type Api } from '@polylog/kafka-protocol';
import { SortedMap } from '../../../src/cluster/sorted-map.ts';
import { AuthorizationGate } from '../../../src/frontends/kafka/authorization-gate.ts';
import type { Facts } from '../../../src/frontends/kafka/authorization-steps.ts';
import { AUTHORIZATION, ruleOf } from '../../../src/frontends/kafka/authorization.ts';
import type { ExchangeOwner, PendingExchange } from '../../../src/frontends/kafka/exchange.ts';
import { defineHandler } from '../../../src/frontends/kafka/handler.ts';
import { Authorizer, type SubjectAccess } from '../../../src/security/authorizer.ts';
import { Denials } from '../../../src/security/denials.ts';
import type { Principal } from '../../../src/security/principal.ts';
import { ManualClock, SILENT } from '../../replication/helpers.ts';
import { world } from './harness.ts';

const ALICE = { type: 'User', name: 'alice' };

function gate(superUsers: readonly string[] = [], kind = Authorizer): AuthorizationGate {
  const authorizer = new kind({
    superUsers: new Set(superUsers),
    allowIfNoAcl: false,
    section: () => SortedMap.empty<unknown>(),
    denials: new Denials(new ManualClock(), SILENT),
  });
  const image = () => {
    throw new Error('no image');
  };
  return new AuthorizationGate({ authorizer, image, autoCreateTopics: false });
}

function ask(subject: AuthorizationGate) {
  const seen: string[] = [];
  const owner = {
    facts: { principal: ALICE, remoteAddress: '127.0.0.1' },
    subject: undefined,
    broken: (error: unknown) => void seen.push(`broken: ${(error as Error).message}`),
  } as unknown as ExchangeOwner;
  const exchange = {
    handler: { api: apis.heartbeat },
    version: 4,
    run: () => void seen.push('run'),
  } as unknown as PendingExchange;
  subject.admit(owner, exchange, { groupId: 'g' });
  return seen;
}

describe('The gate before the handlers', () => {
  it('does not look at what super users ask', () => {
    assert.deepEqual(ask(gate(['User:alice'])), ['run']);
  });

  it('finds out once for each connection who its client is to the rules, until that logs in as another', () => {
    let lookUps = 0;
    class Counted extends Authorizer {
      override subject(...who: Parameters<Authorizer['subject']>): SubjectAccess {
        lookUps++;
        return super.subject(...who);
      }
    }
    const subject = gate(['User:alice', 'User:bob'], Counted);
    const connection = () => {
      const facts = { principal: { ...ALICE }, remoteAddress: '127.0.0.1' };
      return { facts, subject: undefined } as unknown as ExchangeOwner & { facts: { principal: Principal } };
    };
    const exchange = { run: () => undefined } as unknown as PendingExchange;
    // Each login makes a principal of its own.
    const both = [connection(), connection()];
    for (const owner of [...both, ...both, ...both]) subject.admit(owner, exchange, {});
    assert.equal(lookUps, 2);
    both[0]!.facts.principal = { ...ALICE };
    subject.admit(both[0]!, exchange, {});
    assert.equal(lookUps, 2);
    both[0]!.facts.principal = { type: 'User', name: 'bob' };
    subject.admit(both[0]!, exchange, {});
    assert.equal(lookUps, 3);
  });

  it('closes the connection when a rule meets a bug, and does not run the request', () => {
    assert.deepEqual(ask(gate()), ['broken: no image']);
  });
});

describe('The table of permissions', () => {
  it('has an entry for every API that there is', () => {
    for (const one of Object.values(apis) as Api[]) assert.ok(ruleOf(one).steps !== undefined, one.name);
  });

  it('lets no API be served that it does not have', async () => {
    const unknown = api({
      key: 999,
      name: 'Unheard',
      versions: [0, 0],
      flexibleSince: null,
      request: { text: field(string) },
      response: { text: field(string) },
    });
    const handler = defineHandler({
      api: unknown,
      versions: [0, 0],
      handle: ({ text }) => ({ text }),
      failure: () => ({ text: '' }),
    });
    await assert.rejects(world({ handlers: [handler] }), /Unheard has no entry in the table of permissions/);
  });

  it('merges one answer with what is refused of a request, however many groups that is of', () => {
    const groups = Array.from({ length: 100 }, (_, index) => ({
      groupId: `g${index % 50}`,
      memberId: null,
      memberEpoch: -1,
      topics: [{ name: index % 2 === 0 ? 'secret' : 'open', topicId: ZERO_UUID, partitionIndexes: [0] }],
    }));
    const request = { groupId: '', topics: null, groups, requireStable: false };
    const allows = (_operation: string, _type: string, name: string): boolean =>
      name !== 'secret' && name !== 'g49';
    const facts = { access: { allows }, version: 8 } as unknown as Facts;
    const verdict = ruleOf(apis.offsetFetch).steps[0]!.judge(request, facts);
    assert.ok(typeof verdict === 'object');
    // The group that is refused as a whole, and all others of which a topic is.
    assert.equal(verdict.refused.length, 2);
    const { left } = verdict as { left: typeof request };
    assert.equal(left.groups.length, 98);
    const answers = verdict.refused.flatMap((part) => ('answer' in part ? [part.answer] : []));
    const merged = answers.reduce(ruleOf(apis.offsetFetch).merge!, { groups: [] }) as { groups: unknown[] };
    assert.equal(merged.groups.length, 25);
  });

  it('can merge the answers of every API whose requests are taken apart', () => {
    for (const [name, { steps, merge }] of Object.entries(AUTHORIZATION)) {
      const isTakenApart = steps.some(({ checks }) => checks.some(({ refusal }) => refusal === 'entry'));
      assert.equal(isTakenApart, merge !== undefined, name);
    }
  });
});

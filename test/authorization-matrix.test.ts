/**
 * Each API × {no rule, a rule that denies, one that allows} × {the resource is missing, exists}, over the wire. All clients are anonymous: who asks
 * comes from 127.0.0.2, and 127.0.0.1 may do everything. E2E_TARGET=apache-kafka asks Apache Kafka, whose answers these are.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apis, type Api } from '@polylog/kafka-protocol';
import { PASSED, type AuthorizationCase } from './authorization/case.ts';
import { clusterCases } from './authorization/cluster-cases.ts';
import { AclFixture } from './authorization/fixture.ts';
import { groupCases } from './authorization/group-cases.ts';
import { topicCases } from './authorization/topic-cases.ts';

type ApiName = keyof typeof apis;

/** An API without cases does not compile. */
const CASES: Readonly<Record<ApiName, readonly AuthorizationCase[]>> = {
  ...topicCases,
  ...groupCases,
  ...clusterCases,
};

const RULES = ['none', 'deny', 'allow'] as const;

describe('The matrix of permissions', () => {
  let fixture: AclFixture;
  let served: ReadonlySet<number>;
  before(async () => {
    fixture = await AclFixture.open();
    served = await fixture.served();
  });
  after(() => fixture.close());

  async function answer(
    { needs, beside, prepare, ask, version, destroys = false }: AuthorizationCase,
    exist: boolean,
    rule: (typeof RULES)[number],
  ): Promise<string> {
    const resources = await fixture.resources(exist, destroys);
    await prepare?.(fixture.admin, resources);
    if (beside !== undefined) await fixture.allow(beside(resources));
    if (rule !== 'none') await fixture.allow(needs(resources));
    if (rule === 'deny') await fixture.deny(needs(resources));
    try {
      return await ask(fixture.client, resources, version);
    } finally {
      await fixture.clear();
    }
  }

  test('has cases for every API that is served', () => {
    if (fixture.isApacheKafka) return;
    const known = new Map(Object.entries(apis).map(([name, { key }]) => [key, name as ApiName]));
    for (const key of served) {
      const name = known.get(key);
      assert.ok(name !== undefined && CASES[name].length > 0, `API ${key}`);
    }
  });

  for (const [name, cases] of Object.entries(CASES)) {
    const api: Api = apis[name as ApiName];
    for (const one of cases) {
      test(`${api.name} v${one.version} ${one.about}`, async (t) => {
        if (!served.has(api.key)) {
          t.skip('not served yet');
          return;
        }
        for (const [state, expected] of [
          ['existing', one.existing],
          ['missing', one.missing],
        ] as const) {
          if (expected === undefined) continue;
          for (const rule of RULES) {
            const found = await answer(one, state === 'existing', rule);
            const cell = `${state}, ${rule}: ${found}`;
            if (expected[rule] === PASSED) assert.doesNotMatch(found, /AUTHORIZATION_FAILED/, cell);
            else assert.equal(found, expected[rule], cell);
          }
        }
      });
    }
  }
});

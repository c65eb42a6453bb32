/** What operators import, docs/monitoring/, against what a broker under load really exports. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { parse } from 'yaml';

import { checkQuery } from './promql.ts';
import { parseScrape, type ScrapedMetric } from './scrape.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } =
  kafkajs;

const DOCS = fileURLToPath(new URL('../../docs', import.meta.url));
const GRID_COLUMNS = 24;
/** As docs/metrics.md says. */
const SERIES_MAX = 1000;

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

function read(file: string): string {
  return readFileSync(path.join(DOCS, file), 'utf8');
}

/** As Grafana puts its variables into a query. */
function interpolated(query: string): string {
  return query.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*');
}

async function loadedBroker(): Promise<{ broker: Broker; scraped: Map<string, ScrapedMetric> }> {
  const broker = await Broker.start({
    config: { 'authorization.enabled': 'true', 'allow.everyone.if.no.acl.found': 'true' },
  });
  const kafka = new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING });
  const producer = kafka.producer();
  await producer.connect();
  for (const topic of ['orders', 'payments']) {
    await producer.send({ topic, messages: [{ key: 'k', value: 'v' }, { value: 'w' }] });
  }
  await producer.disconnect();
  const admin = kafka.admin();
  await admin.connect();
  // More partitions than a metric has series.
  await admin.createTopics({ topics: [{ topic: 'many', numPartitions: SERIES_MAX + 1 }] });
  await admin.createAcls({
    acl: [
      {
        resourceType: AclResourceTypes.TOPIC,
        resourceName: 'secrets',
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: 'User:*',
        host: '*',
        operation: AclOperationTypes.ALL,
        permissionType: AclPermissionTypes.DENY,
      },
    ],
  });
  await assert.rejects(admin.fetchTopicMetadata({ topics: ['secrets'] }), /authorized/i);
  await admin.disconnect();
  const consumer = kafka.consumer({ groupId: 'billing' });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  const consumed = Promise.withResolvers<void>();
  await consumer.run({ eachMessage: async () => consumed.resolve() });
  await consumed.promise;
  await consumer.commitOffsets([{ topic: 'orders', partition: 0, offset: '1' }]);
  const scrape = async (): Promise<string> => (await fetch(`http://${broker.httpAddress}/metrics`)).text();
  // What one scrape leaves out the next one says.
  await scrape();
  const scraped = parseScrape(await scrape());
  await consumer.disconnect();
  return { broker, scraped };
}

describe('docs/monitoring', () => {
  let broker: Broker;
  let scraped: Map<string, ScrapedMetric>;
  before(async () => {
    ({ broker, scraped } = await loadedBroker());
  });
  after(() => broker.stop());

  const dashboard = JSON.parse(read('monitoring/grafana-dashboard.json')) as Dashboard;
  const { groups } = parse(read('monitoring/prometheus-alerts.yml')) as {
    groups: { name: string; rules: Rule[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);

  describe('the Grafana dashboard', () => {
    for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
      it(`asks only for what is exported: ${panel.title}`, () => {
        assert.ok(panel.targets !== undefined && panel.targets.length > 0);
        for (const { expr, legendFormat } of panel.targets) {
          const { problems, labels } = checkQuery(interpolated(expr), scraped);
          assert.deepEqual(problems, [], expr);
          for (const [, label] of legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) {
            assert.ok(labels.has(label!), `${expr} gives no ${label} for the legend ${legendFormat}`);
          }
        }
      });
    }

    it('fills its variables from what is exported', () => {
      const queries = dashboard.templating.list.filter(({ type }) => type === 'query');
      for (const { name, definition } of queries) {
        const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition!)!;
        const { problems, labels } = checkQuery(interpolated(selector!), scraped);
        assert.deepEqual(problems, [], name);
        assert.ok(labels.has(label!), `${selector} has no label ${label}`);
      }
      const known = new Set(dashboard.templating.list.map(({ name }) => name));
      for (const { expr } of dashboard.panels.flatMap(({ targets }) => targets ?? [])) {
        for (const [, name] of expr.matchAll(/\$(\w+)/g))
          assert.ok(name === '__rate_interval' || known.has(name!), `${expr} uses $${name}`);
      }
    });

    it('lays its panels side by side, none over another', () => {
      const taken = new Map<string, string>();
      assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
      for (const { title, gridPos } of dashboard.panels) {
        assert.ok(gridPos.x + gridPos.w <= GRID_COLUMNS, `${title} is too wide`);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            assert.equal(taken.get(`${x},${y}`), undefined, `${title} lies over another panel`);
            taken.set(`${x},${y}`, title);
          }
        }
      }
    });
  });

  describe('the alert rules', () => {
    for (const { alert, expr, annotations } of rules) {
      it(`ask only for what is exported: ${alert}`, () => {
        const { problems, labels } = checkQuery(expr, scraped);
        assert.deepEqual(problems, []);
        for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
          assert.ok(labels.has(label!), `the alert has no label ${label} for its summary`);
        }
      });
    }

    it('are explained in docs/operations.md, each of them, and no others', () => {
      const explained = [...read('operations.md').matchAll(/^#+ (Polylog\w+)$/gm)].map(([, name]) => name!);
      assert.deepEqual(explained.toSorted(), rules.map(({ alert }) => alert).toSorted());
    });

    it('are those that the dashboard and the manual name', () => {
      const named = [
        ...JSON.stringify(dashboard).matchAll(/\bPolylog[A-Z]\w+/g),
        ...read('operations.md').matchAll(/\bPolylog[A-Z]\w+/g),
      ];
      const known = new Set(rules.map(({ alert }) => alert));
      for (const [name] of named) assert.ok(known.has(name), name);
    });
  });

  it('metrics that the manual names are exported', () => {
    for (const file of ['operations.md', 'monitoring/prometheus-alerts.yml']) {
      for (const [name] of read(file).matchAll(/(?<!\.)\bpolylog_[a-z0-9_]+/g)) {
        // The part before a `*`, or the base of a histogram's three.
        const isStart = name.endsWith('_') && [...scraped.keys()].some((known) => known.startsWith(name));
        assert.ok(isStart || scraped.has(name) || scraped.has(`${name}_count`), `${file} names ${name}`);
      }
    }
  });
});

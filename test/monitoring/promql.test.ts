import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { checkQuery } from './promql.ts';
import { parseScrape } from './scrape.ts';

const SCRAPE = `# HELP hits Requests
# TYPE hits counter
hits{api="Fetch",code="a \\"b\\", c"} 3
hits{api="Produce"} 1
# TYPE size gauge
size 1
# TYPE took histogram
took_bucket{api="Fetch",le="1"} 1
took_bucket{api="Fetch",le="+Inf"} 1
took_sum{api="Fetch"} 0.5
took_count{api="Fetch"} 1
`;

describe('The check of queries', () => {
  const scraped = parseScrape(SCRAPE);

  it('reads metrics, their types and their labels from a scrape', () => {
    assert.deepEqual([...scraped.keys()], ['hits', 'size', 'took_bucket', 'took_sum', 'took_count']);
    assert.deepEqual(scraped.get('hits'), {
      type: 'counter',
      labels: new Set(['api', 'code']),
      series: 2,
    });
    assert.equal(scraped.get('took_sum')?.type, 'counter');
    assert.throws(() => parseScrape('hits 1'), /no type/);
    assert.throws(() => parseScrape('hits{api="Fetch" 1'), /not a sample/);
  });

  const sound: [query: string, labels: string[]][] = [
    ['sum by (api) (rate(hits{code!="x", instance=~"a"}[5m]))', ['api']],
    ['histogram_quantile(0.99, sum by (le, api) (rate(took_bucket[5m]))) > 1', ['api']],
    ['sum without (code) (hits)', ['api', 'instance', 'job']],
    ['time() - size > 10', ['instance', 'job']],
    ['topk(3, hits) and on (instance) size == 1', ['api', 'code', 'instance', 'job']],
    ['sum(rate(took_sum[1m])) / sum(rate(took_count[1m]))', []],
    ['up == 0', ['instance', 'job']],
  ];
  for (const [query, labels] of sound) {
    it(`finds ${query} sound`, () => {
      const findings = checkQuery(query, scraped);
      assert.deepEqual(findings.problems, []);
      assert.deepEqual([...findings.labels].toSorted(), labels);
    });
  }

  const unsound: [query: string, problem: RegExp][] = [
    ['hist', /nothing exports hist/],
    ['rate(took[5m])', /nothing exports took/],
    ['hits{topic="a"}', /hits has no label topic/],
    ['sum by (topic) (hits)', /what is aggregated has no label topic/],
    ['sum by (api) (sum(hits))', /no label api/],
    ['rate(size[5m])', /rate of the gauge size/],
    ['deriv(hits[5m])', /deriv of the counter hits/],
    ['histogram_quantile(0.5, sum by (api) (rate(took_bucket[5m])))', /without le/],
    ['hits / size', /no series of both sides of Div have the same labels/],
    ['hits and on (api) size', /the right side has no label api/],
    ['raet(hits[5m])', /syntax error/],
    ['sum(hits', /syntax error/],
    ['hits{api="Fetch"', /syntax error/],
  ];
  for (const [query, problem] of unsound) {
    it(`refuses ${query}`, () => {
      assert.match(checkQuery(query, scraped).problems.join('; '), problem);
    });
  }
});

import type { MetricFamily } from '../../packages/broker/src/metrics/types.ts';
import { OTHER_TOPICS, SERIES_MAX, TOPIC_LABELS_MAX } from '../../packages/broker/src/metrics/types.ts';
import { describeProcess } from '../../packages/broker/src/process-metrics.ts';
import { withEngine } from './engine.ts';

const HEAD = `# Metrics

<!-- Written by \`npm run docs\` from what the broker registers; \`npm run check\` fails when it is stale. -->

\`GET /metrics\` on the HTTP listener answers in Prometheus' text format. Counters count from the start of the process. Values are read when
somebody scrapes, and cost nothing in between. [operations.md](operations.md) says which of them to watch, and
[monitoring/](monitoring/) has scrape configuration, alert rules and a Grafana dashboard.

What a scrape writes is bounded: ${TOPIC_LABELS_MAX} topics have a label of their own, and all others share the label \`${OTHER_TOPICS}\`; other metrics
with labels have ${SERIES_MAX} series each, and \`polylog_metrics_series_dropped\` says of which metric how many more there would be.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
`;

/** docs/metrics.md, whole: what a broker registers that is really started. */
export async function metricsPage(): Promise<string> {
  const families = await registeredFamilies();
  return HEAD + families.map(row).join('\n') + '\n';
}

function row({ name, type, labels, help }: MetricFamily): string {
  return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.replaceAll('|', '\\|')} |`;
}

function registeredFamilies(): Promise<MetricFamily[]> {
  return withEngine(({ metrics }) => {
    const end = describeProcess(metrics);
    const families = metrics.families();
    end();
    return families;
  });
}

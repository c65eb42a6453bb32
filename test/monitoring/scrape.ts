/** A metric as a scrape shows it. A histogram is three of them: `_bucket`, `_sum` and `_count`. */
export interface ScrapedMetric {
  readonly type: 'counter' | 'gauge';
  /** Of any of its series. */
  readonly labels: ReadonlySet<string>;
  readonly series: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*",?/g;
const HISTOGRAM_SUFFIX = /_(?:bucket|sum|count)$/;

/** The text format of Prometheus. Throws on a line that is not in it, and on samples of a metric without a type. */
export function parseScrape(text: string): Map<string, ScrapedMetric> {
  const types = new Map<string, string>();
  const found = new Map<string, { type: 'counter' | 'gauge'; labels: Set<string>; series: number }>();
  for (const line of text.split('\n')) {
    const typed = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (typed !== null) types.set(typed[1]!, typed[2]!);
    if (line === '' || line.startsWith('#')) continue;
    const sample = SAMPLE.exec(line);
    if (sample === null) throw new Error(`not a sample: ${line}`);
    const name = sample[1]!;
    const metric = found.get(name) ?? { type: typeOf(name, types), labels: new Set<string>(), series: 0 };
    for (const [, label] of (sample[2] ?? '').matchAll(LABEL)) metric.labels.add(label!);
    metric.series++;
    found.set(name, metric);
  }
  return found;
}

function typeOf(name: string, types: ReadonlyMap<string, string>): 'counter' | 'gauge' {
  const own = types.get(name);
  if (own === 'counter' || own === 'gauge') return own;
  // The parts of a histogram only grow.
  if (types.get(name.replace(HISTOGRAM_SUFFIX, '')) === 'histogram') return 'counter';
  throw new Error(`no type is given for ${name}`);
}

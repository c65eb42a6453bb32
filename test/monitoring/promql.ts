import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

import type { ScrapedMetric } from './scrape.ts';

/** Labels that Prometheus adds to whatever it scrapes. */
const SCRAPE_LABELS = ['instance', 'job'];
/** Made by Prometheus itself, for each target. */
const OWN_METRICS: ReadonlySet<string> = new Set(['up']);
const ONLY_COUNTERS = new Set(['rate', 'irate', 'increase']);
const ONLY_GAUGES = new Set(['delta', 'idelta', 'deriv', 'predict_linear']);
/** Functions whose result has no labels. */
const WITHOUT_LABELS = new Set(['time', 'vector', 'scalar', 'pi']);
const SET_OPERATORS = new Set(['And', 'Or', 'Unless']);

type Labels = ReadonlySet<string>;

export interface QueryFindings {
  /** Why the query cannot mean what it says; empty if it is in order. */
  readonly problems: readonly string[];
  /** Metrics that it reads, Prometheus' own not among them. */
  readonly metrics: ReadonlySet<string>;
  /** Labels of its result. */
  readonly labels: Labels;
}

/** Parses a query as Prometheus does, and compares every name in it with what was scraped. */
export function checkQuery(query: string, scraped: ReadonlyMap<string, ScrapedMetric>): QueryFindings {
  const tree = parser.parse(query);
  const checker = new QueryChecker(query, scraped);
  tree.iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) checker.problems.push(`syntax error at ${JSON.stringify(query.slice(from, to))}`);
    },
  });
  const labels = checker.labelsOf(tree.topNode);
  return { problems: checker.problems, metrics: checker.metrics, labels };
}

class QueryChecker {
  readonly problems: string[] = [];
  readonly metrics = new Set<string>();
  readonly #query: string;
  readonly #scraped: ReadonlyMap<string, ScrapedMetric>;

  constructor(query: string, scraped: ReadonlyMap<string, ScrapedMetric>) {
    this.#query = query;
    this.#scraped = scraped;
  }

  /** Labels of the node's result. */
  labelsOf(node: SyntaxNode): Labels {
    if (node.name === 'VectorSelector') return this.#selector(node);
    if (node.name === 'FunctionCall') return this.#call(node);
    if (node.name === 'AggregateExpr') return this.#aggregate(node);
    if (node.name === 'BinaryExpr') return this.#binary(node);
    return union(children(node).map((child) => this.labelsOf(child)));
  }

  #selector(node: SyntaxNode): Labels {
    const name = this.#text(node.getChild('Identifier'));
    if (OWN_METRICS.has(name)) return new Set(SCRAPE_LABELS);
    const metric = this.#scraped.get(name);
    const labels = new Set([...(metric?.labels ?? []), ...SCRAPE_LABELS]);
    if (metric === undefined) this.problems.push(`nothing exports ${name}`);
    else this.metrics.add(name);
    for (const matcher of node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []) {
      this.#expect(this.#text(matcher.getChild('LabelName')), labels, name);
    }
    return labels;
  }

  #call(node: SyntaxNode): Labels {
    const name = this.#text(node.getChild('FunctionIdentifier'));
    const body = node.getChild('FunctionCallBody');
    const labels = union(body === null ? [] : children(body).map((child) => this.labelsOf(child)));
    for (const read of selectorsIn(node)) {
      const metric = this.#text(read.getChild('Identifier'));
      const type = this.#scraped.get(metric)?.type;
      if (ONLY_COUNTERS.has(name) && type === 'gauge') this.problems.push(`${name} of the gauge ${metric}`);
      if (ONLY_GAUGES.has(name) && type === 'counter') this.problems.push(`${name} of the counter ${metric}`);
    }
    if (WITHOUT_LABELS.has(name)) return new Set();
    if (name !== 'histogram_quantile') return labels;
    if (!labels.has('le')) this.problems.push('histogram_quantile of something without le');
    return new Set([...labels].filter((label) => label !== 'le'));
  }

  #aggregate(node: SyntaxNode): Labels {
    const body = node.getChild('FunctionCallBody');
    const inner = union(body === null ? [] : children(body).map((child) => this.labelsOf(child)));
    const modifier = node.getChild('AggregateModifier');
    const keepsSeries = /^(?:topk|bottomk|limitk)$/.test(this.#text(node.getChild('AggregateOp')));
    if (modifier === null) return keepsSeries ? inner : new Set();
    const named = this.#grouping(modifier);
    for (const label of named) this.#expect(label, inner, 'what is aggregated');
    if (keepsSeries) return inner;
    const isBy = modifier.getChild('By') !== null;
    return new Set(isBy ? named : [...inner].filter((label) => !named.includes(label)));
  }

  #binary(node: SyntaxNode): Labels {
    const [left, right] = [node.firstChild!, node.lastChild!];
    const leftLabels = this.labelsOf(left);
    const rightLabels = this.labelsOf(right);
    const matching = node.getChild('MatchingModifierClause');
    const operator = left.nextSibling?.name ?? '';
    if (isScalar(left)) return rightLabels;
    if (isScalar(right) || operator === 'Or') return union([leftLabels, rightLabels]);
    if (matching === null) {
      if (!sameLabels(leftLabels, rightLabels))
        this.problems.push(`no series of both sides of ${operator} have the same labels`);
      return leftLabels;
    }
    const named = this.#grouping(matching);
    for (const label of named) {
      this.#expect(label, leftLabels, 'the left side');
      this.#expect(label, rightLabels, 'the right side');
    }
    return SET_OPERATORS.has(operator) ? leftLabels : union([leftLabels, rightLabels]);
  }

  #grouping(node: SyntaxNode): string[] {
    return (node.getChild('GroupingLabels')?.getChildren('LabelName') ?? []).map((label) =>
      this.#text(label),
    );
  }

  #expect(label: string, labels: Labels, owner: string): void {
    if (!labels.has(label)) this.problems.push(`${owner} has no label ${label}`);
  }

  #text(node: SyntaxNode | null): string {
    return node === null ? '' : this.#query.slice(node.from, node.to);
  }
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) found.push(child);
  return found;
}

function selectorsIn(node: SyntaxNode): SyntaxNode[] {
  return node.name === 'VectorSelector' ? [node] : children(node).flatMap(selectorsIn);
}

function isScalar(node: SyntaxNode): boolean {
  return selectorsIn(node).length === 0;
}

function sameLabels(left: Labels, right: Labels): boolean {
  return left.size === right.size && [...left].every((label) => right.has(label));
}

function union(sets: readonly Labels[]): Labels {
  return new Set(sets.flatMap((set) => [...set]));
}

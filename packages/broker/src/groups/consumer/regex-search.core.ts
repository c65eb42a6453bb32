import { Deadline, type DeadlineQueue } from '../../coordinator/deadlines.core.ts';
import type { Instant, StateRecord } from '../../coordinator/types.ts';
import { stepsFor } from '../../expressions/cost.core.ts';
import type { StepBudget } from '../../expressions/step-budget.core.ts';
import type { ExpressionCompiler } from '../../expressions/types.ts';
import type { ConsumerGroup } from './consumer-group.core.ts';
import { regexRecord } from './records.core.ts';
import { isSameList, regexesOf } from './subscriptions.core.ts';
import type { TopicMatcher, TopicView } from './types.ts';

/** What looking at one topic takes at least, in steps of matching: whether it is there, and may be seen. */
const TOPIC_STEPS_MIN = 100;

/** Which topics one expression stands for, as far as that is known. */
interface Search {
  readonly expression: string;
  /** Topics to look at. Taken from the state of the cluster in which the first one is asked for. */
  readonly names: Iterator<string>;
  readonly found: Set<string>;
}

/** The expressions of a group that topics are looked at for. */
interface GroupSearch {
  readonly group: ConsumerGroup;
  /** With the eyes of the member that asked. */
  readonly maySee: TopicMatcher;
  readonly searches: Search[];
}

export interface RegexSearchesOptions {
  readonly topics: TopicView;
  readonly deadlines: DeadlineQueue;
  readonly compileRegex: ExpressionCompiler;
  readonly budget: StepBudget;
  /** Nothing is left to be looked at for the group. Adds the records of what follows from that. */
  readonly searched: (group: ConsumerGroup, records: StateRecord[]) => void;
  /** To be called with what was found where nobody's request was being answered. */
  readonly append: (records: readonly StateRecord[]) => void;
}

/**
 * Looks for the topics that the regular expressions of groups stand for (KIP-848), in slices: with many topics one turn of the event loop must not look at
 * all of them. A group that has little to look at is done with at once; the others take turns.
 */
export class RegexSearches {
  readonly #options: RegexSearchesOptions;
  readonly #running = new Map<ConsumerGroup, GroupSearch>();
  readonly #next: Deadline;

  constructor(options: RegexSearchesOptions) {
    this.#options = options;
    this.#next = new Deadline(options.deadlines, (now) => this.#goOn(now));
  }

  isRunning(group: ConsumerGroup): boolean {
    return this.#running.has(group);
  }

  /** Looks at the topics that the group's expressions have not been asked about: as many as there is time for, the others later. */
  begin(group: ConsumerGroup, maySee: TopicMatcher, records: StateRecord[], now: Instant): void {
    const running = this.#running.get(group);
    const search = running ?? { group, maySee, searches: this.#changedSearches(group) };
    // What changes while it runs has to be looked at when it has ended.
    const isWaiting = new Set(search.searches.map(({ expression }) => expression));
    for (const expression of regexesOf(group)) {
      if (!group.regexes.has(expression) && !isWaiting.has(expression)) {
        search.searches.push(this.#wholeSearch(expression));
      }
    }
    this.#running.set(group, search);
    if (this.#search(search, records, now)) this.#running.delete(group);
    this.#schedule();
  }

  /** Of the expressions that are known already: what has changed since. */
  #changedSearches(group: ConsumerGroup): Search[] {
    const { changedTopics } = group;
    group.changedTopics = new Set();
    if (changedTopics?.size === 0) return [];
    return [...regexesOf(group)].flatMap((expression): Search[] => {
      const known = group.regexes.get(expression);
      if (known === undefined) return [];
      if (changedTopics === undefined) return [this.#wholeSearch(expression)];
      // With very many topics a new one must not cost as much as all of them.
      return [{ expression, names: changedTopics.values(), found: new Set(known.topics) }];
    });
  }

  #wholeSearch(expression: string): Search {
    return { expression, names: this.#options.topics.names()[Symbol.iterator](), found: new Set() };
  }

  #schedule(): void {
    if (this.#running.size > 0) this.#next.set(this.#options.budget.nextMs);
  }

  #goOn(now: Instant): void {
    const { budget, searched, append } = this.#options;
    for (let left = this.#running.size; left > 0 && budget.isOpen(now.monotonicMs); left--) {
      // The first of them. Whoever is not done goes to the end.
      const search = this.#running.values().next().value!;
      const { group } = search;
      this.#running.delete(group);
      if (group.isReleased) continue;
      const records: StateRecord[] = [];
      if (this.#search(search, records, now)) searched(group, records);
      else this.#running.set(group, search);
      if (records.length > 0) append(records);
    }
    this.#schedule();
  }

  /** Returns whether nothing is left of it. */
  #search({ group, maySee, searches }: GroupSearch, records: StateRecord[], now: Instant): boolean {
    for (let search = searches[0]; search !== undefined; search = searches[0]) {
      if (!this.#look(search, maySee, now)) return false;
      searches.shift();
      this.#found(group, search, records, now);
    }
    return true;
  }

  /** Returns whether all topics have been looked at. */
  #look({ expression, names, found }: Search, maySee: TopicMatcher, now: Instant): boolean {
    const { budget, compileRegex, topics } = this.#options;
    const compiled = compileRegex(expression);
    if (compiled.fault !== undefined) {
      // One that is in the log and that is not understood any more describes nothing.
      found.clear();
      return true;
    }
    const { matches, cost } = compiled;
    for (;;) {
      if (!budget.isOpen(now.monotonicMs)) return false;
      const { done, value: name } = names.next();
      if (done === true) return true;
      budget.take(Math.max(TOPIC_STEPS_MIN, stepsFor(cost, name.length)));
      if (matches(name) && maySee(name) && topics.byName(name) !== undefined) found.add(name);
      else found.delete(name);
    }
  }

  #found(group: ConsumerGroup, { expression, found }: Search, records: StateRecord[], now: Instant): void {
    // Nobody may have it any more.
    if (!regexesOf(group).has(expression)) return;
    const topics = [...found].sort();
    const known = group.regexes.get(expression);
    if (known !== undefined && isSameList(known.topics, topics)) return;
    const { version } = this.#options.topics;
    group.setRegex(expression, { topics, version, timestampMs: now.wallMs });
    records.push(regexRecord(group, expression));
  }
}

import { Deadline, type DeadlineQueue } from '../../coordinator/deadlines.core.ts';
import type { Instant, StateRecord } from '../../coordinator/types.ts';
import { stepsFor } from '../../expressions/cost.core.ts';
import type { StepBudget } from '../../expressions/step-budget.core.ts';
import type { ExpressionCompiler } from '../../expressions/types.ts';
import { compare } from './assignor.core.ts';
import type { ConsumerGroup } from './consumer-group.core.ts';
import { regexRecord } from './records.core.ts';
import { isSameList, regexesOf } from './subscriptions.core.ts';
import type { TopicMatcher, TopicView } from './types.ts';
import { forEachOf, merge, sorted, Steps, type Work } from './work.core.ts';

/** What looking at one topic takes at least, in steps of matching: whether it is there, and may be seen. */
const TOPIC_STEPS_MIN = 100;
/** Of one that was found: counted among all that the group subscribes to, and put into a record. */
const FOUND_STEPS = 10;

const NO_TOPICS: readonly string[] = [];
const NONE_CHANGED: ReadonlySet<string> = new Set();

/** Which topics one expression stands for, as far as that is known. */
interface Search {
  readonly expression: string;
  /** Topics to look at. Taken from the state of the cluster in which the first one is asked for. */
  readonly names: Iterator<string>;
  /** Those of them that it stands for. */
  readonly found: Set<string>;
  /** What it stands for besides, in order, but for those that have changed: they are among the names. */
  before: readonly string[];
  readonly changed: ReadonlySet<string>;
  /** Puts together what was found, once all have been looked at. */
  result: Steps<readonly string[]> | undefined;
}

/** The expressions of a group that topics are looked at for. */
interface GroupSearch {
  readonly group: ConsumerGroup;
  /** With the eyes of the member that asked. */
  readonly maySee: TopicMatcher;
  readonly searches: Search[];
  /** Rises with all that is done for it but compiling. */
  progress: number;
  /** What comes last: the hash of all that the group subscribes to now. */
  hashing: Steps<void> | undefined;
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
    const searches = running?.searches ?? this.#changedSearches(group);
    const search = running ?? { group, maySee, searches, progress: 0, hashing: undefined };
    // What changes while it runs has to be looked at when it has ended.
    const isWaiting = new Set(search.searches.map(({ expression }) => expression));
    for (const expression of regexesOf(group)) {
      if (!group.regexes.has(expression) && !isWaiting.has(expression)) {
        search.searches.push(this.#wholeSearch(expression));
      }
    }
    this.#running.set(group, search);
    if (this.#search(search, records, now)) this.#running.delete(group);
    this.#schedule(true);
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
      return [this.#searchOf(expression, changedTopics.values(), known.topics, changedTopics)];
    });
  }

  #wholeSearch(expression: string): Search {
    const names = this.#options.topics.names()[Symbol.iterator]();
    return this.#searchOf(expression, names, NO_TOPICS, NONE_CHANGED);
  }

  #searchOf(
    expression: string,
    names: Iterator<string>,
    before: readonly string[],
    changed: ReadonlySet<string>,
  ): Search {
    return { expression, names, before, changed, found: new Set(), result: undefined };
  }

  /** Other coordinators have groups that wait too: whoever has had of this slice comes after them. */
  #schedule(hasTaken: boolean): void {
    const { budget } = this.#options;
    if (this.#running.size > 0) this.#next.set(hasTaken ? budget.nextAfterOthersMs : budget.nextMs);
  }

  #goOn(now: Instant): void {
    const { budget, searched, append } = this.#options;
    const isOpen = budget.isOpen(now.monotonicMs);
    for (let left = this.#running.size; left > 0 && budget.isOpen(now.monotonicMs); left--) {
      // The first of them.
      const search = this.#running.values().next().value!;
      const { group, progress } = search;
      const records: StateRecord[] = [];
      const isDone = group.isReleased || this.#search(search, records, now);
      // What was compiled just now is used before others have it forgotten: else nobody might ever get on.
      if (!isDone && search.progress === progress) break;
      this.#running.delete(group);
      // Whoever is not done goes to the end.
      if (!isDone) this.#running.set(group, search);
      else if (!group.isReleased) searched(group, records);
      if (records.length > 0) append(records);
    }
    this.#schedule(isOpen);
  }

  /** Returns whether nothing is left of it. */
  #search(ofGroup: GroupSearch, records: StateRecord[], now: Instant): boolean {
    const { group, searches } = ofGroup;
    for (let search = searches[0]; search !== undefined; search = searches[0]) {
      if (search.result === undefined) {
        if (!this.#look(ofGroup, search, now)) return false;
        search.result = new Steps(resultOf(search));
      }
      const found = this.#run(ofGroup, search.result, now);
      if (found === undefined) return false;
      searches.shift();
      this.#found(group, search.expression, found.result, records, now);
    }
    ofGroup.hashing ??= new Steps(group.subscribed.hashing(this.#options.topics));
    return this.#run(ofGroup, ofGroup.hashing, now) !== undefined;
  }

  /** As much of it as there is time for; the result, once there is one. */
  #run<T>(ofGroup: GroupSearch, steps: Steps<T>, now: Instant): { readonly result: T } | undefined {
    const { budget } = this.#options;
    while (budget.isOpen(now.monotonicMs)) {
      ofGroup.progress++;
      const before = steps.taken;
      const found = steps.run(1);
      budget.take(steps.taken - before);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Returns whether all topics have been looked at. */
  #look(ofGroup: GroupSearch, search: Search, now: Instant): boolean {
    const { maySee } = ofGroup;
    const { expression, names, found } = search;
    const { budget, compileRegex, topics } = this.#options;
    const compiled = compileRegex(expression);
    if (compiled.fault !== undefined) {
      // One that is in the log and that is not understood any more describes nothing.
      search.before = NO_TOPICS;
      found.clear();
      return true;
    }
    const { matches, cost } = compiled;
    for (;;) {
      if (!budget.isOpen(now.monotonicMs)) return false;
      const { done, value: name } = names.next();
      if (done === true) return true;
      ofGroup.progress++;
      budget.take(Math.max(TOPIC_STEPS_MIN, stepsFor(cost, name.length)));
      if (matches(name) && maySee(name) && topics.byName(name) !== undefined) found.add(name);
      else found.delete(name);
    }
  }

  #found(
    group: ConsumerGroup,
    expression: string,
    topics: readonly string[],
    records: StateRecord[],
    now: Instant,
  ): void {
    // Nobody may have it any more.
    if (!regexesOf(group).has(expression)) return;
    const known = group.regexes.get(expression);
    if (known !== undefined && isSameList(known.topics, topics)) return;
    const { budget, topics: view } = this.#options;
    const { version } = view;
    budget.take(FOUND_STEPS * topics.length);
    group.setRegex(expression, { topics, version, timestampMs: now.wallMs });
    records.push(regexRecord(group, expression));
  }
}

/** In order. */
function* resultOf({ before, changed, found }: Search): Work<readonly string[]> {
  const topics: string[] = [];
  yield* forEachOf(before, (name) => {
    if (!changed.has(name)) topics.push(name);
  });
  if (found.size === 0) return topics;
  const kept = topics.length;
  for (const name of yield* sorted(found, compare)) topics.push(name);
  const all: string[] = [];
  yield* merge(topics, { start: 0, middle: kept, end: topics.length }, all, compare);
  return all;
}

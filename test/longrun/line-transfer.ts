/** What became of the lines of a file on their way through a topic into another file: the judge of the runs that kill Connect. */

export interface TransferViolation {
  readonly kind:
    /** Read from the file, and not in the topic. */
    | 'lost-before-topic'
    /** In the topic, and not in the second file. */
    | 'lost-before-sink'
    /** Twice in the topic, although the source is exactly-once. */
    | 'repeated-in-topic'
    /** In the topic before a line that precedes it in the file. */
    | 'disorder-in-topic'
    /** In the topic or the second file, and never in the first. */
    | 'unexpected';
  readonly line: string;
}

export interface Transfer {
  readonly given: readonly string[];
  /** What is committed, in its order. */
  readonly topic: readonly string[];
  readonly sink: readonly string[];
}

/** Everything that is wrong. That a line is in the second file more than once is not: its connector is at-least-once. */
export function judgeTransfer({ given, topic, sink }: Transfer): TransferViolation[] {
  const violations: TransferViolation[] = [];
  const places = new Map(given.map((line, index) => [line, index]));
  const inTopic = new Set<string>();
  let furthest = -1;
  for (const line of topic) {
    const place = places.get(line);
    if (place === undefined) violations.push({ kind: 'unexpected', line });
    else if (inTopic.has(line)) violations.push({ kind: 'repeated-in-topic', line });
    else if (place < furthest) violations.push({ kind: 'disorder-in-topic', line });
    else furthest = place;
    inTopic.add(line);
  }
  const inSink = new Set(sink);
  for (const line of inSink) if (!places.has(line)) violations.push({ kind: 'unexpected', line });
  for (const line of given) {
    if (!inTopic.has(line)) violations.push({ kind: 'lost-before-topic', line });
    else if (!inSink.has(line)) violations.push({ kind: 'lost-before-sink', line });
  }
  return violations;
}

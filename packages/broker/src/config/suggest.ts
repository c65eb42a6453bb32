/** A name further away than this many edits, or than half of its length, is no suggestion. */
const EDITS_MAX = 4;

/** The known name that is nearest to a mistyped one, if any is near enough. */
export function suggest(mistyped: string, known: Iterable<string>): string | undefined {
  const wanted = normalized(mistyped);
  let best: string | undefined;
  let bestEdits = Math.min(EDITS_MAX, Math.floor(wanted.length / 2)) + 1;
  for (const name of known) {
    const edits = editDistance(wanted, normalized(name), bestEdits);
    if (edits < bestEdits) {
      best = name;
      bestEdits = edits;
    }
  }
  return best;
}

/** ` (did you mean x?)`, or nothing. */
export function didYouMean(mistyped: string, known: Iterable<string>): string {
  const name = suggest(mistyped, known);
  return name === undefined ? '' : ` (did you mean ${name}?)`;
}

function normalized(name: string): string {
  return name.toLowerCase().replaceAll(/[._-]/g, '.');
}

/** Levenshtein's distance, or `limit` if it is at least that. */
export function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit;
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= right.length; column++) {
      const substitution = previous[column - 1]! + (left[row - 1] === right[column - 1] ? 0 : 1);
      const edits = Math.min(substitution, previous[column]! + 1, current[column - 1]! + 1);
      current.push(edits);
      least = Math.min(least, edits);
    }
    if (least >= limit) return limit;
    previous = current;
  }
  return Math.min(previous[right.length]!, limit);
}

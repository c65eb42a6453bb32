/** A name further away than this many edits, or than a third of its length, is no suggestion. */
const EDITS_MAX = 3;

/** ` (did you mean x?)` for the known name nearest to a mistyped one, or nothing if none is near. */
export function didYouMean(mistyped: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestEdits = Math.min(EDITS_MAX, Math.ceil(mistyped.length / 3)) + 1;
  for (const name of known) {
    const edits = editDistance(mistyped.toLowerCase(), name.toLowerCase());
    if (edits < bestEdits) [best, bestEdits] = [name, edits];
  }
  return best === undefined ? '' : ` (did you mean ${best}?)`;
}

/** Levenshtein's distance, with two neighbouring letters swapped as one edit. */
function editDistance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > EDITS_MAX) return Infinity;
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let edits = Math.min(
        previous[column - 1]! + (same ? 0 : 1),
        previous[column]! + 1,
        current[column - 1]! + 1,
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) edits = Math.min(edits, before[column - 2]! + 1);
      current.push(edits);
    }
    [before, previous] = [previous, current];
  }
  return previous[right.length]!;
}

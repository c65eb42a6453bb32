import { NOBODY } from './assignor.core.ts';
import type { Draft } from './draft.core.ts';

/**
 * Completes and balances a draft whose members subscribe to different topics. What nobody has goes to the subscriber with the fewest partitions,
 * topics with few subscribers first, since there is least choice. Then partitions move, one at a time, from an owner to a subscriber that has at
 * least two fewer: each move makes the sum of the squares of all loads smaller, so that they come to an end.
 */
export function balance(draft: Draft, subscribers: readonly (readonly number[])[]): void {
  const topics = [...subscribers.keys()].filter((topic) => subscribers[topic]!.length > 0);
  topics.sort((left, right) => subscribers[left]!.length - subscribers[right]!.length || left - right);
  for (const topic of topics) {
    const owners = draft.owners[topic]!;
    for (let partition = 0; partition < owners.length; partition++) {
      if (owners[partition] !== NOBODY) continue;
      draft.give(leastLoaded(draft, subscribers[topic]!), topic, partition);
    }
  }
  let hasMoved = true;
  while (hasMoved) {
    hasMoved = false;
    for (const topic of topics) if (level(draft, topic, subscribers[topic]!)) hasMoved = true;
  }
}

/** Moves partitions of one topic as long as that helps; returns whether it did. */
function level(draft: Draft, topic: number, subscribers: readonly number[]): boolean {
  let hasMoved = false;
  for (;;) {
    const to = leastLoaded(draft, subscribers);
    const from = mostLoadedOwner(draft, topic, subscribers);
    if (from === undefined || draft.loads[from]! < draft.loads[to]! + 2) return hasMoved;
    draft.move(from, to, topic);
    hasMoved = true;
  }
}

/** The first one, where there are several. */
function leastLoaded({ loads }: Draft, subscribers: readonly number[]): number {
  let least = subscribers[0]!;
  for (const member of subscribers) if (loads[member]! < loads[least]!) least = member;
  return least;
}

function mostLoadedOwner(draft: Draft, topic: number, subscribers: readonly number[]): number | undefined {
  let most: number | undefined;
  for (const member of subscribers) {
    if (most !== undefined && draft.loads[member]! <= draft.loads[most]!) continue;
    if (draft.heldOf(member, topic) > 0) most = member;
  }
  return most;
}

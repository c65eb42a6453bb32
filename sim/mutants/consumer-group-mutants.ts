import type { Mutant } from './mutant.ts';

/** Known bugs of the groups of KIP-848. */
export const CONSUMER_GROUP_MUTANTS: readonly Mutant[] = [
  {
    name: 'partition-before-its-owner-has-let-go',
    why: 'two members of a consumer group have a partition at once',
    file: 'groups/consumer/reconcile.core.ts',
    search: '(partition) => own?.includes(partition) === true || isFree(topicId, partition),',
    replace: '() => true,',
    scenario: 'consumer-groups',
  },
  {
    name: 'revocation-not-awaited',
    why: 'a partition goes to its next owner when the one before has been told to give it up, and still has it',
    file: 'groups/consumer/reconcile.core.ts',
    search: 'if (owned === undefined || intersects(owned, current.revoking)) return current;',
    replace: '',
    scenario: 'consumer-groups',
  },
  {
    name: 'revocation-forgotten-by-a-load',
    why: 'after a crash nobody waits any more for a member that is giving a partition up',
    file: 'groups/consumer/replay.core.ts',
    search: 'revoking: normalized(revoking),',
    replace: 'revoking: new Map(),',
    scenario: 'consumer-groups',
  },
  {
    name: 'member-epoch-not-fenced',
    why: 'a member commits for partitions that it has lost meanwhile',
    file: 'groups/group.core.ts',
    search: 'if (generationId === member.current.epoch) return undefined;',
    replace: 'if (generationId <= member.current.epoch) return undefined;',
    scenario: 'consumer-groups',
  },
  {
    name: 'epoch-told-before-it-is-durable',
    why: 'a crash takes back what a member was told: it is fenced, or two have a partition',
    file: 'groups/consumer/driver.core.ts',
    search: 'else sink.append(records, done);',
    replace: 'else { sink.append(records, () => undefined); done(undefined); }',
    scenario: 'consumer-groups',
  },
  {
    name: 'upgrade-forgets-what-classic-members-have',
    why: 'the first member of the newer protocol gets what the classic members still have',
    file: 'groups/consumer/migration.core.ts',
    search: 'const own = normalized(assigned.get(memberId)!);',
    replace: 'const own = new Map();',
    scenario: 'consumer-groups',
  },
  {
    name: 'sessions-of-consumer-groups-end-with-a-load',
    why: 'a member that died while the broker was down keeps its partitions for ever',
    file: 'groups/membership.core.ts',
    search: 'dropIncomplete(group); this.#driver.resume(group, now);',
    replace: 'dropIncomplete(group);',
    scenario: 'consumer-groups',
  },
];

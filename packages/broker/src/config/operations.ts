import { BrokerError } from '../errors.ts';
import { splitList, type ConfigDefinition } from './definition.ts';

/** KIP-339. `set` with undefined deletes, as `delete` does; append and subtract are for list values. */
export interface ConfigOperation {
  readonly name: string;
  readonly operation: 'set' | 'delete' | 'append' | 'subtract';
  readonly value: string | undefined;
}

/**
 * The texts of a resource's configs after the operations; what they say is not looked at. Throws BrokerError INVALID_CONFIG for an operation
 * that the config does not have, or INVALID_REQUEST when a name comes twice.
 */
export function applyOperations(
  before: ReadonlyMap<string, string>,
  operations: readonly ConfigOperation[],
  configs: {
    /** Throws for a name that there is not. */
    readonly definitionOf: (name: string) => ConfigDefinition<unknown>;
    /** What append and subtract begin from. */
    readonly effectiveText: (name: string) => string;
  },
): ReadonlyMap<string, string> {
  const altered = new Map(before);
  const seen = new Set<string>();
  for (const { name, operation, value } of operations) {
    if (seen.has(name)) throw new BrokerError('INVALID_REQUEST', `The config ${name} comes twice`);
    seen.add(name);
    const { type } = configs.definitionOf(name);
    if (operation === 'delete' || (operation === 'set' && value === undefined)) {
      altered.delete(name);
    } else if (value === undefined) {
      throw new BrokerError('INVALID_CONFIG', `${operation} needs a value for the config ${name}`);
    } else if (operation === 'set') {
      altered.set(name, value);
    } else if (type === 'list') {
      altered.set(name, changedList(configs.effectiveText(name), operation, value));
    } else {
      throw new BrokerError('INVALID_CONFIG', `${operation} is for lists, which ${name} is not`);
    }
  }
  return altered;
}

function changedList(text: string, operation: 'append' | 'subtract', value: string): string {
  const present = splitList(text);
  const items = splitList(value);
  const changed =
    operation === 'append'
      ? [...present, ...items.filter((item) => !present.includes(item))]
      : present.filter((item) => !items.includes(item));
  return changed.join(',');
}

import {
  allowedBy,
  bitOf,
  deniedBy,
  EVERY_OPERATION,
  EVERYONE,
  WILDCARD,
  type Acl,
  type Operation,
  type OperationBits,
  type ResourceType,
} from './acl.core.ts';

/** Who asks: a principal, at an address in its canonical form. */
export interface Subject {
  /** `User:alice`. */
  readonly principal: string;
  readonly host: string;
}

/** What the rules for one pattern say to one principal or everyone, from one host or everywhere. */
interface Rule {
  allows: OperationBits;
  denies: OperationBits;
}

/** By {@link ruleKey}: thousands may be for one pattern, and who asks is concerned by few. */
type Rules = Map<string, Rule>;

/** Hosts have no blanks. A user who is called `*` is meant where everyone is. */
function ruleKey(principal: string, host: string): string {
  return `${host} ${principal}`;
}

/** The keys of all rules that concern a subject. */
function ruleKeysOf({ principal, host }: Subject): readonly string[] {
  return [
    ruleKey(principal, host),
    ruleKey(principal, WILDCARD),
    ruleKey(EVERYONE, host),
    ruleKey(EVERYONE, WILDCARD),
  ];
}

/** The rules for one type of resource, by what their patterns name. */
class TypeRules {
  readonly literal = new Map<string, Rules>();
  readonly prefixed = new Map<string, Rules>();
  /** For all resources of the type. */
  readonly wildcard: Rules = new Map();
  /** Of the prefixes, ascending: a name is looked up once for each length. */
  prefixLengths: readonly number[] = [];

  add({ principal, host, operation, permission, patternType, resourceName }: Acl): void {
    const rules = this.#rulesOf(patternType, resourceName);
    const key = ruleKey(principal, host);
    let rule = rules.get(key);
    if (rule === undefined) rules.set(key, (rule = { allows: 0, denies: 0 }));
    if (permission === 'ALLOW') rule.allows |= allowedBy(operation);
    else rule.denies |= deniedBy(operation);
  }

  #rulesOf(patternType: Acl['patternType'], resourceName: string): Rules {
    if (patternType === 'LITERAL' && resourceName === WILDCARD) return this.wildcard;
    const byName = patternType === 'LITERAL' ? this.literal : this.prefixed;
    let rules = byName.get(resourceName);
    if (rules === undefined) byName.set(resourceName, (rules = new Map()));
    return rules;
  }
}

/** All access rules, arranged for decisions. DENY wins over ALLOW, whatever the patterns. */
export class AclIndex {
  readonly #types = new Map<ResourceType, TypeRules>();
  readonly #allowIfNoAcl: boolean;

  /** `allowIfNoAcl`: what no rule names, for whomever, is open to everyone. */
  constructor(acls: Iterable<Acl>, { allowIfNoAcl }: { readonly allowIfNoAcl: boolean }) {
    this.#allowIfNoAcl = allowIfNoAcl;
    for (const acl of acls) {
      let rules = this.#types.get(acl.resourceType);
      if (rules === undefined) this.#types.set(acl.resourceType, (rules = new TypeRules()));
      rules.add(acl);
    }
    for (const rules of this.#types.values()) {
      const lengths = new Set([...rules.prefixed.keys()].map(({ length }) => length));
      rules.prefixLengths = [...lengths].sort((left, right) => left - right);
    }
  }

  /** What the subject may do with the resource. */
  operations(subject: Subject, type: ResourceType, name: string): OperationBits {
    const rules = this.#types.get(type);
    const keys = ruleKeysOf(subject);
    let allowed = 0;
    let denied = 0;
    let isNamed = false;
    const take = (those: Rules | undefined): void => {
      if (those === undefined || those.size === 0) return;
      isNamed = true;
      for (const key of keys) {
        const rule = those.get(key);
        if (rule === undefined) continue;
        allowed |= rule.allows;
        denied |= rule.denies;
      }
    };
    if (rules !== undefined) {
      take(rules.literal.get(name));
      take(rules.wildcard);
      for (const length of rules.prefixLengths) {
        if (length > name.length) break;
        take(rules.prefixed.get(name.slice(0, length)));
      }
    }
    if (!isNamed && this.#allowIfNoAcl) return EVERY_OPERATION;
    return allowed & ~denied;
  }

  /**
   * Whether there is any name of a resource, existing or not, with which the subject may do it (KIP-679). The names that no rule mentions
   * count where those are open to everyone.
   */
  allowsOnAny(subject: Subject, type: ResourceType, operation: Operation): boolean {
    const rules = this.#types.get(type);
    if (rules === undefined) return this.#allowIfNoAcl;
    const bit = bitOf(operation);
    const keys = ruleKeysOf(subject);
    const allows = (those: Rules): boolean => keys.some((key) => ((those.get(key)?.allows ?? 0) & bit) !== 0);
    const denies = (those: Rules | undefined): boolean =>
      keys.some((key) => ((those?.get(key)?.denies ?? 0) & bit) !== 0);
    if (denies(rules.wildcard)) return false;
    // Rules deny a limited number of names and prefixes: an allowed `*` always leaves some name.
    if (allows(rules.wildcard)) return true;
    if (this.#allowIfNoAcl && rules.wildcard.size === 0) return true;
    const isUnderDeniedPrefix = (name: string): boolean =>
      rules.prefixLengths.some(
        (length) => length <= name.length && denies(rules.prefixed.get(name.slice(0, length))),
      );
    for (const [prefix, those] of rules.prefixed) {
      if (allows(those) && !isUnderDeniedPrefix(prefix)) return true;
    }
    for (const [name, those] of rules.literal) {
      if (allows(those) && !denies(those) && !isUnderDeniedPrefix(name)) return true;
    }
    return false;
  }
}

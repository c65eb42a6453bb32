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

interface Rule {
  /** Undefined: everyone. */
  readonly principal: string | undefined;
  /** Undefined: from everywhere. */
  readonly host: string | undefined;
  readonly allows: OperationBits;
  readonly denies: OperationBits;
}

/** The rules for one type of resource, by what their patterns name. */
class TypeRules {
  readonly literal = new Map<string, Rule[]>();
  readonly prefixed = new Map<string, Rule[]>();
  /** For all resources of the type. */
  readonly wildcard: Rule[] = [];
  /** Of the prefixes, ascending: a name is looked up once for each length. */
  prefixLengths: readonly number[] = [];

  add(acl: Acl): void {
    const rule: Rule = {
      principal: acl.principal === EVERYONE ? undefined : acl.principal,
      host: acl.host === WILDCARD ? undefined : acl.host,
      allows: acl.permission === 'ALLOW' ? allowedBy(acl.operation) : 0,
      denies: acl.permission === 'DENY' ? deniedBy(acl.operation) : 0,
    };
    if (acl.patternType === 'LITERAL' && acl.resourceName === WILDCARD) {
      this.wildcard.push(rule);
      return;
    }
    const byName = acl.patternType === 'LITERAL' ? this.literal : this.prefixed;
    const rules = byName.get(acl.resourceName);
    if (rules === undefined) byName.set(acl.resourceName, [rule]);
    else rules.push(rule);
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
    let allowed = 0;
    let denied = 0;
    let isNamed = false;
    const take = (list: readonly Rule[] | undefined): void => {
      if (list === undefined || list.length === 0) return;
      isNamed = true;
      for (const rule of list) {
        if (!concerns(rule, subject)) continue;
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
    const allows = (list: readonly Rule[]): boolean =>
      list.some((rule) => (rule.allows & bit) !== 0 && concerns(rule, subject));
    const denies = (list: readonly Rule[] | undefined): boolean =>
      list?.some((rule) => (rule.denies & bit) !== 0 && concerns(rule, subject)) ?? false;
    if (denies(rules.wildcard)) return false;
    // Rules deny a limited number of names and prefixes: an allowed `*` always leaves some name.
    if (allows(rules.wildcard)) return true;
    if (this.#allowIfNoAcl && rules.wildcard.length === 0) return true;
    const isUnderDeniedPrefix = (name: string): boolean =>
      rules.prefixLengths.some(
        (length) => length <= name.length && denies(rules.prefixed.get(name.slice(0, length))),
      );
    for (const [prefix, list] of rules.prefixed) {
      if (allows(list) && !isUnderDeniedPrefix(prefix)) return true;
    }
    for (const [name, list] of rules.literal) {
      if (allows(list) && !denies(list) && !isUnderDeniedPrefix(name)) return true;
    }
    return false;
  }
}

function concerns({ principal, host }: Rule, subject: Subject): boolean {
  return (
    (principal === undefined || principal === subject.principal) &&
    (host === undefined || host === subject.host)
  );
}

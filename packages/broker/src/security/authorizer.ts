import type { Section } from '../cluster/sections.ts';
import {
  bitOf,
  WILDCARD,
  type Acl,
  type Operation,
  type OperationBits,
  type ResourceType,
} from './acl.core.ts';
import { AclIndex, type Subject } from './acl-index.core.ts';
import { canonicalAddress } from '../platform/address.ts';
import type { Denials } from './denials.ts';
import { principalName, type Principal } from './principal.ts';
import { UNLIMITED, type Access } from './types.ts';

/** Principals, each from one address, whose decisions are remembered; some 200 bytes each. */
const SUBJECTS_MAX = 10_000;
/** Decisions that are remembered for all of them together; some 150 bytes each. Past either all are forgotten. */
const DECISIONS_MAX = 200_000;
/** UTF-16 units. Decisions on longer names are not remembered: clients may make up names of 32 KiB. */
const REMEMBERED_NAME_CHARS_MAX = 256;

export interface AuthorizerOptions {
  /** As {@link principalName} writes them: no rule concerns them. */
  readonly superUsers: ReadonlySet<string>;
  /** What no rule names is open to everyone. */
  readonly allowIfNoAcl: boolean;
  /** The section `acls/` of the newest cluster image. */
  readonly section: () => Section;
  readonly denials: Denials;
}

/**
 * Decides by the access rules of the cluster image. The rules are arranged anew with the first question after they changed, and decisions are
 * remembered until then: a question that was asked before costs a look-up.
 */
export class Authorizer {
  readonly denials: Denials;
  readonly #options: AuthorizerOptions;
  readonly #subjects = new Map<string, SubjectAccess>();
  #section: Section | undefined;
  #index: AclIndex | undefined;
  #decisions = 0;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
    this.denials = options.denials;
  }

  get decisionCount(): number {
    return this.#decisions;
  }

  /** For a connection to keep, as long as its principal is the same and it is not dropped: it follows the changes of the rules. */
  subject(principal: Principal, address: string): SubjectAccess {
    const host = canonicalAddress(address) ?? address;
    const name = principalName(principal);
    const key = `${host} ${name}`;
    const known = this.#subjects.get(key);
    if (known !== undefined) return known;
    if (this.#subjects.size >= SUBJECTS_MAX) this.#drop();
    const isSuper = this.#options.superUsers.has(name);
    const subject = new SubjectAccess(this, principal, { principal: name, host }, isSuper);
    this.#subjects.set(key, subject);
    return subject;
  }

  /** The newest rules; with a change of theirs all decisions are forgotten. */
  index(): AclIndex {
    const section = this.#options.section();
    if (this.#index !== undefined && section === this.#section) return this.#index;
    this.#section = section;
    this.#index = new AclIndex(aclsOf(section), { allowIfNoAcl: this.#options.allowIfNoAcl });
    this.#forget();
    return this.#index;
  }

  /** A decision more is remembered. */
  remembered(): void {
    if (++this.#decisions > DECISIONS_MAX) this.#forget();
  }

  #forget(): void {
    this.#decisions = 0;
    for (const subject of this.#subjects.values()) subject.forget();
  }

  #drop(): void {
    for (const subject of this.#subjects.values()) subject.drop();
    this.#subjects.clear();
    this.#decisions = 0;
  }
}

function* aclsOf(section: Section): Iterable<Acl> {
  // Only acl-store.ts writes this section.
  for (const [, record] of section.entries()) yield record as Acl;
}

/** What one principal may do from one address. */
export class SubjectAccess {
  readonly principal: Principal;
  readonly subject: Subject;
  /** No rule concerns it. */
  readonly isSuper: boolean;
  /** It made room for others: it still decides, but remembers nothing. */
  dropped = false;
  readonly #authorizer: Authorizer;
  readonly #byType = new Map<ResourceType, Map<string, OperationBits>>();
  readonly #onAny = new Map<string, boolean>();

  constructor(authorizer: Authorizer, principal: Principal, subject: Subject, isSuper: boolean) {
    this.#authorizer = authorizer;
    this.principal = principal;
    this.subject = subject;
    this.isSuper = isSuper;
  }

  may(operation: Operation, type: ResourceType, name: string): boolean {
    return this.isSuper || (this.#operations(type, name) & bitOf(operation)) !== 0;
  }

  mayOnAny(operation: Operation, type: ResourceType): boolean {
    if (this.isSuper) return true;
    // Before the look-up: it forgets what was decided by other rules.
    const index = this.#authorizer.index();
    const key = `${type} ${operation}`;
    const known = this.#onAny.get(key);
    if (known !== undefined) return known;
    const decided = index.allowsOnAny(this.subject, type, operation);
    if (!this.dropped) this.#onAny.set(key, decided);
    return decided;
  }

  /** For one request, of which the audit log shall know. */
  forRequest(request: string): Access {
    return this.isSuper ? UNLIMITED : new RequestAccess(this, this.#authorizer.denials, request);
  }

  forget(): void {
    this.#byType.clear();
    this.#onAny.clear();
  }

  drop(): void {
    this.dropped = true;
    this.forget();
  }

  #operations(type: ResourceType, name: string): OperationBits {
    const index = this.#authorizer.index();
    let byName = this.#byType.get(type);
    const known = byName?.get(name);
    if (known !== undefined) return known;
    const decided = index.operations(this.subject, type, name);
    if (this.dropped || name.length > REMEMBERED_NAME_CHARS_MAX) return decided;
    if (byName === undefined) this.#byType.set(type, (byName = new Map()));
    byName.set(name, decided);
    this.#authorizer.remembered();
    return decided;
  }
}

class RequestAccess implements Access {
  readonly isUnlimited = false;
  readonly #subject: SubjectAccess;
  readonly #denials: Denials;
  readonly #request: string;

  constructor(subject: SubjectAccess, denials: Denials, request: string) {
    this.#subject = subject;
    this.#denials = denials;
    this.#request = request;
  }

  allows(operation: Operation, type: ResourceType, name: string): boolean {
    return this.#subject.may(operation, type, name) || this.#deny(operation, type, name);
  }

  shows(operation: Operation, type: ResourceType, name: string): boolean {
    return this.#subject.may(operation, type, name);
  }

  allowsOnAny(operation: Operation, type: ResourceType): boolean {
    return this.#subject.mayOnAny(operation, type) || this.#deny(operation, type, WILDCARD);
  }

  #deny(operation: Operation, resourceType: ResourceType, resourceName: string): false {
    const { subject } = this.#subject;
    this.#denials.add({ subject, operation, resourceType, resourceName, request: this.#request });
    return false;
  }
}

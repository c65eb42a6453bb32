import type { ClusterImage } from '../../cluster/image.ts';
import type { ErrorName } from '../../errors.ts';
import { CLUSTER_NAME, type Operation, type ResourceType } from '../../security/acl.core.ts';
import type { Access } from '../../security/types.ts';

/*
 * What the table of authorization.ts is made of. A rule is a list of steps that run between decoding and handling, each on what the ones before
 * it have left of the request; and a filter, which runs on the answer.
 */

export type AuthorizationError = Extract<ErrorName, `${string}AUTHORIZATION_FAILED`>;

/** What steps and filters may look at. */
export interface Facts {
  readonly access: Access;
  readonly version: number;
  readonly image: ClusterImage;
  /** `auto.create.topics.enable`. */
  readonly autoCreateTopics: boolean;
}

/** How a missing permission shows. */
export type Refusal =
  /** The request fails as a whole. */
  | 'request'
  /** Its entry in the answer carries the error; the others are served. */
  | 'entry'
  /** The answer is as if it were not there. */
  | 'left out';

/** One line of the table, for people and tests. */
export interface Check {
  readonly operation: Operation;
  readonly resource: ResourceType;
  readonly refusal: Refusal;
  /** Where it is asked only at times: when. */
  readonly when?: string;
}

/** A part of the request that is refused, or the answer to it where the handler's `failure` says it in another way. */
export type Refused<Q, S> =
  | { readonly request: Q; readonly error: AuthorizationError }
  | { readonly answer: S };

/** Undefined goes on; an error fails the request as a whole. */
export type Verdict<Q, S> =
  | undefined
  | AuthorizationError
  | {
      /** Undefined if nothing is left for the handler to do. */
      readonly left: Q | undefined;
      readonly refused: readonly Refused<Q, S>[];
    };

export interface Step<Q, S> {
  readonly checks: readonly Check[];
  judge(request: Q, facts: Facts): Verdict<Q, S>;
}

/** What the principal may see of an answer. */
export interface Filter<Q, S> {
  readonly checks: readonly Check[];
  /** `request` is the whole one. */
  apply(answer: S, request: Q, facts: Facts): S;
}

export interface Rule<Q, S> {
  readonly steps: readonly Step<Q, S>[];
  /** The handler's answer with that to what was refused; for rules whose steps take parts out of requests. */
  readonly merge?: (answer: S, refused: S) => S;
  readonly filter?: Filter<Q, S>;
  /** Checks that the handler makes with `exchange.access`, for which the request does not say enough. */
  readonly inHandler?: readonly Check[];
  /** Whether the request is not answered, so that an error in it can only close the connection. */
  readonly isSilent?: (request: Q) => boolean;
}

const ERRORS: Readonly<Partial<Record<ResourceType, AuthorizationError>>> = {
  TOPIC: 'TOPIC_AUTHORIZATION_FAILED',
  GROUP: 'GROUP_AUTHORIZATION_FAILED',
  CLUSTER: 'CLUSTER_AUTHORIZATION_FAILED',
  TRANSACTIONAL_ID: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
};

export function errorFor(resource: ResourceType): AuthorizationError {
  const error = ERRORS[resource];
  if (error === undefined) throw new Error(`no API asks for the resource type ${resource} yet`);
  return error;
}

/** The request needs a permission on one resource. */
export function one<Q, S>(
  operation: Operation,
  resource: ResourceType,
  nameOf: (request: Q) => string,
): Step<Q, S> {
  const error = errorFor(resource);
  return {
    checks: [{ operation, resource, refusal: 'request' }],
    judge: (request, { access }) => (access.allows(operation, resource, nameOf(request)) ? undefined : error),
  };
}

export function onCluster<Q, S>(operation: Operation): Step<Q, S> {
  return one(operation, 'CLUSTER', () => CLUSTER_NAME);
}

/** Which of the request's lists has the entries, and why one of them is refused. */
export interface Entries<Q, I> {
  readonly checks: readonly Check[];
  readonly of: (request: Q) => readonly I[];
  /** The request with these entries only. */
  readonly with: (request: Q, entries: readonly I[]) => Q;
  readonly refusal: (entry: I, facts: Facts, request: Q) => AuthorizationError | undefined;
}

/** Each entry needs its own permission: those without it are taken out, and answered with the handler's `failure`. */
export function eachEntry<Q, S, I>(entries: Entries<Q, I>): Step<Q, S> {
  return {
    checks: entries.checks,
    judge(request, facts) {
      const all = entries.of(request);
      let refused: Map<AuthorizationError, I[]> | undefined;
      let left: I[] = [];
      for (let index = 0; index < all.length; index++) {
        const entry = all[index]!;
        const error = entries.refusal(entry, facts, request);
        if (error === undefined) {
          if (refused !== undefined) left.push(entry);
          continue;
        }
        if (refused === undefined) {
          refused = new Map();
          left = all.slice(0, index);
        }
        const others = refused.get(error);
        if (others === undefined) refused.set(error, [entry]);
        else others.push(entry);
      }
      if (refused === undefined) return undefined;
      return {
        left: left.length === 0 ? undefined : entries.with(request, left),
        refused: [...refused].map(([error, part]) => ({ request: entries.with(request, part), error })),
      };
    },
  };
}

/** The usual case of {@link eachEntry}: an operation on the resource that the entry names. */
export function eachNamed<Q, S, I>(
  operation: Operation,
  resource: ResourceType,
  entries: Pick<Entries<Q, I>, 'of' | 'with'> & {
    /** Undefined: it names none that exists, and the handler says so. */
    readonly nameOf: (entry: I, facts: Facts) => string | undefined;
  },
): Step<Q, S> {
  const error = errorFor(resource);
  return eachEntry<Q, S, I>({
    of: entries.of,
    with: entries.with,
    checks: [{ operation, resource, refusal: 'entry' }],
    refusal: (entry, facts) => {
      const name = entries.nameOf(entry, facts);
      return name === undefined || facts.access.allows(operation, resource, name) ? undefined : error;
    },
  });
}

/** A `merge` for answers whose entries stand in one list. */
export function appended<K extends string>(
  key: K,
): <S extends { readonly [N in K]?: readonly unknown[] | undefined }>(answer: S, refused: S) => S {
  return (answer, refused) => ({ ...answer, [key]: [...(answer[key] ?? []), ...(refused[key] ?? [])] });
}

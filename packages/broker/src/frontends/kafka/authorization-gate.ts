import type { ClusterImage } from '../../cluster/image.ts';
import { BrokerError } from '../../errors.ts';
import type { Authorizer, SubjectAccess } from '../../security/authorizer.ts';
import type { Principal } from '../../security/principal.ts';
import type { AuthorizationError, Facts, Refused } from './authorization-steps.ts';
import { ruleOf, type AnyRule } from './authorization.ts';
import { errorCodeOf } from './errors.ts';
import type { ExchangeOwner, PendingExchange } from './exchange.ts';

const MESSAGES: Readonly<Record<AuthorizationError, string>> = {
  TOPIC_AUTHORIZATION_FAILED: 'No access rule allows this with the topic',
  GROUP_AUTHORIZATION_FAILED: 'No access rule allows this with the group',
  CLUSTER_AUTHORIZATION_FAILED: 'No access rule allows this with the cluster',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'No access rule allows this with the transactional id',
};

export interface AuthorizationGateOptions {
  readonly authorizer: Authorizer;
  readonly image: () => ClusterImage;
  readonly autoCreateTopics: boolean;
}

/** Stands between decoding and handling where access rules are in force: a handler is asked for what its client may do, and no more. */
export class AuthorizationGate {
  readonly #options: AuthorizationGateOptions;

  constructor(options: AuthorizationGateOptions) {
    this.#options = options;
  }

  /** Answers the request, or lets its handler do so for what is left of it. */
  admit(owner: ExchangeOwner, exchange: PendingExchange, request: unknown): void {
    const subject = this.#subjectOf(owner);
    if (subject.isSuper) {
      exchange.run(request);
      return;
    }
    try {
      this.#decide(subject, exchange, request);
    } catch (error) {
      owner.broken(error, exchange);
    }
  }

  #decide(subject: SubjectAccess, exchange: PendingExchange, request: unknown): void {
    const { api } = exchange.handler;
    const facts: Facts = {
      access: (exchange.access = subject.forRequest(api.name)),
      version: exchange.version,
      image: this.#options.image(),
      autoCreateTopics: this.#options.autoCreateTopics,
    };
    const rule = ruleOf(api);
    const verdict = judge(rule, request, facts);
    if (typeof verdict === 'string') refuseWhole(exchange, rule, request, verdict);
    else if (verdict.refused.length > 0) serveRest(exchange, rule, request, verdict, facts);
    else {
      const { filter } = rule;
      if (filter !== undefined) exchange.reshape = (answer) => filter.apply(answer, request, facts);
      exchange.run(request);
    }
  }

  #subjectOf(owner: ExchangeOwner): SubjectAccess {
    const { principal, remoteAddress } = owner.facts;
    const known = owner.subject;
    if (known !== undefined && isSame(known.principal, principal) && !known.dropped) return known;
    const subject = this.#options.authorizer.subject(principal, remoteAddress);
    owner.subject = subject;
    return subject;
  }
}

/** Connections of one principal share what is known of it, and each login has made its own. */
function isSame(left: Principal, right: Principal): boolean {
  return left === right || (left.name === right.name && left.type === right.type);
}

const SILENT_REFUSAL = 'a request that wants no answer was refused, in part or as a whole';

function refuseWhole(
  exchange: PendingExchange,
  { isSilent }: AnyRule,
  request: unknown,
  error: AuthorizationError,
): void {
  if (isSilent?.(request) === true) exchange.closeConnection(SILENT_REFUSAL);
  else exchange.refuse(request, new BrokerError(error, MESSAGES[error]));
}

interface Parts {
  readonly left: unknown;
  readonly refused: readonly Refused<unknown, unknown>[];
}

function judge(rule: AnyRule, request: unknown, facts: Facts): AuthorizationError | Parts {
  let left: unknown = request;
  let refused: Refused<unknown, unknown>[] = [];
  for (const step of rule.steps) {
    const verdict = step.judge(left, facts);
    if (verdict === undefined) continue;
    if (typeof verdict === 'string') return verdict;
    refused = refused.concat(verdict.refused);
    left = verdict.left;
    if (left === undefined) break;
  }
  return { left, refused };
}

function serveRest(
  exchange: PendingExchange,
  { merge, filter, isSilent }: AnyRule,
  request: unknown,
  { left, refused }: Parts,
  facts: Facts,
): void {
  const { handler, version } = exchange;
  if (isSilent?.(request) === true) {
    // Nobody reads an answer, but a closed connection makes the client look.
    exchange.closesAfterwards = SILENT_REFUSAL;
    if (left === undefined) exchange.respondNothing();
    else exchange.run(left);
    return;
  }
  if (merge === undefined) throw new Error(`${handler.api.name}: parts are refused, and nothing merges them`);
  const answers = refused.map((part) =>
    'answer' in part
      ? part.answer
      : handler.failure(part.request, errorCodeOf(part.error), MESSAGES[part.error], version),
  );
  if (left === undefined) {
    exchange.respond(answers.reduce((answer, next) => merge(answer, next)));
    return;
  }
  exchange.reshape = (answer) => {
    const seen = filter === undefined ? answer : filter.apply(answer, request, facts);
    return answers.reduce((merged, next) => merge(merged, next), seen);
  };
  exchange.run(left);
}

import type { Metrics } from '../metrics/types.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import { LogLimiter } from '../platform/log-limiter.ts';
import type { Operation, ResourceType } from './acl.core.ts';
import type { Subject } from './acl-index.core.ts';

export interface Denial {
  readonly subject: Subject;
  readonly operation: Operation;
  readonly resourceType: ResourceType;
  readonly resourceName: string;
  /** The API, command or method that asked. */
  readonly request: string;
}

/** The audit log and the count of what was refused. */
export class Denials {
  readonly #log: LogLimiter;
  readonly #counts = new Map<ResourceType, Map<Operation, number>>();

  constructor(clock: Clock, logger: Logger) {
    this.#log = new LogLimiter(clock, logger, 'denied access');
  }

  add({ subject, operation, resourceType, resourceName, request }: Denial): void {
    let counts = this.#counts.get(resourceType);
    if (counts === undefined) this.#counts.set(resourceType, (counts = new Map()));
    counts.set(operation, (counts.get(operation) ?? 0) + 1);
    const { principal, host } = subject;
    this.#log.warn({ principal, host, operation, resourceType, resourceName, request }, 'access denied');
  }

  count(resourceType: ResourceType, operation: Operation): number {
    return this.#counts.get(resourceType)?.get(operation) ?? 0;
  }

  describe(metrics: Metrics): void {
    metrics.counters({
      name: 'authorization_denials_total',
      help: 'Uses of a resource that access rules refused',
      labels: ['resource_type', 'operation'],
      read: (add) => {
        for (const [resourceType, counts] of this.#counts) {
          for (const [operation, count] of counts) add(count, resourceType, operation);
        }
      },
    });
  }
}

import type { ErrorName } from '../../../src/errors.ts';
import type { AddPartitionsRequest, TransactionVerifier } from '../../../src/topics/transaction-verifier.ts';

/** A coordinator that notes what it is asked, and answers all partitions alike. */
export class FakeCoordinator implements TransactionVerifier {
  readonly asked: AddPartitionsRequest[] = [];
  /** One after the other; undefined agrees. The last one stays. */
  answers: (ErrorName | undefined)[] = [undefined];
  /** Awaited before an answer. */
  pause: Promise<void> = Promise.resolve();

  async addPartitions(request: AddPartitionsRequest): Promise<ReadonlyMap<string, ErrorName>> {
    this.asked.push(request);
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    await this.pause;
    if (answer === undefined) return new Map();
    return new Map(request.partitions.map(({ topic, partition }) => [`${topic}-${partition}`, answer]));
  }
}

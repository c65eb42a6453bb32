import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startKafkaTool } from '../peers/kafka.ts';

const STOP_DEADLINE_MS = 30_000;

export interface JavaConsumerOptions {
  readonly address: string;
  readonly topic: string;
  readonly groupId: string;
  /** `consumer` is that of KIP-848, where the broker assigns. */
  readonly protocol: 'classic' | 'consumer';
  readonly instanceId?: string;
}

interface Event {
  readonly name: string;
  readonly partitions?: readonly {
    readonly partition: number;
    readonly minOffset?: number;
    readonly maxOffset?: number;
  }[];
}

/** Kafka's VerifiableConsumer in a JVM of its own: what it has of one topic, and what it has read. */
export class JavaConsumer {
  readonly assigned = new Set<number>();
  /** Ranges of offsets that it has read, in their order. */
  readonly consumed: { readonly partition: number; readonly from: number; readonly to: number }[] = [];
  readonly #child: ReturnType<typeof startKafkaTool>;
  readonly #exited: Promise<unknown>;

  constructor({ address, topic, groupId, protocol, instanceId }: JavaConsumerOptions) {
    const classic = [
      '--assignment-strategy',
      'org.apache.kafka.clients.consumer.CooperativeStickyAssignor',
      '--session-timeout',
      '6000',
    ];
    this.#child = startKafkaTool('verifiableConsumer', [
      '--bootstrap-server',
      address,
      '--topic',
      topic,
      '--group-id',
      groupId,
      '--group-protocol',
      protocol,
      '--reset-policy',
      'earliest',
      ...(protocol === 'classic' ? classic : []),
      ...(instanceId === undefined ? [] : ['--group-instance-id', instanceId]),
    ]);
    this.#exited = once(this.#child, 'exit');
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) this.#heard(JSON.parse(line) as Event);
    });
    // Nobody looks at it, and a full pipe would stop the client.
    this.#child.stderr?.resume();
  }

  #heard({ name, partitions = [] }: Event): void {
    switch (name) {
      case 'partitions_assigned':
        for (const { partition } of partitions) this.assigned.add(partition);
        break;
      case 'partitions_revoked':
        for (const { partition } of partitions) this.assigned.delete(partition);
        break;
      case 'records_consumed':
        for (const { partition, minOffset = -1, maxOffset = -1 } of partitions) {
          this.consumed.push({ partition, from: minOffset, to: maxOffset });
        }
        break;
      default:
    }
  }

  /** It leaves its group. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.#exited;
    clearTimeout(timer);
    this.assigned.clear();
  }

  /** It says nothing any more. */
  async crash(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
    this.assigned.clear();
  }
}

/** A distributed worker of Kafka Connect with a file source and a file sink, over REST. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { JavaProgram } from '../clients/java-program.ts';
import { freePorts } from '../peers/ports.ts';

const REQUEST_DEADLINE_MS = 30_000;
const READY_DEADLINE_MS = 120_000;
const POLL_MS = 250;

export const CONNECT_PEERS = ['java', 'kafka-jars', 'kafka-app-jars', 'kcat'] as const;

/** What a broker that serves it is told: a worker that was killed is noticed soon, and its transaction ends soon. */
export const CONNECT_SETTINGS = {
  'group.min.session.timeout.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.num.partitions': '4',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
};

export interface ConnectFiles {
  readonly source: string;
  readonly sink: string;
  readonly topic: string;
}

interface Status {
  readonly connector: { readonly state: string };
  readonly tasks: readonly { readonly id: number; readonly state: string; readonly trace?: string }[];
}

/** Keeps its REST port over restarts. */
export class ConnectWorker {
  readonly program: JavaProgram;
  readonly #rest: string;
  readonly #files: ConnectFiles;
  /** Tasks that failed and were started again, with the first lines of why. */
  readonly restarts: string[] = [];

  private constructor(program: JavaProgram, rest: string, files: ConnectFiles) {
    this.program = program;
    this.#rest = rest;
    this.#files = files;
  }

  static async create(address: string, folder: string, files: ConnectFiles): Promise<ConnectWorker> {
    const [port = 0] = await freePorts(1);
    const rest = `http://127.0.0.1:${port}`;
    const properties = path.join(folder, 'worker.properties');
    const settings = Object.entries(workerSettings(address, rest));
    writeFileSync(properties, settings.map(([name, value]) => `${name}=${value}\n`).join(''));
    const main = 'org.apache.kafka.connect.cli.ConnectDistributed';
    return new ConnectWorker(new JavaProgram({ main, args: [properties] }), rest, files);
  }

  /** Starts it for the first time, and resolves when both connectors run. */
  async start(): Promise<void> {
    this.program.start();
    const { source, sink, topic } = this.#files;
    const file = 'org.apache.kafka.connect.file';
    const common = { 'tasks.max': '1' };
    await this.#configure('source', {
      ...common,
      'connector.class': `${file}.FileStreamSourceConnector`,
      'exactly.once.support': 'required',
      file: source,
      topic,
    });
    await this.#configure('sink', {
      ...common,
      'connector.class': `${file}.FileStreamSinkConnector`,
      file: sink,
      topics: topic,
    });
    await this.#until(() => this.isRunning(), 'the connectors do not run');
  }

  /** Whether both connectors have a task that runs. Tasks that have failed are started again: Connect leaves that to whoever operates it. */
  async isRunning(): Promise<boolean> {
    if (!this.program.isRunning) this.program.start();
    let running = true;
    for (const name of ['source', 'sink']) {
      const status = (await this.#ask('GET', `connectors/${name}/status`)) as Status | undefined;
      if (status === undefined) return false;
      const failed = status.tasks.find(({ state }) => state === 'FAILED');
      if (failed !== undefined || status.connector.state === 'FAILED') {
        this.restarts.push(`${name}: ${failed?.trace?.split('\n').slice(0, 3).join(' | ') ?? 'connector'}`);
        await this.#ask('POST', `connectors/${name}/restart?includeTasks=true&onlyFailed=true`);
        running = false;
      } else if (status.tasks.length === 0 || status.tasks.some(({ state }) => state !== 'RUNNING')) {
        running = false;
      }
    }
    return running;
  }

  #configure(name: string, settings: Readonly<Record<string, string>>): Promise<void> {
    const put = async (): Promise<boolean> =>
      (await this.#ask('PUT', `connectors/${name}/config`, settings)) !== undefined;
    return this.#until(put, `the connector ${name} is not taken`);
  }

  /** Undefined while the worker does not answer, or is between two generations of its group. */
  async #ask(method: string, at: string, body?: unknown): Promise<unknown> {
    try {
      const response = await fetch(`${this.#rest}/${at}`, {
        method,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) return text === '' ? {} : JSON.parse(text);
      if (response.status < 500 && ![404, 409].includes(response.status)) {
        throw new Error(`${method} ${at}: ${response.status} ${text}`);
      }
      return undefined;
    } catch (error) {
      if (error instanceof TypeError || (error instanceof DOMException && error.name === 'TimeoutError'))
        return undefined;
      throw error;
    }
  }

  async #until(condition: () => Promise<boolean>, otherwise: string): Promise<void> {
    const startedMs = performance.now();
    while (!(await condition())) {
      if (performance.now() - startedMs > READY_DEADLINE_MS) {
        throw new Error(
          `${otherwise} after ${READY_DEADLINE_MS} ms\n${this.program.lines.slice(-60).join('\n')}`,
        );
      }
      await sleep(POLL_MS);
    }
  }
}

function workerSettings(address: string, rest: string): Record<string, string> {
  return {
    'bootstrap.servers': address,
    'group.id': 'connect',
    listeners: rest,
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'config.storage.topic': 'connect-configs',
    'offset.storage.topic': 'connect-offsets',
    'status.storage.topic': 'connect-status',
    'config.storage.replication.factor': '1',
    'offset.storage.replication.factor': '1',
    'status.storage.replication.factor': '1',
    'offset.storage.partitions': '2',
    'status.storage.partitions': '1',
    'offset.flush.interval.ms': '1000',
    'exactly.once.source.support': 'enabled',
    // The connectors are on the class path.
    'plugin.discovery': 'service_load',
    // Who comes back gets its tasks at once.
    'scheduled.rebalance.max.delay.ms': '0',
    'session.timeout.ms': '4000',
    'heartbeat.interval.ms': '1000',
    'consumer.isolation.level': 'read_committed',
    'consumer.session.timeout.ms': '4000',
    'consumer.heartbeat.interval.ms': '1000',
    'producer.transaction.timeout.ms': '6000',
  };
}

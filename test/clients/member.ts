/**
 * Members of a consumer group, each a stock client in a process of its own, so that it can leave (SIGTERM), crash (SIGKILL)
 * and stall (SIGSTOP) as a machine's programs do. Each commits only what it has printed: what it consumed before it died and
 * did not print is consumed again by another member.
 */
import type { SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startKafkaTool } from '../peers/kafka.ts';
import { DEBIAN_PYTHON, type PeerName } from '../peers/peers.ts';
import { start } from '../peers/process.ts';

const FOLDER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'members');
const LEAVE_DEADLINE_MS = 20_000;
const END_DEADLINE_MS = 20_000;
const NOTES_MAX = 100;

export interface MemberOptions {
  readonly address: string;
  readonly topic: string;
  readonly groupId: string;
  /** Kafka's name of the protocol that all members of the group share. */
  readonly assignor: 'range' | 'roundrobin' | 'cooperative-sticky';
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatMs: number;
  /** `consumer` is that of KIP-848: the broker assigns, and says how often it wants to be told that a member lives. */
  readonly protocol?: 'classic' | 'consumer';
  /** group.instance.id: a static member (KIP-345); neither KafkaJS nor python3-kafka has it. */
  readonly instanceId?: string;
}

interface Program {
  readonly peers: readonly PeerName[];
  readonly start: (settings: MemberOptions & { readonly clientId: string }) => ReturnType<typeof start>;
}

const PIPES: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] };

function node(file: string): Program['start'] {
  return (settings) => start(process.execPath, [path.join(FOLDER, file), JSON.stringify(settings)], PIPES);
}

function python(file: string): Program['start'] {
  return (settings) => start(DEBIAN_PYTHON, [path.join(FOLDER, file), JSON.stringify(settings)], PIPES);
}

const JAVA_ASSIGNORS = {
  range: 'RangeAssignor',
  roundrobin: 'RoundRobinAssignor',
  'cooperative-sticky': 'CooperativeStickyAssignor',
} as const;

const PROGRAMS = {
  kafkajs: { peers: [], start: node('kafkajs-member.ts') },
  platformatic: { peers: [], start: node('platformatic-member.ts') },
  'python-kafka': { peers: ['python3-kafka'], start: python('python_kafka_member.py') },
  librdkafka: { peers: ['python3-confluent-kafka'], start: python('librdkafka_member.py') },
  kcat: { peers: ['kcat'], start: startKcat },
  java: { peers: ['java', 'kafka-jars'], start: startConsoleConsumer },
  'java-consumer': {
    peers: ['java', 'kafka-jars'],
    start: (settings) => startConsoleConsumer({ ...settings, protocol: 'consumer' }),
  },
} satisfies Record<string, Program>;

export type MemberKind = keyof typeof PROGRAMS;

export const MEMBER_KINDS = Object.keys(PROGRAMS) as readonly MemberKind[];

/** The stock clients that members of these kinds need. */
export function peersOf(kinds: readonly MemberKind[]): PeerName[] {
  return [...new Set(kinds.flatMap((kind): readonly PeerName[] => PROGRAMS[kind].peers))];
}

function startKcat(settings: MemberOptions & { clientId: string }): ReturnType<typeof start> {
  const conf = {
    'client.id': settings.clientId,
    'partition.assignment.strategy': settings.assignor,
    'session.timeout.ms': settings.sessionTimeoutMs,
    'heartbeat.interval.ms': settings.heartbeatMs,
    'max.poll.interval.ms': settings.rebalanceTimeoutMs,
    'auto.offset.reset': 'earliest',
    'auto.commit.interval.ms': 200,
    'fetch.wait.max.ms': 200,
    'reconnect.backoff.ms': 50,
    'reconnect.backoff.max.ms': 500,
    ...(settings.instanceId === undefined ? {} : { 'group.instance.id': settings.instanceId }),
  };
  const flags = Object.entries(conf).flatMap(([name, value]) => ['-X', `${name}=${value}`]);
  const format = ['-u', '-f', String.raw`record %p %o\n`];
  return start(
    'kcat',
    ['-b', settings.address, ...flags, ...format, '-G', settings.groupId, settings.topic],
    PIPES,
  );
}

function startConsoleConsumer(settings: MemberOptions & { clientId: string }): ReturnType<typeof start> {
  const classic = {
    'partition.assignment.strategy': `org.apache.kafka.clients.consumer.${JAVA_ASSIGNORS[settings.assignor]}`,
    'session.timeout.ms': settings.sessionTimeoutMs,
    'heartbeat.interval.ms': settings.heartbeatMs,
  };
  const conf = {
    'client.id': settings.clientId,
    ...(settings.protocol === 'consumer' ? { 'group.protocol': 'consumer' } : classic),
    'max.poll.interval.ms': settings.rebalanceTimeoutMs,
    'auto.offset.reset': 'earliest',
    'auto.commit.interval.ms': 200,
    'fetch.max.wait.ms': 200,
    'reconnect.backoff.max.ms': 500,
    ...(settings.instanceId === undefined ? {} : { 'group.instance.id': settings.instanceId }),
  };
  const flags = Object.entries(conf).flatMap(([name, value]) => ['--command-property', `${name}=${value}`]);
  const shown = { 'print.partition': true, 'print.offset': true, 'print.value': false };
  const formats = Object.entries(shown).flatMap(([name, value]) => [
    '--formatter-property',
    `${name}=${value}`,
  ]);
  const { address, topic, groupId } = settings;
  const where = ['--bootstrap-server', address, '--topic', topic, '--group', groupId];
  return startKafkaTool('consoleConsumer', [...where, ...flags, ...formats]);
}

/** `record PARTITION OFFSET`, `committed PARTITION OFFSET` once that is acknowledged, `note TEXT`; the console consumer has its format. */
const LINE = /^(?:(record|committed) (\d+) (\d+)|Partition:(\d+)\tOffset:(\d+))$/;

export interface MemberEvents {
  /** A record was consumed. */
  readonly record: (partition: number, offset: number) => void;
  /** The broker has acknowledged a commit: of the next offset to consume. kcat, java and python-kafka do not tell. */
  readonly committed?: (partition: number, offset: number) => void;
}

export class Member {
  readonly kind: MemberKind;
  readonly name: string;
  readonly clientId: string;
  /** Whatever it printed besides records, at most 100 lines. */
  readonly notes: string[] = [];
  records = 0;
  readonly #child: ReturnType<typeof start>;
  readonly #closed: Promise<unknown>;

  private constructor(
    kind: MemberKind,
    names: { readonly name: string; readonly clientId: string },
    child: ReturnType<typeof start>,
    events: MemberEvents,
  ) {
    this.kind = kind;
    this.name = names.name;
    this.clientId = names.clientId;
    this.#child = child;
    this.#closed = once(child, 'close');
    const note = (line: string): void => {
      if (line.trim() !== '' && this.notes.length < NOTES_MAX) this.notes.push(line);
    };
    createInterface({ input: child.stderr! }).on('line', note);
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const [matched, word = 'record', partition, offset, javaPartition, javaOffset] = LINE.exec(line) ?? [];
      if (matched === undefined) return note(line);
      const at = [Number(partition ?? javaPartition), Number(offset ?? javaOffset)] as const;
      if (word === 'committed') return events.committed?.(...at);
      this.records++;
      events.record(...at);
    });
  }

  /** The name is its client.id, unless it is a static member: of those the group knows the client.id of the first process. */
  static start(kind: MemberKind, name: string, options: MemberOptions, events: MemberEvents): Member {
    const clientId = options.instanceId ?? name;
    return new Member(kind, { name, clientId }, PROGRAMS[kind].start({ ...options, clientId }), events);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Asks it to end: it commits, leaves the group and ends. Throws with its output if it does not. */
  async leave(): Promise<void> {
    if (await this.tryToLeave(LEAVE_DEADLINE_MS)) return;
    throw new Error(`${this.name} did not leave within ${LEAVE_DEADLINE_MS} ms\n${this.notes.join('\n')}`);
  }

  /** Asks it to end, and kills it if it has not after so long: false then. */
  async tryToLeave(deadlineMs: number): Promise<boolean> {
    this.#child.kill('SIGTERM');
    const late = sleep(deadlineMs, 'late' as const, { ref: false });
    if ((await Promise.race([this.#closed, late])) !== 'late') return true;
    await this.crash();
    return false;
  }

  /** kill -9. What it had printed is still read. */
  async crash(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  /** Waits until it ends by itself. Throws with its output if it does not. */
  async ended(): Promise<void> {
    const late = sleep(END_DEADLINE_MS, 'late' as const, { ref: false });
    if ((await Promise.race([this.#closed, late])) !== 'late') return;
    throw new Error(`${this.name} has not ended after ${END_DEADLINE_MS} ms\n${this.notes.join('\n')}`);
  }

  /** The process stands still, and its connections stay open. */
  stall(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }
}

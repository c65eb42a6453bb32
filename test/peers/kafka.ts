/** Apache Kafka from its jars: the broker itself, as a reference to compare with, and its command-line tools. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KAFKA_APP_LIBS, KAFKA_LIBS } from './kafka-jars.ts';
import { freePorts } from './ports.ts';
import { run, runOk, start, type RunOptions, type RunResult } from './process.ts';

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 30_000;
const TOOL_DEADLINE_MS = 120_000;
const HEAP = '-Xmx1g';

const LOG4J_ERRORS_TO_STDERR = `
Configuration:
  Appenders:
    Console:
      name: STDERR
      target: SYSTEM_ERR
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        ref: STDERR
`;

export const KAFKA_TOOLS = {
  consoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  consoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  dumpLogSegments: 'org.apache.kafka.tools.DumpLogSegments',
  topics: 'org.apache.kafka.tools.TopicCommand',
  configs: 'kafka.admin.ConfigCommand',
  consumerGroups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  getOffsets: 'org.apache.kafka.tools.GetOffsetShell',
  deleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
  logDirs: 'org.apache.kafka.tools.LogDirsCommand',
  acls: 'org.apache.kafka.tools.AclCommand',
  transactions: 'org.apache.kafka.tools.TransactionsCommand',
  transactionalMessageCopier: 'org.apache.kafka.tools.TransactionalMessageCopier',
  features: 'org.apache.kafka.tools.FeatureCommand',
  brokerApiVersions: 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  cluster: 'org.apache.kafka.tools.ClusterTool',
  leaderElection: 'org.apache.kafka.tools.LeaderElectionCommand',
  reassignPartitions: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  groups: 'org.apache.kafka.tools.GroupsCommand',
  verifiableConsumer: 'org.apache.kafka.tools.VerifiableConsumer',
  verifiableProducer: 'org.apache.kafka.tools.VerifiableProducer',
  producerPerformance: 'org.apache.kafka.tools.ProducerPerformance',
  consumerPerformance: 'org.apache.kafka.tools.ConsumerPerformance',
  endToEndLatency: 'org.apache.kafka.tools.EndToEndLatency',
} as const;

/** Runs one of Kafka's tools to its end; warnings and errors of its log are on stderr. */
export async function runKafkaTool(
  tool: keyof typeof KAFKA_TOOLS,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-java-'));
  try {
    return await run('java', [...javaArgs(folder), KAFKA_TOOLS[tool], ...args], {
      deadlineMs: TOOL_DEADLINE_MS,
      ...options,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts one of Kafka's tools that runs until it is told to end; the caller does not write to it. */
export function startKafkaTool(
  tool: keyof typeof KAFKA_TOOLS,
  args: readonly string[],
): ReturnType<typeof start> {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-java-'));
  const child = start('java', [...javaArgs(folder), KAFKA_TOOLS[tool], ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return child;
}

/**
 * The scripts of a distribution's `bin` folder, under their own names, for those who type commands.
 * @param folder where they are written; it must stay as long as they are used
 */
export function writeKafkaScripts(folder: string): void {
  const scripts = {
    'kafka-console-producer.sh': 'consoleProducer',
    'kafka-console-consumer.sh': 'consoleConsumer',
  } as const;
  for (const [name, tool] of Object.entries(scripts)) {
    const command = ['java', ...javaArgs(folder), KAFKA_TOOLS[tool]].map((word) => `'${word}'`).join(' ');
    writeFileSync(path.join(folder, name), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  }
}

/** Tools and tests live for seconds: the serial collector and the first compiler halve what they cost on two cores. */
const QUICK_JVM = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];
const TOOL_JVM = [...QUICK_JVM, HEAP];
/** An application has little to do. */
const APP_JVM = [...QUICK_JVM, '-Xmx256m'];

function javaArgs(
  folder: string,
  jvm: readonly string[] = TOOL_JVM,
  classPath: readonly string[] = [],
): string[] {
  const log4j = path.join(folder, 'log4j2.yaml');
  writeFileSync(log4j, LOG4J_ERRORS_TO_STDERR);
  const all = [...classPath, path.join(KAFKA_LIBS, '*')].join(':');
  return [...jvm, `-Dlog4j2.configurationFile=${log4j}`, '-cp', all];
}

/** Arguments of java to run an application over Kafka Streams or Connect: its class path, its main class, its own arguments. */
export function kafkaAppArgs(
  folder: string,
  app: { readonly classPath?: readonly string[]; readonly main: string; readonly args: readonly string[] },
): string[] {
  const classPath = [...(app.classPath ?? []), path.join(KAFKA_APP_LIBS, '*')];
  return [...javaArgs(folder, APP_JVM, classPath), app.main, ...app.args];
}

/** The same for a program over Kafka's tools and clients. */
export function kafkaProgramArgs(
  folder: string,
  program: { readonly classPath: readonly string[]; readonly main: string; readonly args: readonly string[] },
): string[] {
  return [...javaArgs(folder, APP_JVM, program.classPath), program.main, ...program.args];
}

/** What kafka-run-class.sh gives to each JVM, for measurements. */
const SERVER_JVM = [
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-Djava.awt.headless=true',
];
/** As kafka-server-start.sh has it, */
const SERVER_HEAP = ['-Xms1g', HEAP];
/** and kafka-producer-perf-test.sh and its like. */
const PERFORMANCE_TOOL_HEAP = '-Xmx512m';

/** Arguments of java to run one of Kafka's performance tools as its own script would. */
export function performanceToolArgs(
  tool: keyof typeof KAFKA_TOOLS,
  args: readonly string[],
  folder: string,
): string[] {
  return [...javaArgs(folder, [...SERVER_JVM, PERFORMANCE_TOOL_HEAP]), KAFKA_TOOLS[tool], ...args];
}

export interface ApacheKafkaOptions {
  /** Kafka's broker settings, added to what a single node needs. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Beside the plain one, such as `SSL://127.0.0.1:9093`. */
  readonly listeners?: readonly string[];
}

interface PreparedKafka {
  readonly port: number;
  /** Arguments of java that run the broker. */
  readonly args: readonly string[];
}

/** Formats an empty folder as the data of a node on free ports. */
export async function prepareKafka(
  folder: string,
  {
    settings = {},
    listeners = [],
    forSpeed = false,
  }: ApacheKafkaOptions & { readonly forSpeed?: boolean } = {},
): Promise<PreparedKafka> {
  const [port = 0, controllerPort = 0] = await freePorts(2);
  const properties = path.join(folder, 'server.properties');
  const all = { ...singleNode(folder, { port, controllerPort, listeners }), ...settings };
  writeFileSync(
    properties,
    Object.entries(all)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  const java = javaArgs(folder);
  const id = (await runOk('java', [...java, 'kafka.tools.StorageTool', 'random-uuid'])).stdout.trim();
  const format = ['format', '--standalone', '-t', id, '-c', properties];
  await runOk('java', [...java, 'kafka.tools.StorageTool', ...format]);
  const jvm = forSpeed ? [...SERVER_JVM, ...SERVER_HEAP] : TOOL_JVM;
  return { port, args: [...javaArgs(folder, jvm), 'kafka.Kafka', properties] };
}

/** One Kafka node (KRaft, broker and controller in one) on free ports and a temporary folder. */
export class ApacheKafka {
  readonly kafkaAddress: string;
  readonly folder: string;
  readonly #process: ReturnType<typeof start>;
  #log = '';

  private constructor(kafkaAddress: string, folder: string, child: ReturnType<typeof start>) {
    this.kafkaAddress = kafkaAddress;
    this.folder = folder;
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    }
  }

  /** Resolves when the broker answers; throws with its log if it does not. */
  static async start(options: ApacheKafkaOptions = {}): Promise<ApacheKafka> {
    const folder = mkdtempSync(path.join(tmpdir(), 'polylog-apache-kafka-'));
    const { port, args } = await prepareKafka(folder, options);
    const child = start('java', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const kafka = new ApacheKafka(`127.0.0.1:${port}`, folder, child);
    try {
      await kafka.#untilItAnswers();
    } catch (error) {
      await kafka.stop();
      throw error;
    }
    return kafka;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => this.#process.once('exit', resolve));
      this.#process.kill('SIGTERM');
      await Promise.race([ended, sleep(STOP_DEADLINE_MS, undefined, { ref: false })]);
      this.#process.kill('SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #untilItAnswers(): Promise<void> {
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    while (performance.now() < deadlineMs) {
      if (this.#process.exitCode !== null) throw new Error(`Apache Kafka ended at its start\n${this.#log}`);
      const asked = await run('kcat', ['-b', this.kafkaAddress, '-L', '-m', '2']).catch(() => undefined);
      if (asked?.code === 0) return;
      await sleep(100);
    }
    throw new Error(`Apache Kafka did not answer within ${START_DEADLINE_MS} ms\n${this.#log}`);
  }
}

function singleNode(
  folder: string,
  ports: { readonly port: number; readonly controllerPort: number; readonly listeners: readonly string[] },
): Record<string, string> {
  const controller = `127.0.0.1:${ports.controllerPort}`;
  const plain = `PLAINTEXT://127.0.0.1:${ports.port}`;
  const listeners = [plain, ...ports.listeners, `CONTROLLER://${controller}`].join(',');
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': controller,
    'controller.listener.names': 'CONTROLLER',
    listeners,
    'advertised.listeners': listeners,
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL',
    'log.dirs': path.join(folder, 'data'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
  };
}

/**
 * A folder that looks like an unpacked Apache Kafka to the suite: `libs` with the jars from Maven, and of `bin` the scripts that tests call
 * (kafka-acls.sh, kafka-topics.sh, kafka-configs.sh, and kafka-run-class.sh for the suite's own Java clients), each with Kafka's own
 * tool behind it.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { KAFKA_LIBS } from '../../peers/kafka-jars.ts';

const SCRIPTS = {
  'kafka-acls.sh': 'org.apache.kafka.tools.AclCommand',
  'kafka-configs.sh': 'kafka.admin.ConfigCommand',
  'kafka-topics.sh': 'org.apache.kafka.tools.TopicCommand',
} as const;

/** Tools live for seconds: the serial collector and the first compiler halve what they cost. */
const JVM = '-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m';

const LOG4J = `
Configuration:
  Appenders:
    Console: { name: STDERR, target: SYSTEM_ERR, PatternLayout: { pattern: "[%d] %p %m (%c)%n" } }
  Loggers:
    Root: { level: WARN, AppenderRef: { ref: STDERR } }
`;

/** @param folder an empty folder, which must stay as long as the scripts are used; it is what KAFKA_PATH names */
export function writeKafkaHome(folder: string): void {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(KAFKA_LIBS, path.join(folder, 'libs'));
  const log4j = path.join(folder, 'log4j2.yaml');
  writeFileSync(log4j, LOG4J);
  const java = `exec java ${JVM} '-Dlog4j2.configurationFile=${log4j}'`;
  const script = (name: string, line: string): void =>
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  for (const [name, tool] of Object.entries(SCRIPTS))
    script(name, `${java} -cp '${KAFKA_LIBS}/*' ${tool} "$@"`);
  script('kafka-run-class.sh', `${java} -cp "$CLASSPATH:${KAFKA_LIBS}/*" "$@"`);
}

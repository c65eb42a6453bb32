#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { createRequire, enableCompileCache, flushCompileCache } from 'node:module';
import process from 'node:process';

import type { Broker } from './broker.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { RawSetting } from './config/load.ts';

const EXIT_START_FAILED = 1;
/** BSD's EX_SOFTWARE: the broker can no longer keep its promises, and wants to be started again. */
const EXIT_FATAL = 70;
const EXIT_SIGNAL_BASE = 128;
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
/** npm passes on the Ctrl-C that the terminal has sent to the whole group already; nobody presses it twice as fast. */
const REPEATED_SIGNAL_MS = 500;

/** Options of the command line at large; all others, before any command, are flags of the broker. */
const COMMAND_LINE_OPTIONS =
  '--help -h --bootstrap --timeout --json --command-config --username --password --password-file --sasl-mechanism --tls --tls-ca --tls-cert --tls-key'.split(
    ' ',
  );

/** Flags that are settings under a shorter, or simply their own, name; any other setting is a flag as well. */
const USAGE = `Usage: polylog [start] [options]

Starts a broker. All other commands: polylog --help

  --data DIR          folder for all data                       (./data)
  --kafka HOST:PORT   where Kafka clients connect               (127.0.0.1:9092)
  --http HOST:PORT    where /health and /metrics are served     (127.0.0.1:8080)
  --config FILE       settings in YAML
  --node-id N         this broker's number in the cluster       (1)
  --log-level LEVEL   debug, info, warn, error, silent          (info)
  --help              this text, and all settings
  --version

Every setting can be given as a flag (--log-retention-ms 3600000), as an environment variable
(POLYLOG_LOG_RETENTION_MS=3600000) or in the file (log.retention.ms: 3600000); flags win over the
environment, and that over the file.
`;

// What is compiled once need not be compiled at the next start; it saves about half of the time. The modules
// below are imported dynamically so that it covers them.
enableCompileCache();
await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<void> {
  if (!startsBroker(words)) {
    const { runCli } = await import('@polylog/cli');
    await runCli(words);
    return;
  }
  const argv = words[0] === 'start' ? words.slice(1) : words;
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(USAGE + (await settingsHelp()));
    return;
  }
  if (argv.includes('--version') || argv.includes('-V')) {
    const require = createRequire(import.meta.url);
    const { version } = require('../package.json') as { version: string };
    process.stdout.write(`${version}\n`);
    return;
  }
  const starting = loadConfig(argv).then(start);
  stopOnSignals(starting);
  let broker: Broker;
  try {
    broker = await starting;
  } catch (error) {
    process.stderr.write(`polylog: ${explain(error)}\n`);
    process.exit(EXIT_START_FAILED);
  }
  // Without TLS the signal keeps its usual meaning, the end.
  if (broker.usesTls) process.on('SIGHUP', () => broker.renewCertificates());
  // Node writes it at an orderly end only, and not every broker has one.
  flushCompileCache();
  const error = await broker.failed;
  process.stderr.write(`polylog: stopped, because the storage failed: ${error.message}\n`);
  process.exit(EXIT_FATAL);
}

/** `polylog`, `polylog start` and `polylog --data DIR` do; they must not wait for the code of the other commands. */
function startsBroker([first]: readonly string[]): boolean {
  if (first === undefined || first === 'start') return true;
  return first.startsWith('-') && !COMMAND_LINE_OPTIONS.includes(first.split('=')[0]!);
}

async function start(config: BrokerConfig): Promise<Broker> {
  const { Broker } = await import('./broker.ts');
  const broker = await Broker.run(config, {
    http: true,
    onKafkaReady: (address) => process.stdout.write(`Polylog is listening for Kafka clients on ${address}\n`),
  });
  const { kafkaAddress, listenerAddresses, httpAddress, dataDirectory } = broker;
  const { listeners } = config;
  const several = listeners.length === 1 ? [] : listeners;
  process.stdout.write(
    [
      ...several.map(
        ({ name, security }) => `  ${name.padEnd(8)}  ${listenerAddresses.get(name)!} (${security})`,
      ),
      `  HTTP      http://${httpAddress}/health/ready and /metrics`,
      `  Data      ${dataDirectory}`,
      '',
      'Try it from another terminal:',
      `  echo hello | kcat -b ${kafkaAddress} -t greetings -P`,
      `  kcat -b ${kafkaAddress} -t greetings -C -e`,
      'README.md shows the same with other clients. Ctrl-C stops the broker.',
      '',
    ].join('\n'),
  );
  return broker;
}

async function loadConfig(argv: readonly string[]): Promise<BrokerConfig> {
  const { environmentSettings, resolveConfig } = await import('./config/load.ts');
  const { flags, file } = parseFlags(argv);
  const path = file ?? process.env['POLYLOG_CONFIG'];
  const fromFile = path === undefined ? [] : await fileSettings(path);
  return resolveConfig([...fromFile, ...environmentSettings(process.env), ...flags]);
}

async function fileSettings(path: string): Promise<RawSetting[]> {
  const { yamlSettings } = await import('./config/yaml-file.ts');
  return yamlSettings(path, readFileSync(path, 'utf8'));
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function parseFlags(argv: readonly string[]): { flags: RawSetting[]; file: string | undefined } {
  const flags: RawSetting[] = [];
  let file: string | undefined;
  for (let at = 0; at < argv.length; at++) {
    const match = /^--([a-zA-Z][\w.-]*)(?:=(.*))?$/s.exec(argv[at]!);
    if (match === null) throw new UsageError(`${argv[at]} is not an option; see --help`);
    const name = match[1]!;
    const text = match[2] ?? argv[++at];
    if (text === undefined) throw new UsageError(`--${name} needs a value`);
    if (name === 'config') file = text;
    else flags.push({ name, text, source: 'flag', where: `--${name}` });
  }
  return { flags, file };
}

/** First signal: a clean stop, of a start under way as soon as it is complete. Second one: now. */
function stopOnSignals(starting: Promise<Broker>): void {
  let stoppingSinceMs: number | undefined;
  for (const [signal, number] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (stoppingSinceMs !== undefined) {
        if (nowMs - stoppingSinceMs > REPEATED_SIGNAL_MS) process.exit(EXIT_SIGNAL_BASE + number);
        return;
      }
      stoppingSinceMs = nowMs;
      process.stdout.write('Stopping; once more stops at once\n');
      starting
        .then((broker) => broker.stop())
        .then(
          () => process.exit(0),
          (error: unknown) => {
            process.stderr.write(`polylog: the stop was not clean: ${explain(error)}\n`);
            process.exit(EXIT_FATAL);
          },
        );
    });
  }
}

/** One line for what a user can mend, the whole stack for what only a developer can. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: string };
  if (code === 'EADDRINUSE') {
    return `${error.message}: another program listens there; stop it, or take another port with --kafka and --http HOST:PORT`;
  }
  if (code === 'LOCKED') return `${error.message} with --data DIR`;
  if (error.name === 'ConfigError' && error.message.includes('\n')) {
    return `the configuration has mistakes:\n  ${error.message.replaceAll('\n', '\n  ')}`;
  }
  const known = ['ConfigError', 'UsageError', 'DataFolderError', 'DiskError', 'NetworkError', 'BrokerError'];
  if (known.includes(error.name) || code !== undefined) return error.message;
  return error.stack ?? error.message;
}

async function settingsHelp(): Promise<string> {
  const { BROKER_DEFINITIONS } = await import('./config/broker-config.ts');
  const lines = ['', 'Settings:', ''];
  for (const { name, defaultText, unit, legal, documentation } of BROKER_DEFINITIONS.values()) {
    lines.push(`  ${name}${unit === undefined ? '' : ` (${unit})`}`);
    lines.push(`      ${documentation}`);
    lines.push(`      ${legal}; default ${defaultText ?? 'unset'}`);
  }
  return `${lines.join('\n')}\n`;
}

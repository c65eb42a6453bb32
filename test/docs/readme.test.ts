/** Someone who has only the README: does what it says, in its order, and sees what it shows. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';

import { writeKafkaScripts } from '../peers/kafka.ts';
import { requirePeer } from '../peers/peers.ts';
import { freePorts } from '../peers/ports.ts';
import { start } from '../peers/process.ts';
import { blocksOf, isPrintedAs, readPage, ROOT } from './page.ts';
import { Reader } from './reader.ts';

const START_DEADLINE_MS = 60_000;
const LAST_LINE = 'Ctrl-C stops the broker.\n';

const kcat = await requirePeer('kcat');
const python = await requirePeer('python3-kafka');
const java = await requirePeer('java', 'kafka-jars');
const skip = kcat.skip || python.skip || java.skip;

const blocks = blocksOf(readPage('README.md'));
const shownAtStart = blocks.find(({ text }) => text.startsWith('Polylog is listening'))!;

describe('README.md', { skip }, () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-readme-'));
  const tools = mkdtempSync(path.join(tmpdir(), 'polylog-kafka-tools-'));
  let broker: ReturnType<typeof start>;
  let reader: Reader;
  let printed = '';
  let addresses: Map<string, string>;

  before(async () => {
    const [kafkaPort, httpPort] = await freePorts(2);
    addresses = new Map([
      ['127.0.0.1:9092', `127.0.0.1:${kafkaPort}`],
      ['127.0.0.1:8080', `127.0.0.1:${httpPort}`],
    ]);
    reader = new Reader(addresses, { POLYLOG_BOOTSTRAP: `127.0.0.1:${kafkaPort}` });
    writeKafkaScripts(tools);
    reader.useTools(tools);
    const [kafka, http] = addresses.values();
    const args = ['scripts/run.mjs', 'start', '--data', data, '--kafka', kafka!, '--http', http!];
    broker = start(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    broker.stdout!.setEncoding('utf8').on('data', (text: string) => (printed += text));
    const deadline = AbortSignal.timeout(START_DEADLINE_MS);
    while (!printed.endsWith(LAST_LINE)) await once(broker.stdout!, 'data', { signal: deadline });
  });
  after(async () => {
    broker.kill('SIGTERM');
    const [code] = (await once(broker, 'exit')) as [number | null];
    reader.remove();
    for (const folder of [data, tools]) rmSync(folder, { recursive: true, force: true });
    assert.equal(code, 0);
  });

  it('shows what a start prints', () => {
    let shown = shownAtStart.text.replace('/srv/polylog/data', data);
    for (const [onPage, here] of addresses) shown = shown.replaceAll(onPage, here);
    assert.ok(isPrintedAs(printed, shown), printed);
  });

  // In the order of the page: each command finds what those before it have left.
  for (const block of blocks) {
    const file = block.attributes.get('file');
    if (file !== undefined) it(`line ${block.line}: ${file} is saved`, () => reader.save(block));
    if (block.language !== 'console') continue;
    const [first] = block.text.split('\n');
    it(`line ${block.line}: ${first}, and what follows, print what is shown`, () => reader.type(block));
  }

  it('leads from no message to a group with lag, and to a broker in a test', () => {
    const typed = blocks.filter(({ language }) => language === 'console').map(({ text }) => text);
    for (const step of [/polylog consume/, /kcat .* -G/, /group describe/, /--test first\.test\.mjs/]) {
      assert.ok(
        typed.some((text) => step.test(text)),
        String(step),
      );
    }
    assert.ok(existsSync(path.join(reader.folder, 'first.test.mjs')));
  });
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { flag, integer, oneOf, OptionError, readOptions, someOf, text, usageOf } from '../options.ts';
import { COMMANDS } from '../run.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** Node's own options, the names of steps, and the broker's, which has tests of its own. */
const OTHERS = ['test', 'check', 'start', 'polylog'];

/** A help that wants more is none to read. */
const LINE_CHARACTERS_MAX = 160;

const OPTIONS = {
  rounds: integer('how often', { default: 5, min: 1, max: 10 }),
  rate: integer('how fast'),
  peer: oneOf('which', { values: ['polylog', 'kafka'], default: 'polylog' }),
  clients: someOf('of whom', { values: ['a', 'b', 'c'], default: ['a'] }),
  out: text('where to', { hint: 'FOLDER' }),
  keep: flag('keeps it'),
};

describe('Options of commands', () => {
  test('have their defaults, and the values that are given', () => {
    const none = readOptions(OPTIONS, []);
    const defaults = {
      rounds: 5,
      rate: undefined,
      peer: 'polylog',
      clients: ['a'],
      out: undefined,
      keep: false,
    };
    assert.deepEqual(none, defaults);
    const args = [
      '--rounds',
      '10',
      '--rate=7',
      '--peer',
      'kafka',
      '--clients',
      'b,c',
      '--out',
      'x',
      '--keep',
    ];
    const given = { rounds: 10, rate: 7, peer: 'kafka', clients: ['b', 'c'], out: 'x', keep: true };
    assert.deepEqual(readOptions(OPTIONS, args), given);
  });

  for (const [args, message] of [
    [['--rounds', '11'], /^--rounds wants a whole number from 1 to 10, not "11"$/],
    [['--rate', '1e3'], /^--rate wants a whole number of at least 0, not "1e3"$/],
    [['--peer', 'x'], /^--peer wants one of polylog, kafka, not "x"$/],
    [['--clients', 'a,x'], /^--clients wants one of a, b, c, not "x"$/],
    [['--unknown'], /^Unknown option '--unknown'$/],
    [['--rounds'], /^Option '--rounds <value>' argument missing$/],
    [['--keep=yes'], /^Option '--keep' does not take an argument$/],
    [['word'], /^Unexpected argument 'word'$/],
  ] as const) {
    test(`refuse ${args.join(' ')} in one line`, () => {
      assert.throws(
        () => readOptions(OPTIONS, args),
        (error) => error instanceof OptionError && message.test(error.message),
      );
    });
  }

  test('are listed with their defaults', () => {
    assert.equal(readOptions(OPTIONS, ['--rounds', '99', '-h']), 'help');
    const usage = usageOf({ command: 'x', summary: 'Does it.', options: OPTIONS, examples: ['--keep'] });
    assert.match(
      usage,
      /^Usage: npm run x -- \[options\]\n\nDoes it.\n\n {2}--rounds N {13}how often \(5\)\n/,
    );
    assert.match(usage, /\n {2}--peer polylog\|kafka {3}which \(polylog\)\n/);
    assert.match(usage, /\n\n {2}npm run x -- --keep\n$/);
  });
});

describe('Choices that are too many for a line', () => {
  const values = Array.from({ length: 30 }, (_, index) => `choice-${index}`);
  const options = {
    only: oneOf('only this one', { values }),
    these: someOf('some', { values, default: ['choice-3'] }),
  };

  test('stand below the option, in lines of a bounded length', () => {
    const usage = usageOf({ command: 'x', summary: 'Does it.', options });
    assert.match(usage, /\n {2}--only NAME {3}only this one\n {6}choice-0, choice-1, /);
    assert.match(usage, /, choice-29\n {2}--these A,B {3}some \(choice-3\)\n {6}choice-0, /);
    assert.deepEqual(
      usage.match(/choice-\d+(?=,|\n)/g),
      [...values, ...values],
      'each choice stands there once for each option',
    );
    assert.ok(usage.split('\n').every((line) => line.length <= 100));
  });

  test('are not repeated in what is said of another one', () => {
    assert.throws(
      () => readOptions(options, ['--only', 'x']),
      /^OptionError: --only wants one of the names that the help lists, not "x"$/,
    );
    assert.equal((readOptions(options, ['--only', 'choice-7']) as { only: string }).only, 'choice-7');
  });
});

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(command: string, argument: string): Promise<Outcome> {
  const args = [...(COMMANDS[command] ?? []), argument];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

describe('Each command of the repository', { concurrency: 2 }, () => {
  for (const command of Object.keys(COMMANDS).filter((name) => !OTHERS.includes(name))) {
    test(`${command}: --help lists its options, and an unknown one is refused with code 2`, async () => {
      const help = await run(command, '--help');
      assert.deepEqual([help.code, help.err], [0, '']);
      assert.ok(help.out.startsWith(`Usage: npm run ${command} -- [options]\n`), help.out);
      const longest = Math.max(...help.out.split('\n').map((line) => line.length));
      assert.ok(longest <= LINE_CHARACTERS_MAX, `a line of ${longest} characters`);
      const wrong = await run(command, '--no-such-option');
      assert.equal(wrong.code, 2);
      const [line] = wrong.err.split('\n');
      assert.match(line!, /Unknown option '--no-such-option'/);
      assert.doesNotMatch(wrong.err, /^ +at /m);
      assert.equal(wrong.out, '');
    });
  }
});

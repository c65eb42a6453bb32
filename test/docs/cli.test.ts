/** The commands of docs/cli.md, typed one after the other against a broker of their own; and what the page says of JSON and exit codes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { Broker } from 'polylog';

import { PolylogCli } from '../clients/polylog.ts';
import { blocksOf, readPage, ROOT } from './page.ts';
import { Reader } from './reader.ts';

const page = readPage('docs/cli.md');
/** `| \`topic list\` | \`{topics: [{name}]}\` |`, one row for each command. */
const SHAPE = /^\| (?<commands>`[a-z].*`) \| `(?<shape>\{.*\})` \|$/gm;

describe('docs/cli.md', () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-cli-page-'));
  let broker: Broker;
  let reader: Reader;

  before(async () => {
    broker = await Broker.start({
      http: false,
      data,
      config: { 'authorization.enabled': 'true', 'super.users': 'User:ANONYMOUS' },
    });
    process.env['POLYLOG_BOOTSTRAP'] = broker.kafkaAddress;
    reader = new Reader(
      new Map([
        ['127.0.0.1:9092', broker.kafkaAddress],
        ['./data', data],
        // The reader's folder is made of links, and the script of npm's does not run through a link.
        ['npm run --silent', `npm --prefix '${ROOT}' run --silent`],
      ]),
    );
  });
  after(async () => {
    await broker.stop();
    reader.remove();
    rmSync(data, { recursive: true, force: true });
  });

  // In the order of the page: each command finds what those before it have left.
  for (const block of blocksOf(page).filter(({ language }) => language === 'console')) {
    const [first] = block.text.split('\n');
    it(`line ${block.line}: ${first}, and what follows, print what is shown`, () => reader.type(block));
  }

  describe('JSON', () => {
    const runs: Readonly<Record<string, string[]>> = {
      'topic create': ['topic', 'create', 'shapes'],
      'topic list': ['topic', 'list'],
      'topic describe': ['topic', 'describe', 'orders'],
      'topic alter': ['topic', 'alter', 'shapes', '-p', '2', '-c', 'retention.ms=1'],
      produce: ['produce', 'shapes', '-v', 'x'],
      'group list': ['group', 'list'],
      'group describe': ['group', 'describe', 'shapes'],
      'group reset': ['group', 'reset', 'shapes', '--topic', 'shapes', '--to-latest', '--execute'],
      'group delete-offsets': ['group', 'delete-offsets', 'shapes', '--topic', 'shapes:0', '--yes'],
      'group delete': ['group', 'delete', 'shapes', '--yes'],
      'config list': ['config', 'list', 'topic', 'shapes'],
      'user list': ['user', 'list'],
      'user add': ['user', 'add', 'shapes', '--new-password', 'shapes'],
      'user delete': ['user', 'delete', 'shapes', '--yes'],
      'acl list': ['acl', 'add', 'shapes', 'read', '--topic', 'shapes'],
      'acl delete': ['acl', 'delete', 'shapes', '--yes'],
      'quota list': ['quota', 'set', '--user', 'shapes', 'producer_byte_rate=5'],
      'quota delete': ['quota', 'delete', '--user', 'shapes'],
      'cluster describe': ['cluster', 'describe'],
      'cluster health': ['cluster', 'health'],
      'topic delete': ['topic', 'delete', 'shapes', '--yes'],
    };
    const shapes = new Map(
      [...page.matchAll(SHAPE)].map(({ groups }) => [groups!['commands']!.split('`')[1]!, groups!['shape']!]),
    );

    it('has the shape of every command', () => {
      assert.deepEqual([...shapes.keys()].toSorted(), Object.keys(runs).toSorted());
    });

    for (const name of orderOf(runs)) {
      it(`of ${name} is as the page says`, async () => {
        const cli = new PolylogCli(broker.kafkaAddress);
        const document = await cli.json<unknown>(runs[name]!);
        assertShape(document, parseShape(shapes.get(name)!), name);
      });
    }
  });
});

/** Groups are described and deleted after the reset that makes them. */
function orderOf(runs: Readonly<Record<string, string[]>>): string[] {
  const names = Object.keys(runs).filter((name) => name !== 'group describe');
  names.splice(names.indexOf('group reset') + 1, 0, 'group describe');
  return names;
}

type Shape = string | { readonly list: Shape } | { readonly fields: ReadonlyMap<string, Shape | undefined> };

/** `{a, b: [{c}], d: {NAME: VALUE}}`. */
function parseShape(text: string): Shape {
  let at = 0;
  const skip = (): void => {
    while (text[at] === ' ') at++;
  };
  const value = (): Shape => {
    skip();
    if (text[at] === '[') {
      at++;
      const list = value();
      skip();
      assert.equal(text[at++], ']');
      return { list };
    }
    if (text[at] === '{') return { fields: fields() };
    return word();
  };
  const word = (): string => {
    skip();
    const [found = ''] = /^\w+/.exec(text.slice(at)) ?? [];
    assert.notEqual(found, '', `at ${at} of ${text}`);
    at += found.length;
    return found;
  };
  const fields = (): Map<string, Shape | undefined> => {
    const found = new Map<string, Shape | undefined>();
    do {
      at++;
      const name = word();
      skip();
      if (text[at] === ':') {
        at++;
        found.set(name, value());
      } else found.set(name, undefined);
      skip();
    } while (text[at] === ',');
    assert.equal(text[at++], '}');
    return found;
  };
  return value();
}

function assertShape(document: unknown, shape: Shape, where: string): void {
  if (typeof shape === 'string') return;
  if ('list' in shape) {
    assert.ok(Array.isArray(document), `${where} is a list`);
    for (const one of document) assertShape(one, shape.list, `${where}[]`);
    return;
  }
  assert.ok(typeof document === 'object' && document !== null, `${where} is an object`);
  // Words in capitals stand for any names.
  if ([...shape.fields.keys()].every((name) => /^[A-Z]+$/.test(name))) return;
  assert.deepEqual(Object.keys(document), [...shape.fields.keys()], where);
  for (const [name, field] of shape.fields) {
    const value = (document as Record<string, unknown>)[name];
    if (field !== undefined && value !== null) assertShape(value, field, `${where}.${name}`);
  }
}

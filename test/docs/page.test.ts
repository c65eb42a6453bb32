import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { blocksOf, commandsOf, isPrintedAs } from './page.ts';

const PAGE = [
  'Text',
  '```js file=a/b.mjs',
  'run();',
  '',
  '```',
  '```console',
  '$ first \\',
  '  --more',
  'one',
  '$ second',
  '$ third',
  '...',
  '```',
  '```',
  'plain',
  '```',
  '',
].join('\n');

describe('A page of the documentation', () => {
  it('is read as blocks, with their names', () => {
    const blocks = blocksOf(PAGE);
    assert.deepEqual(
      blocks.map(({ language, text, line }) => [language, text, line]),
      [
        ['js', 'run();\n\n', 2],
        ['console', '$ first \\\n  --more\none\n$ second\n$ third\n...\n', 6],
        ['', 'plain\n', 14],
      ],
    );
    assert.equal(blocks[0]!.attributes.get('file'), 'a/b.mjs');
  });

  it('is read as commands, with what they print', () => {
    assert.deepEqual(commandsOf(blocksOf(PAGE)[1]!), [
      { command: 'first \\\n  --more', output: 'one\n' },
      { command: 'second', output: '' },
      { command: 'third', output: '...\n' },
    ]);
  });

  const cases: [printed: string, shown: string, same: boolean][] = [
    ['a\n', 'a\n', true],
    ['a\n', 'b\n', false],
    ['a\nb\n', 'a\n', false],
    ['at 12:30 (ok)\n', 'at ... (ok)\n', true],
    ['at 12:30\nmore (ok)\n', 'at ... (ok)\n', false],
    ['a\nb\nc\nd\n', 'a\n...\nd\n', true],
    ['a\nd\n', 'a\n...\nd\n', false],
    ['1+1\n', '1.1\n', false],
    ['', '', true],
    ['x\n', '', false],
  ];
  for (const [printed, shown, same] of cases) {
    it(`${same ? 'takes' : 'refuses'} ${JSON.stringify(printed)} for ${JSON.stringify(shown)}`, () => {
      assert.equal(isPrintedAs(printed, shown), same);
    });
  }
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RE2JS, RE2JSException } from 're2js';
import { compileExpression } from '../../src/expressions/compile.ts';
import {
  BUILD_MAX,
  costFault,
  expressionCost,
  STEPS_MAX,
  stepsFor,
} from '../../src/expressions/cost.core.ts';

const TEAMS = Array.from({ length: 150 }, (_, index) => `team-${index % 12}.orders-${index}`);

/** Well-formed expressions, whose parts may stand one behind the other. */
const { whole: expressions } = fc.letrec<{ whole: string; atom: string; group: string; repeated: string }>(
  (tie) => ({
    atom: fc.constantFrom(
      'a',
      'b',
      '-',
      '.',
      '[ab]',
      '[^b-z]',
      String.raw`\pL`,
      String.raw`\w`,
      String.raw`\.`,
      '^',
      String.raw`\Q.*\E`,
    ),
    group: fc.oneof(
      tie('whole').map((inner) => `(${inner})`),
      fc.tuple(tie('whole'), tie('whole')).map(([left, right]) => `(?:${left}|${right})`),
    ),
    repeated: fc
      .tuple(
        fc.oneof(tie('atom'), tie('group')),
        fc.constantFrom('*', '+', '?', '*?', '{3}', '{2,}', '{0,4}', '{1,9}'),
      )
      .map(([inner, repetition]) => (inner.startsWith(String.raw`\Q`) ? inner : `${inner}${repetition}`)),
    whole: fc
      .array(fc.oneof({ maxDepth: 3 }, tie('atom'), tie('repeated'), tie('group')), {
        minLength: 1,
        maxLength: 4,
      })
      .map((parts) => parts.join('')),
  }),
);

/** Texts of what expressions are made of, in any order. */
const scraps = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '(',
        ')',
        '[',
        ']',
        '[^',
        '{',
        '{2,',
        '{1000}',
        '}',
        '*',
        '?',
        '|',
        '\\',
        String.raw`\Q`,
        String.raw`\E`,
      ),
      fc.constantFrom(
        '(?i)',
        '(?P<',
        '[[:alpha:]',
        '-',
        String.raw`\p{`,
        String.raw`\pL`,
        String.raw`\x{`,
        String.raw`\x4`,
        'a',
        '\u{1f600}',
      ),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('The cost of an expression', () => {
  it('lets those through that are in use', () => {
    for (const expression of [
      '.*',
      '',
      'orders',
      '[a-zA-Z0-9._-]{1,249}',
      '[a-zA-Z0-9._-]+',
      TEAMS.join('|'),
      `^(${TEAMS.join('|')})$`,
      `.*-(${TEAMS.slice(0, 40)
        .join('|')
        .replaceAll('.', String.raw`\.`)})`,
      String.raw`^(prod|stage)\.[a-z]+\..*$`,
      String.raw`team-[a-z]+-(events|commands|facts)\.v[0-9]+`,
      String.raw`[a-z0-9-]+(\.[a-z0-9-]+)*`,
      String.raw`(server1|server2)\.(inventory|sales)\.(customers|orders|products)_?[0-9]*`,
      '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}',
      String.raw`[\p{L}\p{N}._-]+`,
      '(?i)(orders|payments)[_-].*',
      '(?i)[а-яё]+',
      '.*a.*b.*c.*d.*',
      'x'.repeat(4096),
    ]) {
      assert.equal(costFault(expressionCost(expression)), undefined, expression.slice(0, 60));
    }
  });

  it('stops those that take too long to compile', () => {
    for (const expression of [
      String.raw`\pL?`.repeat(1000),
      String.raw`\pL`.repeat(300),
      String.raw`\p{Greek}{500}`,
      String.raw`(?i)${String.raw`\p{Lu}`.repeat(60)}`,
      `[${String.raw`\pL`.repeat(60)}]`,
      // Cases are folded character by character.
      '(?i)[A-\u{1e900}]',
      String.raw`(?i)[\x{41}-\x{1e900}]`,
      String.raw`(?s-m)x(?si:[\x41-\x{1e900}])`,
      'a{1000}'.repeat(100),
      `(${'a'.repeat(100)}){1000}`,
      '((a{10}){10}){100}',
      '()'.repeat(2000),
      `[${Array.from({ length: 1000 }, (_, index) => String.fromCodePoint(300 + 2 * index)).join('')}]{400}`,
      'x'.repeat(5001),
    ]) {
      const { build } = expressionCost(expression);
      assert.ok(build > BUILD_MAX, `${expression.slice(0, 60)} costs ${build}`);
      assert.match(compileExpression(expression).fault ?? '', /too large|is longer/);
    }
  });

  it('stops those that take too long for a name', () => {
    for (const expression of [
      '.?'.repeat(300),
      '(.?){300}',
      '.*a[a-z]{1,249}',
      '.*a.{249}',
      `(a|b)*a(a|b){200}`,
      '.*x'.repeat(200),
      `.*(?:${Array.from({ length: 80 }, (_, index) => 'a'.repeat(30) + index).join('|b|')})`,
      '(?:a|aa|aaa)*'.repeat(100),
    ]) {
      const { steps } = expressionCost(expression);
      assert.ok(steps > STEPS_MAX, `${expression.slice(0, 60)} takes ${steps}`);
      assert.match(compileExpression(expression).fault ?? '', /at the same time/);
    }
  });

  it('reads what is quoted, escaped or in brackets as it is meant', () => {
    const { build } = expressionCost('aaaaaa');
    assert.equal(expressionCost(String.raw`\Qaaaaa{\E`).build, build);
    assert.equal(expressionCost(String.raw`\(\)\[\]\{\*`).build, build);
    assert.equal(expressionCost(String.raw`\x{41}\x42\101aaa`).build, build);
    assert.equal(expressionCost('aaaa{x').build, build);
    assert.equal(expressionCost('[])(*{1000}]').build, expressionCost('[abcdefghij]').build);
    assert.equal(expressionCost(String.raw`[\]a]`).build, expressionCost('[ba]').build);
    assert.equal(expressionCost('[[:alpha:]]').build, expressionCost('[a]').build);
    assert.equal(expressionCost('a+?').build, expressionCost('a+').build);
    assert.equal(expressionCost('(?:a)').build, expressionCost('(?i:a)').build);
  });

  it('is a number for any text, and what is malformed is refused by RE2 in its words', () => {
    fc.assert(
      fc.property(scraps, (expression) => {
        const { build, steps, stepsPerCharacter } = expressionCost(expression);
        for (const value of [build, steps, stepsPerCharacter])
          assert.ok(Number.isFinite(value) && value >= 0);
        const { fault } = compileExpression(expression);
        if (costFault(expressionCost(expression)) === undefined) assert.equal(fault, faultOfRe2(expression));
        else assert.notEqual(fault, undefined);
      }),
      { numRuns: 2000 },
    );
  });

  it('is finite however deep repetitions are nested', () => {
    const deep = `${'('.repeat(500)}a${'{1000}){1000}'.repeat(500)}`;
    const { build, steps } = expressionCost(deep);
    assert.ok(Number.isFinite(build) && Number.isFinite(steps));
    assert.notEqual(compileExpression(deep).fault, undefined);
  });

  it('does not sink when something is added, repeated or put beside it', () => {
    fc.assert(
      fc.property(expressions, expressions, (left, right) => {
        const before = expressionCost(left);
        for (const more of [
          `${left}${right}`,
          `(${left})`,
          `(${left}){3}`,
          `(${left})*`,
          `${left}|${right}`,
        ]) {
          const after = expressionCost(more);
          assert.ok(after.build >= before.build, `${more}: ${after.build}, ${left}: ${before.build}`);
          assert.ok(after.steps >= before.steps, `${more}: ${after.steps}, ${left}: ${before.steps}`);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('is not below the size of the program', () => {
    fc.assert(
      fc.property(expressions, (expression) => {
        const { build } = expressionCost(expression);
        assert.ok(build >= RE2JS.compile(expression).programSize() / 2, `${expression}: ${build}`);
      }),
      { numRuns: 1000 },
    );
  });

  it('grows with the text where the expression goes on', () => {
    const endless = expressionCost('.*a.*');
    assert.ok(stepsFor(endless, 20) < stepsFor(endless, 249));
    assert.ok(stepsFor(endless, 2000) > 4 * stepsFor(endless, 249));
    const short = expressionCost('orders');
    assert.equal(stepsFor(short, 30_000), stepsFor(short, 249));
  });
});

describe('A compiled expression', () => {
  it('describes what RE2 says it does', () => {
    const texts = fc.array(
      fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', 'é', '\n'), maxLength: 12 }),
      {
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(expressions, texts, (expression, all) => {
        const compiled = compileExpression(expression);
        if (compiled.fault !== undefined) return;
        const expected = RE2JS.compile(expression);
        for (const text of all)
          assert.equal(compiled.matches(text), expected.testExact(text), `${expression}: ${text}`);
      }),
      { numRuns: 1000 },
    );
  });

  it('does so when it has seen more than it can remember', () => {
    const compiled = compileExpression('.*a.{140}');
    assert.equal(compiled.fault, undefined);
    const expected = RE2JS.compile('.*a.{140}');
    let seed = 7;
    for (let round = 0; round < 40; round++) {
      const text = Array.from({ length: 249 }, () => {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
        return seed >>> 31 === 1 ? 'a' : 'b';
      }).join('');
      assert.equal(compiled.fault === undefined && compiled.matches(text), expected.testExact(text));
    }
  });
});

function faultOfRe2(expression: string): string | undefined {
  try {
    RE2JS.compile(expression);
    return undefined;
  } catch (error) {
    if (error instanceof RE2JSException) return error.message;
    throw error;
  }
}

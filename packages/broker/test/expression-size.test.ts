import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RE2JS } from 're2js';
import { EXPRESSION_SIZE_MAX, expressionSize } from '../src/expression-size.ts';
import { compileRegex } from '../src/groups/regular-expressions.ts';
import { compilePattern } from '../src/patterns.ts';

describe('The size of an expression', () => {
  it('is not below that of what it is compiled to', () => {
    for (const expression of [
      'orders-.*',
      'a{100}b{7}',
      '(a{10}){50}',
      '((ab{2}){5}c){90}',
      '(?:[a-z]{3,9}x){2,80}',
      'a{20,}',
      String.raw`(a\)){30}`,
    ]) {
      assert.ok(expressionSize(expression) >= RE2JS.compile(expression).programSize() / 2, expression);
    }
  });

  it('leaves room for those in use', () => {
    for (const expression of [
      'x'.repeat(4096),
      '[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63}){0,10}',
      '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}',
    ]) {
      assert.ok(expressionSize(expression) <= EXPRESSION_SIZE_MAX, expression);
    }
  });

  it('is bounded where clients choose the expression, before it is compiled', async () => {
    for (const expression of ['a{1000}'.repeat(100), `(${'a'.repeat(100)}){1000}`]) {
      assert.equal(compileRegex(expression), undefined);
      await assert.rejects(compilePattern(expression), /too large/);
    }
  });
});

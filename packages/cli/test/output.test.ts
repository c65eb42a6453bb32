import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CliError } from '../src/errors.ts';
import { recordFromJson, recordToJson, type ConsumedRecord } from '../src/output/record-json.ts';
import { formatTable } from '../src/output/table.ts';
import { compileTemplate } from '../src/output/template.ts';
import { formatBytes, formatTime, wrap } from '../src/output/units.ts';
import { didYouMean } from '../src/suggest.ts';

function record(fields: Partial<ConsumedRecord>): ConsumedRecord {
  return {
    topic: 't',
    partition: 0,
    offset: 0,
    timestamp: 0,
    key: null,
    value: null,
    headers: [],
    ...fields,
  };
}

describe('output', () => {
  it('tables align numbers to the right and leave no blanks at the ends of lines', () => {
    const table = formatTable(
      [{ title: 'name' }, { title: 'n', align: 'right' }, { title: 'last' }],
      [
        ['a', 1, 'x'],
        ['longer', 100, ''],
      ],
    );
    assert.equal(table, 'NAME      N  LAST\na         1  x\nlonger  100\n');
  });

  it('tables count the columns that a character takes', () => {
    const table = formatTable(
      [{ title: 'name' }, { title: 'n' }],
      [
        ['注文', 1],
        ['ab', 2],
      ],
    );
    assert.equal(table, 'NAME  N\n注文  1\nab    2\n');
  });

  it('tables of a large cluster take no time', () => {
    const rows = Array.from({ length: 200_000 }, (_, index) => [`topic-${index}`, index]);
    const startedMs = performance.now();
    const table = formatTable([{ title: 'topic' }, { title: 'n', align: 'right' }], rows);
    assert.equal(table.split('\n').length, rows.length + 2);
    assert.ok(performance.now() - startedMs < 5000);
  });

  it('sizes and times are short', () => {
    assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(formatBytes), [
      '0 B',
      '1023 B',
      '1.5 KiB',
      '5.0 GiB',
    ]);
    assert.equal(formatTime(-1), '-');
    assert.equal(formatTime(0), '1970-01-01T00:00:00.000Z');
  });

  it('wrapping keeps every word and no line is too long', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,10}$/), { minLength: 1 }), (words) => {
        const lines = wrap(words.join(' '), 20);
        assert.equal(lines.join(' '), words.join(' '));
        assert.ok(lines.every((line) => line.length <= 20));
      }),
    );
  });

  it('any record survives JSON', () => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)));
    const headers = fc.array(fc.record({ key: fc.string(), value: bytes }, { noNullPrototype: true }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(bytes, bytes, headers, fc.nat(), (key, value, given, timestamp) => {
        const line = recordToJson(record({ key, value, headers: given, timestamp }));
        assert.ok(!line.includes('\n'));
        assert.deepEqual(recordFromJson(line, 'it'), { key, value, headers: given, timestamp });
      }),
    );
  });

  it('JSON that is no record is refused with its line', () => {
    for (const text of [
      '',
      '[]',
      '{"value":1}',
      '{"headers":{}}',
      '{"headers":[{}]}',
      '{"timestamp":"now"}',
    ]) {
      assert.throws(
        () => recordFromJson(text, 'line 7'),
        (error) => error instanceof CliError && error.message.startsWith('line 7: '),
      );
    }
  });

  it('templates print bytes as they are, or as asked', () => {
    const value = Buffer.from([0xff, 0x0a]);
    const one = record({
      offset: 5,
      key: Buffer.from('k'),
      value,
      headers: [{ key: 'h', value: Buffer.from('1') }],
    });
    const print = (template: string): string =>
      Buffer.from(compileTemplate(template, '-')(one)).toString('latin1');
    assert.equal(
      print('{offset} {key} {value:hex} {value:base64} {header.h}{header.x}\\n'),
      '5 k ff0a /wo= 1-\n',
    );
    assert.equal(print('{value}'), '\u00ff\n');
    assert.equal(print('{time} {"not a field"}'), '1970-01-01T00:00:00.000Z {"not a field"}');
    for (const wrong of ['{x}', '{offset:hex}', '{value:xml}', '{key.a}']) assert.throws(() => print(wrong));
  });

  it('suggestions are near, or none', () => {
    const known = ['orders', 'payments', 'retention.ms'];
    assert.equal(didYouMean('oders', known), ' (did you mean orders?)');
    assert.equal(didYouMean('odrers', known), ' (did you mean orders?)');
    assert.equal(didYouMean('retention_ms', known), ' (did you mean retention.ms?)');
    assert.equal(didYouMean('x', known), '');
    assert.equal(didYouMean('invoices', known), '');
  });
});

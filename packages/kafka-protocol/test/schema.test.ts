import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import { MalformedError, Reader, TruncatedError, Writer } from '@polylog/bytes';
import {
  EncodeError,
  MESSAGE_ELEMENTS_MAX,
  UnsupportedVersionError,
  ZERO_UUID,
  api,
  apis,
  array,
  field,
  int32,
  int64,
  int8,
  nullable,
  records,
  since,
  string,
  struct,
  tagged,
  text,
  until,
  uuid,
  type Message,
  type Type,
} from '@polylog/kafka-protocol';

/** A little API: classic in v0 and v1, flexible from v2. */
const demo = api({
  key: 1000,
  name: 'Demo',
  versions: [0, 3],
  flexibleSince: 2,
  request: {
    id: field(int32),
    name: field(nullable(string, since(1)), { default: 'none' }),
    early: field(int8, until(1), { default: 7 }),
    late: field(int64, since(1), { default: -1, ignorable: true }),
    tags: field(array(string), tagged(5, since(2))),
    hint: field(struct({ leader: field(int32, { default: -1 }) }), tagged(0, since(3))),
    rows: field(array(struct({ key: field(uuid, { default: ZERO_UUID }), data: field(nullable(records)) }))),
    cursor: field(nullable(struct({ at: field(int32) })), since(1), { default: null }),
  },
  response: {},
}).request;

function encode<I>(message: Message<unknown, I>, version: number, value: I): Buffer {
  const writer = new Writer();
  message.encode(writer, version, value);
  return Buffer.from(writer.finish());
}

function decode<T>(message: Message<T, never>, version: number, hex: string): T {
  return message.decode(new Reader(Buffer.from(hex.replaceAll(' ', ''), 'hex')), version);
}

const empty = { id: 1, rows: [] };

describe('the bytes of a struct', () => {
  test('a classic version has fixed lengths, in the order of the fields', () => {
    const bytes = encode(demo, 0, { id: 1, name: 'ab', rows: [{ data: null }] });
    assert.equal(
      bytes.toString('hex'),
      `00000001 00026162 07 00000001 ${'00'.repeat(16)} ffffffff`.replaceAll(' ', ''),
    );
  });

  test('a flexible version has compact lengths, tagged fields in the order of their tags, and a tag buffer per struct', () => {
    const bytes = encode(demo, 3, {
      ...empty,
      name: null,
      tags: ['x'],
      hint: { leader: 9 },
      rows: [{ data: Uint8Array.of(0xaa) }],
      cursor: { at: 2 },
    });
    assert.equal(
      bytes.toString('hex'),
      '00000001' +
        '00' + // name: null
        'ffffffffffffffff' + // late
        '02' + // one row
        '00'.repeat(16) +
        '02aa' +
        '00' + // the row's tag buffer
        '01' + // a cursor is there
        '00000002' +
        '00' +
        '02' + // two tagged fields
        '0005' + // tag 0, five bytes
        '0000000900' +
        '0503' + // tag 5, three bytes
        '020278',
    );
  });

  test('all versions decode to the same fields in the same order, so that consumers see one hidden class', () => {
    const keys = [0, 1, 2, 3].map((version) =>
      Object.keys(decode(demo, version, encode(demo, version, empty).toString('hex'))),
    );
    for (const each of keys) {
      assert.deepEqual(each, ['id', 'name', 'early', 'late', 'tags', 'hint', 'rows', 'cursor']);
    }
  });

  test('fields that a version lacks decode to their defaults, which nobody can change', () => {
    const value = decode(demo, 0, encode(demo, 0, empty).toString('hex'));
    assert.equal(value.late, -1);
    assert.equal(value.cursor, null);
    assert.deepEqual(value.hint, { leader: -1 });
    assert.ok(Object.isFrozen(value.tags) && Object.isFrozen(value.hint));
  });
});

describe('encoding refuses what the version cannot carry', () => {
  const refusals: [string, number, Parameters<typeof demo.encode>[2], RegExp][] = [
    [
      'a value in a field that came later',
      2,
      { ...empty, hint: { leader: 1 } },
      /v2\.hint: version 2 has no such field/,
    ],
    ['a value in a field that has gone', 2, { ...empty, early: 1 }, /v2\.early: version 2 has no such field/],
    ['null before the field became nullable', 0, { ...empty, name: null }, /v0\.name: null is not allowed/],
    ['a number above its type', 1, { ...empty, early: 128 }, /early: 128 is not an int8/],
    ['a fraction', 1, { ...empty, id: 1.5 }, /id: 1.5 is not an int32/],
    [
      'an integer that is not exact',
      1,
      { ...empty, late: 2 ** 53 },
      /late: 9007199254740992 is not an int64/,
    ],
    ['a missing value', 1, { rows: [] } as never, /id: missing/],
    ['a string above 32,767 bytes', 1, { ...empty, name: 'é'.repeat(16_384) }, /name: string of 32768 bytes/],
    [
      'an id that is not a UUID',
      1,
      { ...empty, rows: [{ key: 'x', data: null }] },
      /rows\.0\.key: x is not a UUID/,
    ],
    [
      'a second spelling of an id',
      1,
      { ...empty, rows: [{ key: 'A'.repeat(21) + 'B', data: null }] },
      /is not a UUID/,
    ],
    [
      'text for bytes',
      1,
      { ...empty, rows: [{ data: 'x' as never }] },
      /rows\.0\.data: x is not a byte array/,
    ],
  ];
  for (const [what, version, value, message] of refusals) {
    test(what, () => {
      assert.throws(
        () => encode(demo, version, value),
        (error) => {
          assert.ok(error instanceof EncodeError);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('but an ignorable field is dropped, and a default that a version lacks is no offence', () => {
    assert.deepEqual(encode(demo, 0, { ...empty, late: 5 }), encode(demo, 0, empty));
    assert.deepEqual(encode(demo, 2, { ...empty, early: 7, hint: { leader: -1 } }), encode(demo, 2, empty));
  });

  test('and a version that the message does not have', () => {
    for (const version of [-1, 4, 0.5, Number.NaN]) {
      assert.throws(() => encode(demo, version, empty), UnsupportedVersionError);
      assert.throws(() => decode(demo, version, ''), UnsupportedVersionError);
    }
  });
});

describe('decoding refuses what a peer gets wrong', () => {
  const list = api({
    key: 1001,
    name: 'List',
    versions: [0, 1],
    flexibleSince: 1,
    request: { values: field(array(string)) },
    response: { at: field(int64) },
  });
  const one = (name: string): string => Buffer.from(name).toString('hex');

  test('a count of elements that the bytes left cannot hold, before it allocates any', () => {
    for (const count of ['7fffffff', '00000002']) {
      assert.throws(() => decode(list.request, 0, `${count} 0001 61`), TruncatedError);
    }
    for (const count of ['ffffffff0f', '8080808008', '04']) {
      assert.throws(() => decode(list.request, 1, `${count} 02 61 00`), MalformedError);
    }
  });

  test('more elements than a message may have, over all of its arrays', () => {
    const lists = api({
      key: 1004,
      name: 'Lists',
      versions: [0, 0],
      flexibleSince: null,
      request: { lists: field(array(array(int8))) },
      response: {},
    }).request;
    const half = new Array<number>(MESSAGE_ELEMENTS_MAX / 2).fill(0);
    const most = encode(lists, 0, { lists: [half, half.slice(2)] });
    assert.equal(lists.decode(new Reader(most), 0).lists.length, 2);
    // The count starts anew with each message.
    assert.equal(lists.decode(new Reader(most), 0).lists.length, 2);
    const above = encode(lists, 0, { lists: [half, half.slice(1)] });
    assert.throws(() => lists.decode(new Reader(above), 0), /more than 1000000 array elements/);
  });

  test('a negative count, a negative length, and null where there is none', () => {
    for (const count of ['ffffffff', 'fffffffe', '80000000']) {
      assert.throws(() => decode(list.request, 0, count), MalformedError);
    }
    assert.throws(() => decode(list.request, 0, '00000001 ffff'), MalformedError);
    assert.throws(() => decode(list.request, 1, '00 00'), MalformedError);
    assert.throws(() => decode(list.request, 1, '02 00 00'), MalformedError);
  });

  test('a string above 32,767 bytes, though a compact length could say so', () => {
    const long = one('x'.repeat(0x8000));
    assert.throws(() => decode(list.request, 1, `02 818002 ${long} 00`), /string of 32768 bytes/);
    assert.equal(decode(list.request, 1, `02 808002 ${long.slice(2)} 00`).values[0]?.length, 0x7fff);
  });

  test('an int64 that no number holds exactly', () => {
    assert.throws(() => decode(list.response, 0, '7fffffffffffffff'), MalformedError);
    assert.equal(decode(list.response, 0, '001fffffffffffff').at, Number.MAX_SAFE_INTEGER);
  });

  test('a tagged field that is shorter or longer than its size says', () => {
    const head = '00000001 00 ffffffffffffffff 01 ff';
    assert.deepEqual(decode(demo, 3, `${head} 01 00 05 00000009 00`).hint, { leader: 9 });
    for (const size of ['04', '06']) {
      assert.throws(() => decode(demo, 3, `${head} 01 00 ${size} 00000009 00 00`), MalformedError);
    }
  });

  test('but tagged fields that it does not know are skipped, and so are known ones before their version', () => {
    const head = '00000001 00 ffffffffffffffff 01 ff';
    const value = decode(demo, 2, `${head} 03 00 05 0000000900 05 03 020278 ff7f 02 abcd`);
    assert.deepEqual(value.tags, ['x']);
    assert.deepEqual(value.hint, { leader: -1 });
    assert.throws(() => decode(demo, 2, `${head} 01 63 ffffffff0f 00`), TruncatedError);
  });

  test('while trailing bytes stay with the caller', () => {
    const reader = new Reader(Buffer.from('000000000000000a63', 'hex'));
    list.response.decode(reader, 0);
    assert.equal(reader.remaining, 1);
  });
});

describe('records', () => {
  test('decode to a view of the frame', () => {
    const data = Buffer.alloc(100, 1);
    const frame = encode(demo, 1, { ...empty, rows: [{ data }] });
    const decoded = demo.decode(new Reader(frame), 1).rows[0]?.data ?? Buffer.alloc(0);
    assert.equal(decoded.buffer, frame.buffer);
    frame.fill(9);
    assert.ok(decoded.every((byte) => byte === 9));
  });

  test('are referenced when they are large, at the top and in a tagged field', () => {
    const data = Buffer.alloc(100_000, 1);
    for (const presence of [since(0), tagged(0)]) {
      const message = api({
        key: 1002,
        name: 'Large',
        versions: [0, 0],
        flexibleSince: 0,
        request: { data: field(records, presence) },
        response: {},
      }).request;
      const writer = new Writer();
      message.encode(writer, 0, { data });
      assert.ok(
        writer.chunks().some((chunk) => chunk.buffer === data.buffer && chunk.length === data.length),
      );
    }
  });
});

describe('UUIDs', () => {
  const message = api({
    key: 1003,
    name: 'Id',
    versions: [0, 0],
    flexibleSince: null,
    request: { id: field(uuid) },
    response: {},
  }).request;

  test('decode to what Kafka prints, also where two share a place in the cache', () => {
    // Equal exclusive-or of their words, so the same place.
    const bits = fc.tuple(fc.integer(), fc.integer(), fc.integer({ min: 0, max: 3 }));
    fc.assert(
      fc.property(fc.array(bits, { maxLength: 20 }), (ids) => {
        for (const [high, low, last] of ids) {
          const bytes = Buffer.alloc(16);
          for (const [index, word] of [high, high, low, low ^ last].entries())
            bytes.writeInt32BE(word, index * 4);
          const id = message.decode(new Reader(bytes), 0).id;
          assert.equal(id, bytes.toString('base64url'));
          assert.deepEqual(encode(message, 0, { id }), bytes);
        }
      }),
    );
  });

  test('leave the reader in place when they are cut short', () => {
    for (let length = 0; length < 16; length++) {
      const reader = new Reader(Buffer.alloc(length));
      assert.throws(() => message.decode(reader, 0), TruncatedError);
      assert.equal(reader.position, 0);
    }
  });

  test('the zero id is sixteen zero bytes', () => {
    assert.equal(encode(message, 0, { id: ZERO_UUID }).toString('hex'), '00'.repeat(16));
  });
});

test('of the strings in requests those are no names that are listed here', () => {
  const found: string[] = [];
  const walk = (type: Type<unknown, never>, at: string): void => {
    const { shape } = type;
    if (type === text) found.push(at);
    if (shape.kind === 'nullable') walk(shape.inner, at);
    if (shape.kind === 'array') walk(shape.element, at);
    if (shape.kind === 'struct') {
      for (const [name, one] of Object.entries(shape.fields)) walk(one.type, `${at}.${name}`);
    }
  };
  for (const { name, request } of Object.values(apis)) walk(request.type, name);
  assert.deepEqual(found.toSorted(), [
    'AlterConfigs.resources.configs.value',
    'ConsumerGroupHeartbeat.subscribedTopicRegex',
    'CreateTopics.topics.configs.value',
    'IncrementalAlterConfigs.resources.configs.value',
    'JoinGroup.reason',
    'LeaveGroup.members.reason',
    'ListTransactions.transactionalIdPattern',
    'OffsetCommit.topics.partitions.committedMetadata',
    'TxnOffsetCommit.topics.partitions.committedMetadata',
  ]);
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MalformedError } from '@polylog/bytes';
import fc from 'fast-check';
import {
  type ConsumerGroupKey,
  decodeConsumerGroup,
  decodeConsumerMember,
  decodeConsumerOffsetsKey,
  decodeCurrentAssignment,
  decodeRegularExpression,
  decodeTargetAssignment,
  decodeTargetAssignmentEpoch,
  encodeConsumerGroup,
  encodeConsumerGroupKey,
  encodeConsumerMember,
  encodeCurrentAssignment,
  encodeRegularExpression,
  encodeTargetAssignment,
  encodeTargetAssignmentEpoch,
  MEMBER_STATES,
  type StoredConsumerMember,
} from '../src/index.ts';

const TOPIC_ID = 'AQIDBAUGBwgJCgsMDQ4PEA';
const MEMBER: StoredConsumerMember = {
  instanceId: 'i',
  rackId: null,
  clientId: 'c',
  clientHost: '/h',
  subscribedTopics: ['t1', 't2'],
  subscribedRegex: 't.*',
  rebalanceTimeoutMs: 300_000,
  serverAssignor: 'uniform',
  classic: { sessionTimeoutMs: 45_000, protocols: [{ name: 'range', metadata: Uint8Array.of(1, 2) }] },
};

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

describe('records of the groups of KIP-848', () => {
  it("have Kafka's bytes: written by the classes of its 4.3.1", () => {
    const names: [ConsumerGroupKey, string][] = [
      [{ kind: 'consumer-group', group: 'g' }, '0003000167'],
      [{ kind: 'consumer-member', group: 'g', member: 'm' }, '000500016700016d'],
      [{ kind: 'target-assignment', group: 'g' }, '0006000167'],
      [{ kind: 'target-assignment-member', group: 'g', member: 'm' }, '000700016700016d'],
      [{ kind: 'current-assignment', group: 'g', member: 'm' }, '000800016700016d'],
      [{ kind: 'regular-expression', group: 'g', expression: 't.*' }, '00100001670003742e2a'],
    ];
    for (const [key, bytes] of names) assert.equal(hex(encodeConsumerGroupKey(key)), bytes);
    assert.equal(
      hex(encodeConsumerGroup({ epoch: 7, metadataHash: 258n })),
      '0000000000070100080000000000000102',
    );
    assert.equal(
      hex(encodeConsumerMember(MEMBER)),
      '00000269000263032f680303743103743204742e2a000493e008756e69666f726d010011010000afc8020672616e67650301020000',
    );
    assert.equal(hex(encodeTargetAssignmentEpoch(7)), '00000000000700');
    assert.equal(
      hex(encodeTargetAssignment(new Map([[TOPIC_ID, [0, 3]]]))),
      '0000020102030405060708090a0b0c0d0e0f100300000000000000030000',
    );
    assert.equal(
      hex(encodeRegularExpression({ topics: ['t1'], version: 9, timestamp: 10 })),
      '0000020374310000000000000009000000000000000a00',
    );
  });

  it('are read from what Kafka writes, tagged fields that we do not keep included', () => {
    const plain = '000001010263032f680101ffffffff0100';
    const member: StoredConsumerMember = {
      instanceId: '',
      rackId: '',
      clientId: 'c',
      clientHost: '/h',
      subscribedTopics: [],
      subscribedRegex: '',
      rebalanceTimeoutMs: -1,
      serverAssignor: '',
      classic: null,
    };
    assert.deepEqual(decodeConsumerMember(unhex(plain)), member);
    const withEpochs =
      '0000000000070000000601020102030405060708090a0b0c0d0e0f10020000000000020102030405060708090a0b0c0d0e0f100200000003010005020000000500';
    assert.deepEqual(decodeCurrentAssignment(unhex(withEpochs)), {
      memberEpoch: 7,
      previousMemberEpoch: 6,
      state: 'unrevoked',
      assigned: new Map([[TOPIC_ID, [0]]]),
      revoking: new Map([[TOPIC_ID, [3]]]),
      epochs: new Map([[TOPIC_ID, new Map([[3, 5]])]]),
    });
    const again = encodeCurrentAssignment(decodeCurrentAssignment(unhex(withEpochs)));
    assert.equal(hex(again), withEpochs);
    assert.deepEqual(decodeConsumerOffsetsKey(unhex('0004000167')), {
      kind: 'consumer-group-partitions',
      group: 'g',
    });
    assert.deepEqual(decodeConsumerOffsetsKey(unhex('0011000167')), { kind: 'unknown', version: 17 });
  });

  it('come back as they were written', () => {
    const partitions = fc.array(fc.nat(1000), { maxLength: 4 });
    const topicId = fc
      .uint8Array({ minLength: 16, maxLength: 16 })
      .map((bytes) => Buffer.from(bytes).toString('base64url'));
    const assignment = fc.array(fc.tuple(topicId, partitions), { maxLength: 3 }).map((all) => new Map(all));
    const name = fc.string({ unit: 'grapheme', maxLength: 8 });
    const nullable = fc.option(name);
    const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
      fc.record<T>(fields, { noNullPrototype: true });
    const classic = record({
      sessionTimeoutMs: fc.nat(),
      protocols: fc.array(record({ name, metadata: fc.uint8Array({ maxLength: 8 }) }), { maxLength: 3 }),
    });
    const member = record({
      instanceId: nullable,
      rackId: nullable,
      clientId: name,
      clientHost: name,
      subscribedTopics: fc.array(name, { maxLength: 3 }),
      subscribedRegex: nullable,
      rebalanceTimeoutMs: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      serverAssignor: nullable,
      classic: fc.option(classic),
    });
    const withoutEpochs = record({
      memberEpoch: fc.integer({ min: -2, max: 1000 }),
      previousMemberEpoch: fc.nat(),
      state: fc.constantFrom(...MEMBER_STATES),
      assigned: assignment,
      revoking: assignment,
    });
    const current = withoutEpochs.map((fields) => {
      const epochs = new Map<string, Map<number, number>>();
      for (const [id, held] of [...fields.assigned, ...fields.revoking]) {
        epochs.set(id, new Map([...(epochs.get(id) ?? []), ...held.map((at) => [at, 7 * at] as const)]));
      }
      return { ...fields, epochs };
    });
    const group = record({
      epoch: fc.nat(),
      metadataHash: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    });
    const regex = record({
      topics: fc.array(name),
      version: fc.nat(),
      timestamp: fc.nat(),
    });
    fc.assert(fc.property(member, (value) => isSame(value, encodeConsumerMember, decodeConsumerMember)));
    fc.assert(
      fc.property(current, (value) => isSame(value, encodeCurrentAssignment, decodeCurrentAssignment)),
    );
    fc.assert(fc.property(group, (value) => isSame(value, encodeConsumerGroup, decodeConsumerGroup)));
    fc.assert(fc.property(regex, (value) => isSame(value, encodeRegularExpression, decodeRegularExpression)));
    fc.assert(
      fc.property(assignment, (value) => isSame(value, encodeTargetAssignment, decodeTargetAssignment)),
    );
    assert.equal(decodeTargetAssignmentEpoch(encodeTargetAssignmentEpoch(3)), 3);
  });

  it('that are damaged are refused, and nothing worse', () => {
    const decoders = [
      decodeConsumerGroup,
      decodeConsumerMember,
      decodeCurrentAssignment,
      decodeRegularExpression,
      decodeTargetAssignment,
      decodeTargetAssignmentEpoch,
      decodeConsumerOffsetsKey,
    ];
    const good = [encodeConsumerMember(MEMBER), encodeTargetAssignment(new Map([[TOPIC_ID, [0, 3]]]))];
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc
        .constantFrom(...good)
        .chain((from) =>
          fc
            .tuple(fc.nat(from.length - 1), fc.nat(255))
            .map(([at, value]) => Uint8Array.from(from, (byte, index) => (index === at ? value : byte))),
        ),
    );
    fc.assert(
      fc.property(fc.constantFrom(...decoders), bytes, (decode, damaged) => {
        try {
          decode(damaged);
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function isSame<T>(value: T, encode: (value: T) => Uint8Array, decode: (bytes: Uint8Array) => T): void {
  assert.deepEqual(decode(encode(value)), value);
}

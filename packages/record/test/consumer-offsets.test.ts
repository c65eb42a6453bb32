import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MalformedError } from '@polylog/bytes';
import fc from 'fast-check';
import {
  decodeConsumerOffsetsKey,
  decodeGroupValue,
  decodeOffsetValue,
  encodeGroupKey,
  encodeGroupValue,
  encodeOffsetKey,
  encodeOffsetValue,
  type StoredGroup,
} from '../src/index.ts';

/** Hex digits, with spaces between the fields. */
function spaced(text: string): string {
  return text.replaceAll(/\s+/g, '');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const GROUP: StoredGroup = {
  protocolType: 'consumer',
  generation: 3,
  protocol: 'range',
  leader: 'm1',
  currentStateTimestamp: 5,
  members: [
    {
      memberId: 'm1',
      groupInstanceId: null,
      clientId: 'c',
      clientHost: '/h',
      rebalanceTimeoutMs: 300_000,
      sessionTimeoutMs: 45_000,
      subscription: Buffer.from('ab'),
      assignment: Buffer.from('xyz'),
    },
  ],
};

describe('records of __consumer_offsets', () => {
  it("have Kafka's bytes", () => {
    assert.equal(hex(encodeOffsetKey('g', 'top', 7)), spaced('0001 000167 0003746f70 00000007'));
    assert.equal(hex(encodeGroupKey('g')), '0002000167');
    const committed = { offset: 258, leaderEpoch: 4, metadata: 'm', commitTimestamp: 5 };
    assert.equal(
      hex(encodeOffsetValue({ ...committed, expireTimestamp: -1 })),
      spaced('0003 0000000000000102 00000004 00016d 0000000000000005'),
    );
    assert.equal(
      hex(encodeOffsetValue({ ...committed, expireTimestamp: 6 })),
      spaced('0001 0000000000000102 00016d 0000000000000005 0000000000000006'),
    );
    assert.equal(
      hex(encodeGroupValue(GROUP)),
      spaced(
        `0003 0008 ${hex(Buffer.from('consumer'))} 00000003 0005 ${hex(Buffer.from('range'))} 00026d31
         0000000000000005 00000001
         00026d31 ffff 000163 00022f68 000493e0 0000afc8 00000002 6162 00000003 78797a`,
      ),
    );
  });

  it('come back as they were written', () => {
    assert.deepEqual(decodeConsumerOffsetsKey(encodeOffsetKey('g', 't', 1)), {
      kind: 'offset',
      group: 'g',
      topic: 't',
      partition: 1,
    });
    assert.deepEqual(decodeConsumerOffsetsKey(encodeGroupKey('ä')), { kind: 'group', group: 'ä' });
    const decoded = decodeGroupValue(encodeGroupValue(GROUP));
    assert.deepEqual(hex(decoded.members[0]!.assignment), hex(GROUP.members[0]!.assignment));
    assert.deepEqual({ ...decoded, members: [] }, { ...GROUP, members: [] });
  });

  it('of other versions are read too', () => {
    // Version 0: no rebalance time-out of its own, no instance ids, no time of the state.
    const old = Buffer.from(
      spaced('0000 000163 00000001 ffff ffff 00000001 00016d 000163 000168 00000009 00000000 00000000'),
      'hex',
    );
    const group = decodeGroupValue(old);
    assert.equal(group.currentStateTimestamp, -1);
    assert.equal(group.members[0]?.rebalanceTimeoutMs, 9);
    assert.equal(group.members[0]?.groupInstanceId, null);
    // Version 4 is flexible, and may have tags behind.
    const flexible = Buffer.from(
      spaced('0004 0000000000000009 00000002 026d 0000000000000005 01 00 02 0a0b'),
      'hex',
    );
    assert.deepEqual(decodeOffsetValue(flexible), {
      offset: 9,
      leaderEpoch: 2,
      metadata: 'm',
      commitTimestamp: 5,
      expireTimestamp: -1,
    });
    assert.deepEqual(decodeConsumerOffsetsKey(Buffer.from('0009000167', 'hex')), {
      kind: 'unknown',
      version: 9,
    });
  });

  it('that are damaged are refused, and nothing worse', () => {
    const whole = [
      encodeOffsetKey('g', 't', 1),
      encodeOffsetValue({ offset: 1, leaderEpoch: 1, metadata: '', commitTimestamp: 1, expireTimestamp: -1 }),
      encodeGroupValue(GROUP),
    ];
    const decoders = [decodeConsumerOffsetsKey, decodeOffsetValue, decodeGroupValue];
    for (const [index, bytes] of whole.entries()) {
      for (let end = 0; end < bytes.length; end++) {
        assert.throws(() => decoders[index]!(bytes.subarray(0, end)), MalformedError);
      }
    }
    assert.throws(() => decodeOffsetValue(Buffer.from('0005', 'hex')), /version 5/);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const decode of decoders) {
          try {
            decode(bytes);
          } catch (error) {
            assert.ok(error instanceof MalformedError, String(error));
          }
        }
      }),
    );
  });
});

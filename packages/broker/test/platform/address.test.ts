import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalAddress } from '../../src/platform/address.ts';

describe('The canonical form of an address', () => {
  for (const [text, canonical] of Object.entries({
    '127.0.0.1': '127.0.0.1',
    '::ffff:127.0.0.1': '127.0.0.1',
    '::FFFF:7f00:1': '127.0.0.1',
    '10.1.2.3': '10.1.2.3',
    '::1': '0:0:0:0:0:0:0:1',
    '0:0:0:0:0:0:0:1': '0:0:0:0:0:0:0:1',
    '2001:DB8:0:0::1': '2001:db8:0:0:0:0:0:1',
    '2001:DB8::00ff': '2001:db8:0:0:0:0:0:ff',
    'fe80::1%eth0': 'fe80:0:0:0:0:0:0:1',
    '::': '0:0:0:0:0:0:0:0',
    '1::': '1:0:0:0:0:0:0:0',
    '64:ff9b::192.0.2.33': '64:ff9b:0:0:0:0:c000:221',
  })) {
    it(`of ${text} is ${canonical}`, () => assert.equal(canonicalAddress(text), canonical));
  }
  for (const text of [
    '',
    'localhost',
    'example.org',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1:2',
    ':::',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '1.2.3.4:5',
    '*',
  ]) {
    it(`does not exist of ${JSON.stringify(text)}`, () => assert.equal(canonicalAddress(text), undefined));
  }
});

import { describe, test } from 'node:test';
import { PEER_NAMES, requirePeer } from './peers.ts';

describe('the stock clients that the end-to-end tests need', () => {
  for (const name of PEER_NAMES) {
    test(`${name} is there`, async (t) => {
      const { skip, versions } = await requirePeer(name);
      if (skip !== false) t.skip(skip);
      else t.diagnostic(`${name} ${versions[name]}`);
    });
  }
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  featureChanges,
  featureLevel,
  finalizedFeatures,
  type Feature,
  type FeatureUpdate,
} from '../../src/cluster/features.ts';
import { SectionWriter } from '../../src/cluster/section-writer.ts';
import { BrokerError } from '../../src/errors.ts';
import { openCluster } from '../support/cluster-bench.ts';

const features: readonly Feature[] = [
  { name: 'a.version', minVersion: 0, maxVersion: 1, defaultLevel: 0 },
  { name: 'b.version', minVersion: 0, maxVersion: 2, defaultLevel: 2 },
];
const update = (
  name: string,
  level: number,
  kind: FeatureUpdate['kind'] = 'upgrade',
): readonly FeatureUpdate[] => [{ name, level, kind }];

describe('The finalized features of a cluster', () => {
  it('are at their default levels until somebody changes them, and stay changed', async () => {
    const { store, tracker } = await openCluster();
    const writer = new SectionWriter({ store, tracker });
    const change = (updates: readonly FeatureUpdate[]) =>
      writer.change(
        'features/',
        features.map(({ name }) => name),
        (records) => featureChanges(records, updates, features),
      );
    assert.deepEqual(finalizedFeatures(tracker.image, features), [{ name: 'b.version', level: 2 }]);
    assert.equal(featureLevel(tracker.image, 'b.version', features), 2);
    assert.equal(featureLevel(tracker.image, 'c.version', features), 0);
    await change(update('a.version', 1));
    await change(update('b.version', 0, 'unsafe-downgrade'));
    assert.deepEqual(finalizedFeatures(tracker.image, features), [{ name: 'a.version', level: 1 }]);
    // A lower default of a later release does not take back what was agreed on.
    const later = features.map((feature) => ({ ...feature, defaultLevel: 0 }));
    assert.deepEqual(finalizedFeatures(tracker.image, later), [{ name: 'a.version', level: 1 }]);
  });

  const refusals: readonly [why: string, updates: readonly FeatureUpdate[], message: RegExp][] = [
    ['an unknown feature', update('c.version', 1), /only a\.version, b\.version/],
    ['a level that is not supported', update('a.version', 2), /supports levels 0 to 1/],
    ['a lower level by an upgrade', update('b.version', 1), /is at 2: ask for a downgrade/],
    ['a higher level by a downgrade', update('a.version', 1, 'safe-downgrade'), /cannot raise/],
    ['a feature that comes twice', [...update('b.version', 2), ...update('b.version', 2)], /twice/],
    ['one of two', [...update('a.version', 1), ...update('b.version', 3)], /supports levels 0 to 2/],
  ];
  for (const [why, updates, message] of refusals) {
    it(`are not changed by ${why}`, () => {
      assert.throws(
        () => featureChanges(new Map(), updates, features),
        (error) => error instanceof BrokerError && message.test(error.message),
      );
    });
  }
});

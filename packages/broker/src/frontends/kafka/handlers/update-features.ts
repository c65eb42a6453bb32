import { updateFeatures, type UpdateFeaturesRequest } from '@polylog/kafka-protocol';

import { featureChanges, FEATURES, type FeatureUpdate } from '../../../cluster/features.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal, itemErrorOf, NO_ERROR, withinTimeout } from './admin-requests.ts';

/** By their number in the protocol. */
const KINDS: readonly (FeatureUpdate['kind'] | undefined)[] = [
  undefined,
  'upgrade',
  'safe-downgrade',
  'unsafe-downgrade',
];

/**
 * UpdateFeatures v0-v2 (KIP-584, KIP-778, KIP-1022).
 *
 * - All updates of a request hold, or none: the error is that of the whole request, in every version.
 * - A lower level has to be asked for as a downgrade, in v0 by `allowDowngrade`; level 0 ends the feature.
 * - v0 and v1 name each feature in the answer, v2 does not.
 */
export function updateFeaturesHandler({ sections, timers }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: updateFeatures,
    versions: [0, 2],
    isAdmin: true,
    async handle(request, { version }) {
      try {
        const updates = updatesOf(request, version);
        const names = FEATURES.map(({ name }) => name);
        const change = sections.change('features/', names, (records) => {
          const changes = featureChanges(records, updates);
          return request.validateOnly ? new Map() : changes;
        });
        await withinTimeout(timers, request.timeoutMs, change);
        return { ...NO_ERROR, results: updates.map(({ name }) => ({ feature: name, errorCode: NONE })) };
      } catch (error) {
        return { ...itemErrorOf(error), results: [] };
      }
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, results: [] }),
  });
}

function updatesOf({ featureUpdates }: UpdateFeaturesRequest, version: number): FeatureUpdate[] {
  return featureUpdates.map(({ feature, maxVersionLevel, upgradeType, allowDowngrade }) => {
    const kind = version === 0 ? (allowDowngrade ? 'safe-downgrade' : 'upgrade') : KINDS[upgradeType];
    if (kind === undefined) {
      throw new ItemRefusal('INVALID_UPDATE_VERSION', `The upgrade type ${upgradeType} is unknown`);
    }
    return { name: feature, level: Math.max(0, maxVersionLevel), kind };
  });
}

import { apiVersions, type ApiVersionsResponseInit } from '@polylog/kafka-protocol';

import { FEATURES, finalizedFeatures, type Feature, type FeatureImage } from '../../../cluster/features.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler } from '../handler.ts';

/**
 * ApiVersions v0-v4 (KIP-35, KIP-511, KIP-584).
 *
 * - The answer is derived from the list of handlers, so it cannot promise what is not there.
 * - A version above v4 is answered in v0 with error 35 and the whole list, so that newer clients can step down (KIP-511).
 * - v3+ sends the client's software name and version; malformed ones are error 42, as in Kafka.
 * - v3+ has the features (cluster/features.ts): those that this broker supports, and the levels that the cluster has agreed on. Up to v3 a
 *   supported feature whose minimum is 0 is left out (KAFKA-17011).
 */
export function apiVersionsHandler(
  image: () => FeatureImage,
  handlers: () => readonly KafkaHandler[],
): KafkaHandler {
  return defineHandler({
    api: apiVersions,
    versions: [0, 4],
    handle(request, exchange) {
      if (
        exchange.version >= 3 &&
        !(SOFTWARE_FORM.test(request.clientSoftwareName) && SOFTWARE_FORM.test(request.clientSoftwareVersion))
      ) {
        return { errorCode: errorCodeOf('INVALID_REQUEST'), apiKeys: [] };
      }
      return { ...answer(handlers(), NONE, exchange.version), ...finalized(image()) };
    },
    failure: (_request, errorCode) => ({ errorCode, apiKeys: [] }),
    unsupportedVersion: () => ({
      version: 0,
      body: answer(handlers(), errorCodeOf('UNSUPPORTED_VERSION'), 0),
    }),
  });
}

/** KIP-511. */
const SOFTWARE_FORM = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

/** What of the features a version of the API may show. */
export function featuresIn<F extends Pick<Feature, 'minVersion'>>(
  version: number,
  features: readonly F[],
): readonly F[] {
  return version >= 4 ? features : features.filter((feature) => feature.minVersion > 0);
}

function answer(
  handlers: readonly KafkaHandler[],
  errorCode: number,
  version: number,
): ApiVersionsResponseInit {
  return {
    errorCode,
    apiKeys: handlers
      .map(({ api, advertisedMin, versionMax }) => ({
        apiKey: api.key,
        minVersion: advertisedMin,
        maxVersion: versionMax,
      }))
      .sort((a, b) => a.apiKey - b.apiKey),
    supportedFeatures: featuresIn(version, FEATURES).map(({ name, minVersion, maxVersion }) => ({
      name,
      minVersion,
      maxVersion,
    })),
  };
}

function finalized(
  image: FeatureImage,
): Pick<ApiVersionsResponseInit, 'finalizedFeaturesEpoch' | 'finalizedFeatures'> {
  return {
    finalizedFeaturesEpoch: image.version,
    finalizedFeatures: finalizedFeatures(image).map(({ name, level }) => ({
      name,
      minVersionLevel: level,
      maxVersionLevel: level,
    })),
  };
}

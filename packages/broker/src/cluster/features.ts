import { BrokerError } from '../errors.ts';
import type { ClusterImage } from './image.ts';
import type { Section } from './sections.ts';

/**
 * A feature whose level the whole cluster agrees on (KIP-584): what a broker supports is in its code, what is finalized is in the section
 * `features/` of the metadata, so that a level neither rises nor falls with the broker that a client happens to ask.
 */
export interface Feature {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** The level while nobody has changed it; 0: not finalized. */
  readonly defaultLevel: number;
}

/** KIP-890: 1 keeps more of each transaction, with 2 each has an epoch of its own. */
export const TRANSACTION_VERSION = 'transaction.version';

export const GROUP_VERSION = 'group.version';

/** In the order of their names. */
export const FEATURES: readonly Feature[] = [
  /** 1: the consumer groups of KIP-848. */
  { name: GROUP_VERSION, minVersion: 0, maxVersion: 1, defaultLevel: 1 },
  { name: TRANSACTION_VERSION, minVersion: 0, maxVersion: 2, defaultLevel: 2 },
];

/** The part of the image that holds them. */
export type FeatureImage = Pick<ClusterImage, 'section' | 'version'>;

export interface FinalizedFeature {
  readonly name: string;
  /** At least 1. */
  readonly level: number;
}

/** A record of the section, by the feature's name. */
interface FeatureRecord {
  readonly level: number;
}

export interface FeatureUpdate {
  readonly name: string;
  /** 0: it is no longer finalized. */
  readonly level: number;
  readonly kind: 'upgrade' | 'safe-downgrade' | 'unsafe-downgrade';
}

/** Those that are finalized at a level above 0. */
export function finalizedFeatures(
  image: FeatureImage,
  features: readonly Feature[] = FEATURES,
): FinalizedFeature[] {
  const section = image.section('features/');
  return features
    .map((feature) => ({ name: feature.name, level: levelIn(section, feature) }))
    .filter(({ level }) => level > 0);
}

/** The finalized level of one feature; 0 if it is not finalized, or unknown. For code that behaves differently from level to level. */
export function featureLevel(
  image: FeatureImage,
  name: string,
  features: readonly Feature[] = FEATURES,
): number {
  const feature = features.find((candidate) => candidate.name === name);
  return feature === undefined ? 0 : levelIn(image.section('features/'), feature);
}

function levelIn(section: Pick<Section, 'get'>, { name, maxVersion, defaultLevel }: Feature): number {
  const record = section.get(name) as FeatureRecord | undefined;
  // A newer broker may have finalized more than this one knows.
  return Math.min(record?.level ?? defaultLevel, maxVersion);
}

/**
 * What has to be written so that all updates hold; for SectionWriter.change. Throws BrokerError INVALID_UPDATE_VERSION or INVALID_REQUEST
 * for the first that cannot be done.
 */
export function featureChanges(
  records: Pick<Section, 'get'>,
  updates: readonly FeatureUpdate[],
  features: readonly Feature[] = FEATURES,
): ReadonlyMap<string, unknown> {
  const changes = new Map<string, FeatureRecord>();
  for (const { name, level, kind } of updates) {
    if (changes.has(name)) throw new BrokerError('INVALID_REQUEST', `The feature ${name} comes twice`);
    const feature = features.find((candidate) => candidate.name === name);
    if (feature === undefined) {
      const known = features.map((each) => each.name).join(', ');
      throw refused(name, level, `this cluster has ${known === '' ? 'no features' : `only ${known}`}`);
    }
    if (level < feature.minVersion || level > feature.maxVersion) {
      throw refused(name, level, `it supports levels ${feature.minVersion} to ${feature.maxVersion}`);
    }
    const present = levelIn(records, feature);
    if (level < present && kind === 'upgrade') {
      throw refused(name, level, `it is at ${present}: ask for a downgrade, safe or unsafe`);
    }
    if (level > present && kind !== 'upgrade') {
      throw refused(name, level, `it is at ${present}, which a downgrade cannot raise`);
    }
    changes.set(name, { level });
  }
  return changes;
}

function refused(name: string, level: number, why: string): BrokerError {
  return new BrokerError('INVALID_UPDATE_VERSION', `The feature ${name} cannot be set to ${level}: ${why}`);
}

import type { BrokerSettings } from '../config/broker-config.ts';
import type { GroupSettings } from './types.ts';

const MINUTE_MS = 60_000;

export function groupSettingsOf(settings: BrokerSettings): GroupSettings {
  return {
    sessionTimeoutMinMs: settings['group.min.session.timeout.ms'],
    sessionTimeoutMaxMs: settings['group.max.session.timeout.ms'],
    initialRebalanceDelayMs: settings['group.initial.rebalance.delay.ms'],
    membersMax: settings['group.max.size'],
    groupsMax: settings['groups.per.coordinator.max'],
    metadataBytesMax: settings['groups.metadata.max.bytes'],
    offsetsPerGroupMax: settings['group.offsets.max'],
    offsetMetadataBytesMax: settings['offset.metadata.max.bytes'],
    offsetsRetentionMs: settings['offsets.retention.minutes'] * MINUTE_MS,
    retentionCheckMs: settings['offsets.retention.check.interval.ms'],
  };
}

import { configRecord, groupConfigKey } from '../cluster/config-records.ts';
import type { ClusterImage } from '../cluster/image.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import { parseGroupConfig } from '../config/group-config.ts';
import { BrokerError } from '../errors.ts';
import { ASSIGNMENT_STEPS_PER_TURN_MAX } from './consumer/assigning.core.ts';
import type { AssignorName } from './consumer/assignors.core.ts';
import type { GroupTimes } from './consumer/types.ts';
import type { GroupSettings } from './types.ts';

const MINUTE_MS = 60_000;

export function groupSettingsOf({ settings, stepsPerTurn }: BrokerConfig): GroupSettings {
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
    consumer: {
      enabled: settings['group.coordinator.rebalance.protocols'].includes('consumer'),
      membersMax: settings['group.consumer.max.size'],
      assignors: settings['group.consumer.assignors'] as readonly AssignorName[],
      migrationPolicy: settings['group.consumer.migration.policy'],
      assignmentStepsPerTurnMax: stepsPerTurn?.assignment ?? ASSIGNMENT_STEPS_PER_TURN_MAX,
    },
  };
}

/** What was set for a group by itself, at present, and the broker's settings where nothing was. */
export function groupTimesOf(
  of: { readonly image: ClusterImage },
  config: BrokerConfig,
): (groupId: string) => GroupTimes {
  return (groupId) => {
    const overrides = configRecord(of.image.section('broker-configs/'), groupConfigKey(groupId));
    const { settings } = config;
    return (
      (overrides.size === 0 ? undefined : own(overrides, config)) ?? {
        sessionTimeoutMs: settings['group.consumer.session.timeout.ms'],
        heartbeatIntervalMs: settings['group.consumer.heartbeat.interval.ms'],
      }
    );
  };
}

/** Undefined where they do not go with the broker's settings any more, which were changed since. */
function own(overrides: ReadonlyMap<string, string>, config: BrokerConfig): GroupTimes | undefined {
  try {
    return parseGroupConfig(overrides, config);
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

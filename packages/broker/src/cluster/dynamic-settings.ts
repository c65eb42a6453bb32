import type { LiveConfig } from '../config/live-config.ts';
import type { Logger } from '../platform/log.ts';
import { brokerConfigKey, configRecord } from './config-records.ts';
import type { ImageTracker } from './tracker.ts';

/** Keeps a broker's configuration in step with what the metadata says was changed at run time. From within the call on. */
export function followDynamicSettings(options: {
  readonly config: LiveConfig;
  readonly tracker: ImageTracker;
  readonly brokerId: number;
  readonly logger: Logger;
}): void {
  const { config, tracker, brokerId, logger } = options;
  const apply = (): void => {
    const section = tracker.image.section('broker-configs/');
    const mistakes = config.apply({
      broker: configRecord(section, brokerConfigKey(brokerId)),
      cluster: configRecord(section, brokerConfigKey(undefined)),
    });
    if (mistakes.length > 0) {
      logger.warn({ mistakes }, 'Settings that were changed at run time do not count in this release');
    }
  };
  apply();
  tracker.onChange(({ sections }) => {
    if (sections.has('broker-configs/')) apply();
  });
}

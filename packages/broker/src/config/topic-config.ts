import type { LogConfig } from '../storage/types.ts';

/** A topic's effective settings, parsed from its overrides over the broker's defaults. */
export interface TopicSettings {
  readonly log: LogConfig;
  readonly maxMessageBytes: number;
  readonly compression: {
    readonly type: 'producer' | 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
    readonly level: number | undefined;
  };
  readonly timestampType: 'CreateTime' | 'LogAppendTime';
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  readonly minInsyncReplicas: number;
  readonly compact: boolean;
  readonly uncleanLeaderElection: boolean;
}

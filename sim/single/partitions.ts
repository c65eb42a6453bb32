import type { LogConfig } from '../../packages/broker/src/storage/types.ts';
import { LOG_CONFIG } from '../workload/broker-node.ts';
import { COMPACTED_CONFIG } from '../workload/compacted-log.ts';

/*
 *   partition 0  fsync, kept         1  fsync, retention by size      2  fsync, kept, DeleteRecords
 *             3  flush=os: promises nothing once the power was lost   4  a bare log: append, truncate, reset against a model
 *             5  a bare compacted log, which is cleaned meanwhile
 *             6  fsync, transactions, retention by size      7  transactions in a compacted log
 */
export const BARE_LOG_PARTITION = 4;
export const COMPACTED_PARTITION = 5;
export const TRANSACTIONAL_PARTITIONS = [6, 7];

export const CONFIGS: readonly LogConfig[] = [
  LOG_CONFIG,
  { ...LOG_CONFIG, retentionBytes: 20_000, segmentBytes: 4096 },
  LOG_CONFIG,
  { ...LOG_CONFIG, flush: 'os' },
  LOG_CONFIG,
  COMPACTED_CONFIG,
  { ...LOG_CONFIG, retentionBytes: 30_000, segmentBytes: 4096 },
  COMPACTED_CONFIG,
];

export type * from './types.ts';
export * from './partition.ts';
export type * from './partition-record.core.ts';
export { ReplicaFetcher } from './replica-fetcher.ts';
export * from './transport.ts';
export { TurnScheduler } from './turns.ts';

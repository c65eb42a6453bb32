// The record belongs to the cluster's state, where the controller decides about it by the same rules.
export * from '../cluster/partition-record.core.ts';

export * from './batch-header.ts';
export * from './validate.ts';
export * from './record.ts';
export * from './batch-builder.ts';
export * from './control-record.ts';
export * from './check-records.ts';
export * from './consumer-offsets.ts';
export * from './retain-records.ts';

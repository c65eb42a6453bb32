export * from './apis.ts';
export * from './frame.ts';
export * from './messages/api-versions.ts';
export * from './messages/fetch.ts';
export * from './messages/metadata.ts';
export * from './messages/produce.ts';
export * from './schema/index.ts';

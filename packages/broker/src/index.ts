export { Broker, type BrokerOptions } from './broker.ts';
export { ConfigError } from './config/load.ts';
export { DataFolderError } from './config/meta-properties.ts';
export { BrokerError } from './errors.ts';
export { DiskError, NetworkError, type Logger, type LogFields } from './platform/index.ts';

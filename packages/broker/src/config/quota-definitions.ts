import { integer } from './definition.ts';

/** 80 MB for the 50,000 users and client ids that are measured at most, and as much for addresses; each request adds all of its client's samples up. */
const QUOTA_SAMPLES_MAX = 100;

/** Settings of quotas; what users, client ids and addresses may do is no setting, but set by Kafka's admin APIs. */
export const QUOTA_CONFIGS = {
  'max.connection.creation.rate': integer('max.connection.creation.rate', {
    type: 'int',
    default: String(2 ** 31 - 1),
    min: 1,
    documentation:
      'New connections that the broker takes in a second, measured over the window of quotas; what comes faster is served later.',
  }),
  'quota.window.num': integer('quota.window.num', {
    type: 'int',
    default: '11',
    min: 2,
    max: QUOTA_SAMPLES_MAX,
    documentation:
      'Samples over which the rates of quotas are measured. Each takes 16 bytes for every user, client id and address that is measured: a longer window has longer samples.',
  }),
  'quota.window.size.seconds': integer('quota.window.size.seconds', {
    type: 'int',
    default: '1',
    min: 1,
    max: 3600,
    unit: 'seconds',
    documentation: 'How long each of those samples is.',
  }),
} as const;

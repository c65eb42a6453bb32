import { integer } from './definition.ts';

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
    max: 3600,
    documentation: 'Samples over which the rates of quotas are measured.',
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

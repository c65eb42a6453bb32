import { heartbeat } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** Heartbeat v0-v4: a member is alive, and learns with 27 that it has to join again. */
export function heartbeatHandler({ groups }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: heartbeat,
    versions: [0, 4],
    handle: (request) => ({ errorCode: codeOf(groups.heartbeat(request)) }),
    failure: (_request, errorCode) => ({ errorCode }),
  });
}

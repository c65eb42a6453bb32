import type { Metrics } from '../../metrics/types.ts';
import type { Pipeline } from './pipeline.ts';

/** Registers what the connections of all listeners hold at the moment; all of it is read at scrapes. */
export function describePipeline(metrics: Metrics, pipeline: Pipeline): void {
  const gauge = (name: string, help: string, read: () => number): void => metrics.gauge({ name, help, read });
  const { frames, responseBudget, limits, pool } = pipeline;
  gauge('requests_in_flight', 'Requests without a response yet, long polls included', () => {
    let requests = 0;
    for (const { pendingCount } of pipeline.sessions) requests += pendingCount;
    return requests;
  });
  gauge('request_buffer_bytes', 'Memory of requests that arrive in pieces or wait', () => frames.usedBytes);
  gauge(
    'request_buffer_bytes_max',
    'Memory of requests at which reading pauses (queued.max.request.bytes)',
    () => limits.requestBytesInFlightMax,
  );
  gauge(
    'requests_waiting_for_memory',
    'Requests whose reading pauses for want of request memory',
    () => frames.waiting,
  );
  gauge(
    'response_buffer_bytes',
    'Records in memory that no socket has taken yet',
    () => responseBudget.usedBytes,
  );
  gauge(
    'response_encoded_bytes',
    'Responses without their records that no socket has taken yet',
    () => pipeline.encodedBytes,
  );
  gauge(
    'response_buffer_bytes_max',
    'Bound of records in memory, and again of encoded responses (queued.max.response.bytes)',
    () => limits.responseBytesInFlightMax,
  );
  gauge(
    'free_buffer_bytes',
    'Memory without use that is kept for the next large requests and responses',
    () => pool.retainedBytes,
  );
}

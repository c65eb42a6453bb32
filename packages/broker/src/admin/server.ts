import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../metrics/types.ts';
import type { Logger } from '../platform/index.ts';

/** Why the broker cannot serve, or undefined if it can. */
export type Readiness = () => string | undefined;

export interface AdminServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly logger: Logger;
}

export interface AdminServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A request that is not complete within this time is dropped. */
const REQUEST_TIMEOUT_MS = 10_000;
const BODY_BYTES_MAX = 1024 * 1024;

/**
 * The HTTP API: `/health/live`, `/health/ready` (200 or 503), `/metrics`. Errors are JSON: `{ error: { code, message } }`.
 * Rejects with the system's error when the address cannot be taken.
 */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  // Loaded here, because it takes longer than all the rest of a start.
  const { fastify } = await import('fastify');
  const app = fastify({
    logger: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });
  addRoutes(app, options);
  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('The HTTP listener has no port');
  return { host: options.host, port: address.port, close: () => app.close() };
}

/** In place of fastify's compilers of JSON schemas, whose loading costs most of its start and 5 MiB: no route has a schema. */
function noSchemas(): never {
  throw new Error('routes with a schema need a compiler of schemas');
}

function addRoutes(app: FastifyInstance, { metrics, readiness, logger }: AdminServerOptions): void {
  app.get('/health/live', () => ({ status: 'live' }));
  app.get('/health/ready', async (_request, reply) => {
    const reason = readiness();
    if (reason === undefined) return { status: 'ready' };
    return reply.code(503).send({ status: 'unready', reason });
  });
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await metrics.render();
    return reply.header('content-type', contentType).send(body);
  });
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: { code: 'NOT_FOUND', message: `Nothing answers ${request.method} ${request.url}` } }),
  );
  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) logger.error({ error, url: request.url }, 'An HTTP request failed');
    const message = status >= 500 ? 'The broker failed; its log says why' : error.message;
    return reply.code(status).send({ error: { code: error.code ?? 'INTERNAL', message } });
  });
}

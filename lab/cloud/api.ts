import fastify, { type FastifyInstance } from 'fastify';
import { z } from 'zod';

/** An error as an API reports it. */
export class ApiError extends Error {
  /** @param code documented error code: a word of Hetzner's, a number of Cloudflare's */
  constructor(
    readonly status: number,
    readonly code: string | number,
    message: string,
    readonly details?: object,
  ) {
    super(message);
  }
}

/** How an API answers a request that fails. */
export interface Errors {
  /** Why a request with that `Authorization` header is not let in; undefined if it is. */
  unauthorized: (header: string | undefined) => ApiError | undefined;
  /** @param request method and path */
  noSuchPath: (request: string) => ApiError;
  invalid: (reason: string) => ApiError;
  /** The API itself failed. */
  internal: (reason: string) => ApiError;
  body: (error: ApiError) => object;
}

/** An HTTP server without routes that checks the token of each request and reports errors in the form of one API. */
export function apiServer(errors: Errors): FastifyInstance {
  const app = fastify({ routerOptions: { maxParamLength: 200 } });
  app.addHook('onRequest', (request, _reply, done) => {
    done(errors.unauthorized(request.headers.authorization));
  });
  app.setNotFoundHandler((request) => {
    throw errors.noSuchPath(`${request.method} ${request.url}`);
  });
  app.setErrorHandler((error, _request, reply) => {
    const known = asApiError(error, errors);
    if (known.status >= 500) console.error(error);
    return reply.code(known.status).send(errors.body(known));
  });
  return app;
}

function asApiError(error: unknown, { invalid, internal }: Errors): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof z.ZodError) return invalid(z.prettifyError(error));
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  return statusCode < 500 ? invalid(message) : internal(message);
}

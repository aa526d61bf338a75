import { ApiError, type Errors } from '../api';

/** Throws what the API answers to a request that it does not take. */
export function refuse(code: number, message: string): never {
  throw new ApiError(400, code, message);
}

/** How the API reports errors; the codes are Cloudflare's. */
export const errors = (token: string): Errors => ({
  unauthorized: (header) => {
    if (header === undefined)
      return new ApiError(400, 9106, 'Missing X-Auth-Key, X-Auth-Email or Authorization headers');
    if (!/^Bearer [0-9A-Za-z_-]{40,80}$/.test(header)) {
      return new ApiError(400, 6003, 'Invalid request headers', {
        code: 6111,
        message: 'Invalid format for Authorization header',
      });
    }
    if (header !== `Bearer ${token}`) return new ApiError(403, 9109, 'Invalid access token');
    return undefined;
  },
  noSuchPath: (request) => new ApiError(404, 7000, `No route for that URI: ${request}`),
  invalid: (reason) => new ApiError(400, 9207, `Request is invalid: ${reason}`),
  internal: (reason) => new ApiError(500, 10000, reason),
  body: ({ code, message, details }) => ({
    success: false,
    errors: [{ code, message, ...(details && { error_chain: [details] }) }],
    messages: [],
    result: null,
  }),
});

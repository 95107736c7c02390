import { randomBytes } from 'node:crypto';

/** Name of one HTTP request, as `x-request-id` of its answer and in every log line about it. */
export const newRequestId = (): string => `req_${randomBytes(12).toString('hex')}`;

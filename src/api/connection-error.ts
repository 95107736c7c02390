import type { Socket } from 'node:net';
import { AppError } from '../base/errors.ts';
import { presentError } from './present/error.ts';
import { newRequestId } from './request-id.ts';

/** Answers what is not HTTP, or too slow or too large to become a request; the connection cannot go on after it. */
export function writeConnectionError(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const { line, message } = describe(error.code);
  const { body } = presentError(new AppError('input.invalid-request', message));
  const text = JSON.stringify(body);
  const headers = [
    `HTTP/1.1 ${line}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    `x-request-id: ${newRequestId()}`,
    'x-should-retry: false',
  ];
  socket.end(`${headers.join('\r\n')}\r\n\r\n${text}`);
}

function describe(code: string | undefined): { readonly line: string; readonly message: string } {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { line: '408 Request Timeout', message: 'the request did not arrive in time' };
    case 'HPE_HEADER_OVERFLOW':
      return { line: '431 Request Header Fields Too Large', message: 'the request headers are too large' };
    default:
      return { line: '400 Bad Request', message: 'the request is not valid HTTP' };
  }
}

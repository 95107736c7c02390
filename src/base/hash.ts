import { hash } from 'node:crypto';

/** Lower-case hex sha256 of bytes or UTF-8 text. */
export function sha256Hex(data: Uint8Array | string): string {
  return hash('sha256', data, 'hex');
}

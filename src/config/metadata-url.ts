import { AppError } from '../base/errors.ts';
import { readText } from './read-variable.ts';

/** As URLs write hosts: IPv4 in four decimal parts, IPv6 in brackets. */
const nearHosts = [/^localhost$/, /^127(\.\d+){3}$/, /^169\.254(\.\d+){2}$/, /^\[::1\]$/, /^\[fe[89ab][0-9a-f]:.*\]$/];

/**
 * An address of this very machine or of its link, such as a cloud's metadata service; null when none is given.
 * @throws `input.config` for any other address: what is asked there would leave the machine
 */
export function readMetadataUrl(variables: Readonly<Record<string, string | undefined>>, name: string): string | null {
  const text = readText(variables, name, '');
  if (text === '') return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isNear = url !== null && nearHosts.some((host) => host.test(url.hostname));
  if (isNear && url.protocol === 'http:' && url.username === '' && url.password === '') return url.href;
  throw new AppError(
    'input.config',
    `${name} must be http:// and an address of this machine or its link (127.0.0.0/8, 169.254.0.0/16, [::1], [fe80::]/10), not ${JSON.stringify(text)}`,
  );
}

import { AppError } from '../base/errors.ts';
import { type Config, loadConfig } from '../config/index.ts';
import { findApiUrl } from '../local/index.ts';
import { type ApiAccess, openApi, type QuireApi } from './client.ts';
import type { CliIo } from './io.ts';

export interface ApiOptions {
  readonly api?: string;
  readonly dataDir?: string;
}

const defaultPort = 8080;

/**
 * `--api`, else `QUIRE_API_URL`, else where the data folder's quire listens, else this machine at `QUIRE_API_PORT`;
 * with the first key of `QUIRE_API_KEY`.
 * @throws `input.config` for an address that is none
 */
export function findApiAccess({ api, dataDir }: ApiOptions, config: Config): ApiAccess {
  const key = config.api.keys?.[0] ?? null;
  const named = api ?? config.apiUrl;
  if (named !== null) return { url: parseApiUrl(named), key };
  const port = config.api.port === 0 ? defaultPort : config.api.port;
  const found = findApiUrl(dataDir ?? config.dataDir);
  return { url: parseApiUrl(found ?? `http://127.0.0.1:${port}`), key };
}

/** @throws `transient.timeout` when nobody answers there */
export function openApiOf(options: ApiOptions, io: CliIo): Promise<QuireApi> {
  return openApi(findApiAccess(options, loadConfig(io.variables)));
}

/** The form in which clients of OpenAI give it, with `/v1` at the end, will do as well. */
function parseApiUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new AppError(
      'input.config',
      `the api's address must look like http://127.0.0.1:8080, not ${JSON.stringify(text)}`,
    );
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '').replace(/\/v1$/, '');
}

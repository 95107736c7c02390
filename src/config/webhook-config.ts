import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { readText } from './read-variable.ts';

export interface WebhookConfig {
  /** Where the ends of batches are told that name no receiver of their own; null: nowhere. */
  readonly url: string | null;
  /** `whsec_…`; null: there are no webhooks. */
  readonly secret: string | null;
  /** Hosts that callers' own receivers may be at. */
  readonly allow: readonly string[];
}

const entryForm = /^(?:\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?|\[[0-9a-f:.]+\](?::\d{1,5})?)$/i;

/** @throws `input.config` for a url that is none, an entry that names no host, or receivers without a secret */
export function readWebhooks(variables: Readonly<Record<string, string | undefined>>): WebhookConfig {
  const url = readText(variables, env.webhookUrl, '');
  if (url !== '' && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
    // the value may hold a token, so it is not repeated
    throw new AppError('input.config', `${env.webhookUrl} must be an http or https url`);
  }
  const allow = readText(variables, env.webhookAllow, '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  const bad = allow.find((entry) => !entryForm.test(entry));
  if (bad !== undefined) {
    throw new AppError(
      'input.config',
      `${env.webhookAllow} has ${JSON.stringify(bad)}; entries are host, host:port, *.domain or *`,
    );
  }
  const secret = readText(variables, env.webhookSecret, '');
  if (secret === '' && (url !== '' || allow.length > 0)) {
    throw new AppError('input.config', `${env.webhookUrl} and ${env.webhookAllow} need ${env.webhookSecret}`);
  }
  return { url: url === '' ? null : url, secret: secret === '' ? null : secret, allow };
}

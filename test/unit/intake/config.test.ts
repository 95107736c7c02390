import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/index.ts';

describe('settings of the intake', () => {
  it('have defaults, and no door for events without a token', () => {
    expect(loadConfig({}).intake).toEqual({
      listMs: 2_000,
      settleMs: 5_000,
      eventsPort: 0,
      eventsToken: null,
      sqsUrl: null,
    });
  });

  it('are read by name', () => {
    const variables = {
      QUIRE_INTAKE_LIST_MS: '60000',
      QUIRE_INTAKE_SETTLE_MS: '0',
      QUIRE_INTAKE_EVENTS_PORT: '7001',
      QUIRE_INTAKE_EVENTS_TOKEN: 'secret',
      QUIRE_INTAKE_SQS_URL: 'https://sqs.eu-central-1.amazonaws.com/1/drops',
    };
    expect(loadConfig(variables).intake).toEqual({
      listMs: 60_000,
      settleMs: 0,
      eventsPort: 7_001,
      eventsToken: 'secret',
      sqsUrl: 'https://sqs.eu-central-1.amazonaws.com/1/drops',
    });
  });

  it('refuse a queue that is no url', () => {
    expect(() => loadConfig({ QUIRE_INTAKE_SQS_URL: 'drops' })).toThrow(
      expect.objectContaining({
        code: 'input.config',
        message: 'QUIRE_INTAKE_SQS_URL must start with https:// or http://, not "drops"',
      }),
    );
  });
});

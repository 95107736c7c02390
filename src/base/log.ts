/** Fields every log line may carry; ids only, never document text. */
export interface LogFields {
  readonly batchId?: string;
  readonly fileId?: string;
  readonly unitId?: string;
  readonly jobId?: string;
  readonly customId?: string;
  readonly requestId?: string;
  readonly epoch?: number;
  readonly err?: unknown;
  readonly [field: string]: unknown;
}

/** One object and a short constant message a line. pino satisfies it; only workers import pino. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

const nothing = (): void => {};

export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export type { ObjectCreatedEvent } from './events.ts';
export { type EmbeddedS3, type EmbeddedS3Options, openEmbeddedS3 } from './server.ts';
export type { S3Credentials } from './signature.ts';

/** A connection that is not there after this will not come; also covers waiting for one of the sockets. */
export const connectTimeoutMs = 10_000;
/** Silence on the wire; a store joining a long multipart upload is silent for as long. */
export const idleTimeoutMs = 60_000;
export const maxSockets = 128;

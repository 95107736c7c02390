/** How often the jobs of dead workers are looked for, unless told otherwise. */
export const defaultStalledMs = 2_000;

/** BullMQ's own poison count would end a job after two deaths of workers; ours is kept in the unit log. */
export const maxStalledCount = 1_000;

/** How long the tests here go on: `QUIRE_LONG_MINUTES`, 20 when it is not set. */
export const longMinutes = Number(process.env['QUIRE_LONG_MINUTES'] ?? 20);

/** A share of that time in milliseconds. */
export function shareMs(share: number): number {
  return Math.max(1_000, longMinutes * 60_000 * share);
}

import { isFamily } from '../base/errors.ts';

/**
 * What a further request behind an answer comes to; null when it cannot run: its prompt has grown beyond the window, or
 * the engine cannot stand it. The answer is still there then.
 * @throws what is worth trying the line again, and the signal's reason
 */
export async function tryFurther<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (!signal.aborted && (isFamily(error, 'input') || isFamily(error, 'bug'))) return null;
    throw error;
  }
}

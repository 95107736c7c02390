import vm from 'node:vm';

/** A caller's pattern may take exponential time; nothing that a schema is for needs more than this. */
const patternMs = 100;
/** On a machine that is so busy that a try gets a tenth of a processor, as many tries are one of that time. */
const maxTries = 10;

export class PatternTimeout extends Error {}

const context = vm.createContext({});
const script = new vm.Script('expression.test(text)');

/** A regular expression whose tests end in time, whatever it does: `PatternTimeout`. */
export function openGuardedPattern(
  pattern: string,
  flags: string,
): { test: (text: string) => boolean; toString: () => string } {
  // made here once, so that a broken pattern is refused with the schema
  const expression = new RegExp(pattern, flags);
  return {
    test: (text) => {
      Object.assign(context, { expression, text });
      const found = tryWithin((timeout) => script.runInContext(context, { timeout }) === true, patternMs);
      if (found === undefined) throw new PatternTimeout(`pattern ${pattern} takes longer than ${patternMs} ms`);
      return found;
    },
    // the validator tells patterns apart by this
    toString: () => String(expression),
  };
}

/**
 * Runs what may be stopped by the clock on the wall until it has had `limitMs` of the processor.
 * @param readCpuMs processor time of this process so far
 * @returns undefined when it had its time and did not end
 */
export function tryWithin<T>(run: (timeoutMs: number) => T, limitMs: number, readCpuMs = processorMs): T | undefined {
  const started = readCpuMs();
  for (let tries = 0; tries < maxTries && readCpuMs() - started < limitMs; tries++) {
    try {
      return run(limitMs);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    }
  }
  return undefined;
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

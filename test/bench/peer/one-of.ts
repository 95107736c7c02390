/** A name given to an option. @throws RangeError naming the option, what was met and what is allowed */
export function oneOf<Name extends string>(option: string, met: string, allowed: readonly Name[]): Name {
  const found = allowed.find((name) => name === met);
  if (found === undefined) throw new RangeError(`--${option} ${met}, allowed: ${allowed.join(', ')}`);
  return found;
}

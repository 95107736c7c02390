/** Does the whole name match the pattern? `*` stands for any characters, `?` for one. Linear in practice, never worse than their product. */
export function matchGlob(pattern: string, name: string): boolean {
  const [wanted, met] = [Array.from(pattern), Array.from(name)];
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let index = 0; index < met.length; ) {
    if (wanted[at] === '*') {
      star = at;
      resume = index;
      at += 1;
    } else if (wanted[at] === '?' || (at < wanted.length && wanted[at] === met[index])) {
      at += 1;
      index += 1;
    } else if (star !== -1) {
      // the last star takes one character more
      at = star + 1;
      resume += 1;
      index = resume;
    } else {
      return false;
    }
  }
  return wanted.slice(at).every((character) => character === '*');
}

/** JSON with keys sorted by code point at every depth: equal values give equal text, for hashing and for tool declarations. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sortKeys(value));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => compareCodePoints(a, b));
  // a null prototype keeps a key called "__proto__" a plain key
  const sorted: Record<string, unknown> = Object.create(null);
  for (const [key, member] of entries) sorted[key] = sortKeys(member);
  return sorted;
}

function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

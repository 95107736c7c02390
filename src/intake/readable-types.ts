/** Types the pipeline reads; a test keeps both in step. A name without a type is read as text. */
export const readableTypes = ['txt', 'md', 'markdown', 'text', 'log', 'csv', 'json'] as const;

/** Why a document of this name cannot be read; null when it can. */
export function findTypeProblem(name: string): string | null {
  const type = /\.([^./]+)$/.exec(name)?.[1]?.toLowerCase() ?? 'txt';
  if (readableTypes.some((known) => known === type)) return null;
  const allowed = readableTypes.map((known) => `.${known}`).join(', ');
  return `documents of type .${type} cannot be read; allowed: ${allowed}`;
}

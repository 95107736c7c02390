import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { extractEvaluation } from '../eval/card.ts';

/** The evaluation in a folder's card, where it is of these weights; null: there is none. @param digest of the loaded model */
export async function readEvaluation(folder: string, digest: string): Promise<string | null> {
  const [report, card] = await Promise.all(['evaluation.json', 'README.md'].map((name) => read(join(folder, name))));
  if (typeof report !== 'string' || typeof card !== 'string') return null;
  const { model } = JSON.parse(report) as { readonly model: { readonly digest: string } };
  return model.digest === digest ? extractEvaluation(card) : null;
}

async function read(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

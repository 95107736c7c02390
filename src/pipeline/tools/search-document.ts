import type { Document } from '../document/document.ts';
import { type IndexedText, indexText, scoreTexts } from './bm25.ts';
import { cutPassages, type Passage } from './passages.ts';
import { boundArguments, declareTool, readIntegerArgument, readTextArgument, show, type Tool } from './tool.ts';

const maxPassages = 10;
const defaultPassages = 5;
const queryChars = 500;

interface IndexedPassage extends Passage {
  readonly document: number;
  readonly index: IndexedText;
}

/** A parsed document is asked many questions; its index lives as long as it does. */
const indexes = new WeakMap<Document, readonly Omit<IndexedPassage, 'document'>[]>();

/** `search_document`: passages that share words with the query, best first. */
export function buildSearchDocument(documents: readonly Document[]): Tool {
  const name = 'search_document';
  const declaration = declareTool(
    name,
    'Passages with the words of the query, best first.',
    {
      query: { type: 'string' },
      document: { type: 'integer', minimum: 1 },
      limit: { type: 'integer', minimum: 1, maximum: maxPassages },
    },
    ['query'],
  );
  return {
    name,
    declaration,
    argumentSchema: boundArguments(declaration, {
      query: { minLength: 1, maxLength: queryChars },
      document: { maximum: documents.length },
    }),
    run: (args) => {
      const query = readTextArgument(args, 'query', queryChars);
      const only = readIntegerArgument(args, 'document', 1, documents.length);
      const limit = readIntegerArgument(args, 'limit', 1, maxPassages) ?? defaultPassages;
      const passages = documents.flatMap((document, index) =>
        only === undefined || only === index + 1 ? listIndexed(document, index + 1) : [],
      );
      const found = rank(query, passages).slice(0, limit);
      if (found.length === 0) return `no passage has a word of ${show(query)}; use other words`;
      return found.map(present).join('\n');
    },
  };
}

function listIndexed(document: Document, number: number): readonly IndexedPassage[] {
  const known = indexes.get(document);
  const passages = known ?? cutPassages(document).map((one) => ({ ...one, index: indexText(one.text, one.context) }));
  if (known === undefined) indexes.set(document, passages);
  return passages.map((one) => ({ ...one, document: number }));
}

/** Equal scores: the order of the text. */
function rank(query: string, passages: readonly IndexedPassage[]): readonly IndexedPassage[] {
  const scores = scoreTexts(
    query,
    passages.map(({ index }) => index),
  );
  return passages
    .map((passage, index) => ({ passage, score: scores[index] ?? 0 }))
    .filter(({ score }) => score > 0)
    .sort((left, right) => right.score - left.score)
    .map(({ passage }) => passage);
}

function present({ document, page, context, text }: IndexedPassage): string {
  return `[${document}, p. ${page}] ${[...context, text].join(' … ')}`;
}

import { sha256Hex } from '../base/hash.ts';
import type { Document } from './document/document.ts';
import { paginate, parseDocument } from './document/parse-document.ts';
import type { DocumentRef, LoadDocument } from './ports.ts';

/** Parsed documents kept for the lines that follow: a unit asks for the same ones again and again. */
const keptDocuments = 32;

/** Loads and parses documents by reference, keeping the last few. File ids name immutable bytes; keys may change. */
export class DocumentLoader {
  readonly #load: LoadDocument;
  readonly #kept = new Map<string, Document>();

  constructor(load: LoadDocument) {
    this.#load = load;
  }

  async loadAll(refs: readonly DocumentRef[], signal: AbortSignal): Promise<Document[]> {
    const documents: Document[] = [];
    for (const ref of refs) documents.push(await this.#loadOne(ref, signal));
    return documents;
  }

  async #loadOne(ref: DocumentRef, signal: AbortSignal): Promise<Document> {
    if ('text' in ref) return this.#keep(`text:${ref.name}:${sha256Hex(ref.text)}`, () => paginate(ref.name, ref.text));
    if ('fileId' in ref) {
      const kept = this.#kept.get(ref.fileId);
      if (kept !== undefined) return kept;
    }
    const { name, bytes } = await this.#load(ref, signal);
    const id = 'fileId' in ref ? ref.fileId : `bytes:${name}:${sha256Hex(bytes)}`;
    return this.#keep(id, () => parseDocument(name, bytes));
  }

  #keep(id: string, parse: () => Document): Document {
    const document = this.#kept.get(id) ?? parse();
    this.#kept.delete(id);
    this.#kept.set(id, document);
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > keptDocuments && oldest.done === false) this.#kept.delete(oldest.value);
    return document;
  }
}

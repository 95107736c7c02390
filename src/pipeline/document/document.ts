/** A parsed document: pages in order, each with the place of its text in the whole. */
export interface Document {
  readonly name: string;
  readonly pages: readonly Page[];
  /** `sections`: the format has no pages, so they were cut at paragraph ends. */
  readonly pageKind: 'pages' | 'sections';
  /** The whole text, page breaks taken out; citations count characters (UTF-16 units) of it. */
  readonly text: string;
}

export interface Page {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  /** Offset of the page's first character in the document's text. */
  readonly start: number;
}

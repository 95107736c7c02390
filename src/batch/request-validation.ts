import { type AnalysisRequest, parseAnalysisRequest } from './analysis-request.ts';
import { type ChatRequest, parseChatRequest } from './chat-request.ts';
import { type EmbeddingsRequest, parseEmbeddingsRequest } from './embeddings-request.ts';
import type { LineUrl } from './records.schema.ts';

/** A validated request of any kind. */
export type LineRequest =
  | { readonly type: 'chat'; readonly chat: ChatRequest }
  | { readonly type: 'analysis'; readonly analysis: AnalysisRequest }
  | { readonly type: 'embeddings'; readonly embeddings: EmbeddingsRequest };

/** Facts about the place where a request is read. */
export interface LineRules {
  /** May a chat be answered while it is written? Only the one line behind a waiting caller. @defaultValue false */
  readonly streaming?: boolean;
  /** Values of an embedding, by model; `dimensions` of others cannot be served. @defaultValue none */
  readonly widths?: Readonly<Record<string, number>>;
}

/**
 * The one place where a body becomes a request, for HTTP calls and for lines alike.
 * @throws `input.*` with `param`; on a line it becomes an error line, over HTTP an error answer
 */
export function parseLineRequest(
  url: LineUrl,
  body: unknown,
  models: readonly string[],
  { streaming = false, widths = {} }: LineRules = {},
): LineRequest {
  switch (url) {
    case '/v1/chat/completions':
      return { type: 'chat', chat: parseChatRequest(body, models, streaming) };
    case '/v1/analyses':
      return { type: 'analysis', analysis: parseAnalysisRequest(body, models) };
    case '/v1/embeddings':
      return { type: 'embeddings', embeddings: parseEmbeddingsRequest(body, models, widths) };
  }
}

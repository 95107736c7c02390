import { type AnalysisRequest, parseAnalysisRequest } from './analysis-request.ts';
import { type ChatRequest, parseChatRequest } from './chat-request.ts';
import type { LineUrl } from './records.schema.ts';

/** A validated request of either kind. */
export type LineRequest =
  | { readonly type: 'chat'; readonly chat: ChatRequest }
  | { readonly type: 'analysis'; readonly analysis: AnalysisRequest };

/**
 * The one place where a body becomes a request, for HTTP calls and for lines alike.
 * @throws `input.*` with `param`; on a line it becomes an error line, over HTTP an error answer
 */
export function parseLineRequest(url: LineUrl, body: unknown, models: readonly string[]): LineRequest {
  switch (url) {
    case '/v1/chat/completions':
      return { type: 'chat', chat: parseChatRequest(body, models) };
    case '/v1/analyses':
      return { type: 'analysis', analysis: parseAnalysisRequest(body, models) };
  }
}

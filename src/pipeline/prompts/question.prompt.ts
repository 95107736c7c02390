import { escapeMarkers } from './document-block.prompt.ts';

/** The question block: the second user message. */
export function buildQuestionBlock(question: string, answer: 'json' | 'text'): string {
  const form = answer === 'json' ? 'Answer with JSON.' : 'Answer in plain text.';
  return `Question: ${escapeMarkers(question)}\n${form}`;
}

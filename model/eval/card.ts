const [begin, end] = ['<!-- evaluation -->', '<!-- /evaluation -->'];

/** A model card with the evaluation between its marks. @throws Error when the card has no such marks */
export function insertEvaluation(card: string, text: string): string {
  const [start, stop] = [card.indexOf(begin), card.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`the card has no ${begin} followed by ${end}`);
  return `${card.slice(0, start + begin.length)}\n${text}\n${card.slice(stop)}`;
}

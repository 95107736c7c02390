const [begin, end] = ['<!-- evaluation -->', '<!-- /evaluation -->'];

/** A model card with the evaluation between its marks. @throws Error when the card has no such marks */
export function insertEvaluation(card: string, text: string): string {
  const [start, stop] = findMarks(card);
  return `${card.slice(0, start)}\n${text}\n${card.slice(stop)}`;
}

/** What stands between the marks. @throws Error when the card has no such marks */
export function extractEvaluation(card: string): string {
  return card.slice(...findMarks(card)).trim();
}

/** Behind the first mark, before the second. */
function findMarks(card: string): [start: number, stop: number] {
  const [start, stop] = [card.indexOf(begin), card.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`the card has no ${begin} followed by ${end}`);
  return [start + begin.length, stop];
}

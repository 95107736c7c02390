import type { Row } from './table.ts';
import { percent } from './table.ts';

const [left, barWidth, rowHeight, titleHeight] = [250, 320, 24, 30];

export interface PlotGroup {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Bars of exact answers in groups, with a mark where guessing would be. SVG. */
export function plotRows(groups: readonly PlotGroup[]): string {
  const parts: string[] = [];
  let y = 8;
  for (const { title, rows } of groups) {
    parts.push(`<text x="8" y="${y + 14}" font-weight="bold">${escapeXml(title)}</text>`);
    y += titleHeight;
    for (const row of rows) {
      parts.push(plotRow(row, y));
      y += rowHeight;
    }
    y += 6;
  }
  const height = y + 28;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${height}" viewBox="0 0 720 ${height}" font-family="sans-serif" font-size="12">
<rect width="720" height="${height}" fill="white"/>
${parts.join('\n')}
<text x="8" y="${height - 10}">exact answers through the product, names never trained on; red: what a guess gets that understands the attribute or the form only</text>
</svg>
`;
}

function plotRow({ name, exact, guess, questions }: Row, y: number): string {
  const mark =
    guess === null
      ? ''
      : `<line x1="${at(guess)}" x2="${at(guess)}" y1="${y - 2}" y2="${y + 16}" stroke="#c0392b" stroke-width="2"/>`;
  return [
    `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escapeXml(name)}</text>`,
    `<rect x="${left}" y="${y}" width="${barWidth}" height="14" fill="#eeeeee"/>`,
    `<rect x="${left}" y="${y}" width="${(exact * barWidth).toFixed(1)}" height="14" fill="#2c6fbb"/>`,
    mark,
    `<text x="${left + barWidth + 8}" y="${y + 12}">${percent(exact)} of ${questions}</text>`,
  ].join('');
}

const at = (share: number): string => (left + share * barWidth).toFixed(1);
const escapeXml = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

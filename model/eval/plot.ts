import type { Row } from './table.ts';
import { percent } from './table.ts';

const [left, barWidth, rowHeight] = [250, 320, 24];

/** Bars of exact answers by set, with a mark where guessing among facts of the asked attribute would be. SVG. */
export function plotRows(rows: readonly Row[]): string {
  const height = rows.length * rowHeight + 40;
  const bars = rows.map(({ name, exact, contested, questions }, index) => {
    const y = 8 + index * rowHeight;
    const guess =
      contested === null
        ? ''
        : `<line x1="${at(contested.guess)}" x2="${at(contested.guess)}" y1="${y - 2}" y2="${y + 16}" stroke="#c0392b" stroke-width="2"/>`;
    return [
      `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escapeXml(name)}</text>`,
      `<rect x="${left}" y="${y}" width="${barWidth}" height="14" fill="#eeeeee"/>`,
      `<rect x="${left}" y="${y}" width="${(exact * barWidth).toFixed(1)}" height="14" fill="#2c6fbb"/>`,
      guess,
      `<text x="${left + barWidth + 8}" y="${y + 12}">${percent(exact)} of ${questions}</text>`,
    ].join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${height}" viewBox="0 0 720 ${height}" font-family="sans-serif" font-size="12">
<rect width="720" height="${height}" fill="white"/>
${bars.join('\n')}
<text x="${left}" y="${height - 12}">exact answers through the product; red: a guess among the facts with the asked attribute</text>
</svg>
`;
}

const at = (share: number): string => (left + share * barWidth).toFixed(1);
const escapeXml = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

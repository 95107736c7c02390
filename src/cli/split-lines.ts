const lineFeed = 0x0a;

/** Bytes → lines without their ends; empty lines are left out. Only a line feed ends a line, as in every JSONL file. */
export async function* splitLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)]).toString('utf8');
      rest = [];
      start = end + 1;
      if (line !== '') yield line;
    }
    rest.push(Buffer.from(chunk.subarray(start)));
  }
  const last = Buffer.concat(rest).toString('utf8');
  if (last !== '') yield last;
}

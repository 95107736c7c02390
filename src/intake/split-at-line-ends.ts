const lineFeed = 0x0a;

/** Lines of a file of ours, without their ends; what follows the last end is a line if it is not empty. */
export async function* splitAtLineEnds(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end)]);
      parts = [];
      start = end + 1;
    }
    // a source may reuse its buffer for the next chunk
    if (start < chunk.length) parts.push(Uint8Array.from(chunk.subarray(start)));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

import { createHash, type Hash } from 'node:crypto';
import { invariant } from '../../base/invariant.ts';
import { blockRows } from '../ports.ts';

/**
 * Names of pages: a hash chain over blocks of 256 tokens.
 *
 * name = sha256 hex over  part("quire-page-1") part(engine digest) part(tenant) form part(parent's name or "") ids
 * form = part("prompt") for whole blocks of a prompt where their rows have other bits than those of answers; else nothing
 * part(x) = u32 little-endian byte length of x, then x; ids = 256 token ids as u32 little-endian.
 *
 * N1 Equal names mean equal tokens from the start of the text, the same engine and the same tenant: every part is
 *    framed, so no two inputs give the same bytes. The tenant goes in as UTF-16, which tells lone surrogates apart.
 * N2 A name depends on nothing behind its own block.
 * N3 Only full blocks have names.
 */

const framing = 'quire-page-1';
const idBytes = 4;
const maxTokenId = 0xffff_ffff;

function part(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
}

function isTokenId(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= maxTokenId;
}

/**
 * Names of all full blocks of `tokenIds[0, rows)`, in order.
 *
 * @param digest of the engine, `ModelRunner.digest`
 * @param tenant salt that keeps the pages of one tenant from every other
 * Throws `bug.invariant` for ids that are not u32 and for `rows` beyond the ids.
 */
export function namePages(tokenIds: ArrayLike<number>, rows: number, digest: string, tenant: string): string[] {
  invariant(rows <= tokenIds.length, `${rows} rows to name, ${tokenIds.length} token ids given`);
  const chain = new PageChain(digest, tenant);
  const end = rows - (rows % blockRows);
  for (let row = 0; row < end; row++) chain.push(tokenIds[row] as number);
  return [...chain.names];
}

/** Names the blocks of a growing sequence: a block has its name with its 256th token. */
export class PageChain {
  /** Of blocks behind the prompt's. */
  readonly #head: Hash;
  readonly #promptHead: Hash;
  readonly #promptRows: number;
  readonly #names: string[];
  readonly #ids = new DataView(new ArrayBuffer(blockRows * idBytes));
  #filled = 0;

  /**
   * @param promptRows blocks before this row have the form of prompts
   * @param before names of full blocks that the sequence has already; the next token starts the block behind them
   */
  constructor(digest: string, tenant: string, promptRows = 0, before: readonly string[] = []) {
    this.#promptRows = promptRows;
    const head = createHash('sha256');
    for (const bytes of [Buffer.from(framing), Buffer.from(digest), Buffer.from(tenant, 'utf16le')]) {
      head.update(part(bytes));
    }
    this.#promptHead = head.copy().update(part(Buffer.from('prompt')));
    this.#head = head;
    this.#names = [...before];
  }

  /** Of the full blocks so far, oldest first. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Tokens so far, those of the blocks given at the start included. */
  get rows(): number {
    return this.#names.length * blockRows + this.#filled;
  }

  /** The name of the block that this token fills; undefined while it has room. Throws `bug.invariant` for ids that are not u32. */
  push(tokenId: number): string | undefined {
    // the text of the message would cost more than all the rest of this function
    if (!isTokenId(tokenId)) invariant(false, `token id ${tokenId} is not a whole number from 0 to ${maxTokenId}`);
    this.#ids.setUint32(this.#filled * idBytes, tokenId, true);
    this.#filled++;
    if (this.#filled < blockRows) return undefined;
    this.#filled = 0;
    const parent = Buffer.from(this.#names.at(-1) ?? '');
    const head = this.#names.length * blockRows < this.#promptRows ? this.#promptHead : this.#head;
    const name = head.copy().update(part(parent)).update(new Uint8Array(this.#ids.buffer)).digest('hex');
    this.#names.push(name);
    return name;
  }
}

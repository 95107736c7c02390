import type { CompiledGrammar, GrammarMatcher, GrammarCompiler as XGrammarCompiler } from '@mlc-ai/web-xgrammar';
import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { AnswerFormat } from '../messages.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from '../ports.ts';
import { encodeByteCharacters } from '../tokenizer/byte-alphabet.ts';
import { checkSchema } from './check-schema.ts';
import { loadXGrammar } from './load-xgrammar.ts';
import { advanceUtf8, characterStart, type Utf8State } from './utf8-state.ts';

/** Compiled grammars kept for the lines that follow; a batch asks for few different ones. */
const keptGrammars = 32;
/** Compact JSON: no white space between elements, so that no token is spent on it. */
const separators: [string, string] = [',', ':'];

/**
 * Grammars for a tokenizer. Tokens without text can never be chosen, except `stopIds` when the answer is complete.
 * @param vocabularySize rows of the head, which may exceed the tokenizer's entries
 */
export async function openGrammarCompiler(
  tokenizer: Tokenizer,
  vocabularySize: number,
  stopIds: readonly number[],
): Promise<GrammarCompiler> {
  const { TokenizerInfo, GrammarCompiler: Compiler } = loadXGrammar();
  const vocabulary = Array.from({ length: vocabularySize }, (_, id) =>
    id < tokenizer.vocabularySize ? grammarText(tokenizer.tokenBytes(id)) : '',
  );
  const info = await TokenizerInfo.createTokenizerInfo(vocabulary, 'byte_level', false, vocabularySize, [...stopIds]);
  return new CachingCompiler(await Compiler.createGrammarCompiler(info), new Set(stopIds), tokenizer);
}

/**
 * What the library knows a token as; empty tokens are never allowed. Compact JSON holds no raw control character
 * anywhere, but the library lets them into strings of a bounded length, so tokens with one are left out here.
 */
function grammarText(bytes: Uint8Array): string {
  return bytes.some((byte) => byte < 0x20) ? '' : encodeByteCharacters(bytes);
}

class CachingCompiler implements GrammarCompiler {
  readonly #compiler: XGrammarCompiler;
  readonly #stopIds: ReadonlySet<number>;
  readonly #tokenizer: Tokenizer;
  readonly #kept = new Map<string, CompiledGrammar>();

  constructor(compiler: XGrammarCompiler, stopIds: ReadonlySet<number>, tokenizer: Tokenizer) {
    this.#compiler = compiler;
    this.#stopIds = stopIds;
    this.#tokenizer = tokenizer;
  }

  async compile(format: Exclude<AnswerFormat, { type: 'text' }>): Promise<Grammar> {
    const schema = format.type === 'json' ? { type: 'object' } : format.schema;
    // not the sorted text: keys are written in the schema's own order, so another order is another grammar
    const text = JSON.stringify(schema);
    const compiled = this.#kept.get(text) ?? (await this.#compile(schema, text));
    this.#keep(text, compiled);
    const matcher = await loadXGrammar().GrammarMatcher.createGrammarMatcher(compiled);
    return new MatchedGrammar(matcher, this.#stopIds, this.#tokenizer);
  }

  async #compile(schema: Readonly<Record<string, unknown>>, text: string): Promise<CompiledGrammar> {
    checkSchema(schema);
    try {
      return await this.#compiler.compileJSONSchema(text, false, -1, separators, true);
    } catch (cause) {
      // the library aborts on what it does not know; its next call works again
      throw new AppError('input.schema', 'schema holds something that decoding cannot follow', {
        param: 'schema',
        cause,
      });
    }
  }

  #keep(name: string, compiled: CompiledGrammar): void {
    this.#kept.delete(name);
    this.#kept.set(name, compiled);
    const oldest = this.#kept.entries().next().value;
    if (this.#kept.size <= keptGrammars || oldest === undefined) return;
    this.#kept.delete(oldest[0]);
    oldest[1].dispose();
  }
}

class MatchedGrammar implements Grammar {
  readonly #matcher: GrammarMatcher;
  readonly #stopIds: ReadonlySet<number>;
  readonly #tokenizer: Tokenizer;
  #utf8: Utf8State = characterStart;

  constructor(matcher: GrammarMatcher, stopIds: ReadonlySet<number>, tokenizer: Tokenizer) {
    this.#matcher = matcher;
    this.#stopIds = stopIds;
    this.#tokenizer = tokenizer;
  }

  async mask(logits: Float32Array): Promise<void> {
    const allowed = await this.#matcher.getNextTokenBitmask();
    const ids: number[] = [];
    for (let id = 0; id < logits.length; id++) if (isAllowed(allowed, id)) ids.push(id);
    if (ids.length === 0) throw new AppError('input.schema', 'schema allows no answer', { param: 'schema' });
    // the library lets broken characters into strings of a bounded length; whole ones are preferred where there are any
    const whole = ids.filter((id) => advanceUtf8(this.#utf8, this.#bytesOf(id)) !== null);
    const chosen = (whole.length > 0 ? whole : ids).map((id) => [id, logits[id] ?? Number.NEGATIVE_INFINITY] as const);
    logits.fill(Number.NEGATIVE_INFINITY);
    for (const [id, logit] of chosen) logits[id] = logit;
  }

  accept(id: number): void {
    invariant(this.#matcher.acceptToken(id), `token ${id} was chosen against the grammar`);
    this.#utf8 = advanceUtf8(this.#utf8, this.#bytesOf(id)) ?? characterStart;
  }

  /** Stop tokens stand for no bytes. */
  #bytesOf(id: number): Uint8Array {
    return id < this.#tokenizer.vocabularySize ? this.#tokenizer.tokenBytes(id) : new Uint8Array(0);
  }

  async isComplete(): Promise<boolean> {
    const allowed = await this.#matcher.getNextTokenBitmask();
    for (let word = 0; word < allowed.length; word++) {
      if (allowed[word] === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        const id = word * 32 + bit;
        if (isAllowed(allowed, id) && !this.#stopIds.has(id)) return false;
      }
    }
    return true;
  }

  close(): void {
    this.#matcher.dispose();
  }
}

/** The mask holds 32 tokens a word, lowest id in the lowest bit. */
function isAllowed(mask: Int32Array, id: number): boolean {
  return (((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
}

import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from '../ports.ts';
import type { Node } from './automaton.ts';
import { CompiledGrammar } from './compiled-grammar.ts';
import { type SchemaObject, writeSchema } from './json-schema.ts';
import { applyMask } from './token-mask.ts';
import { TokenTrie } from './token-trie.ts';

/** Memory for the grammars that are kept for the next request with the same schema; the last one used always stays. */
const keptBytes = 128 * 1024 * 1024;

const anyObject: SchemaObject = { type: 'object' };

/**
 * Compiles answer formats for one tokenizer. Control tokens are never allowed, but for those that end the text once it
 * is complete: `stopIds`, unless others are asked for.
 */
export function openGrammarCompiler(tokenizer: Tokenizer, stopIds: readonly number[]): GrammarCompiler {
  const trie = new TokenTrie(tokenizer.vocabularySize, (id) => tokenizer.tokenBytes(id));
  const kept = new Map<string, CompiledGrammar>();
  const compile = (schema: SchemaObject): CompiledGrammar => {
    // not the sorted text: the order of properties is the order in which they are written
    const key = writeSchema(schema);
    const compiled = kept.get(key) ?? new CompiledGrammar(schema, trie);
    kept.delete(key);
    kept.set(key, compiled);
    dropOldest(kept);
    return compiled;
  };
  return {
    compile: (format, endIds = stopIds) => {
      const compiled = compile(format.type === 'json' ? anyObject : format.schema);
      return new TokenGrammar(compiled, trie, tokenizer, endIds);
    },
  };
}

function dropOldest(kept: Map<string, CompiledGrammar>): void {
  let bytes = 0;
  for (const compiled of kept.values()) bytes += compiled.bytes;
  for (const [key, compiled] of kept) {
    if (bytes <= keptBytes || kept.size === 1) return;
    bytes -= compiled.bytes;
    kept.delete(key);
  }
}

/** One text in the making. */
export class TokenGrammar implements Grammar {
  readonly #compiled: CompiledGrammar;
  readonly #trie: TokenTrie;
  readonly #tokenizer: Tokenizer;
  readonly #endIds: readonly number[];
  #node: Node;
  #hasEnded = false;

  constructor(compiled: CompiledGrammar, trie: TokenTrie, tokenizer: Tokenizer, endIds: readonly number[]) {
    this.#compiled = compiled;
    this.#trie = trie;
    this.#tokenizer = tokenizer;
    this.#endIds = endIds;
    this.#node = compiled.automaton.initial;
  }

  mask(logits: Float32Array): void {
    const mask = this.#compiled.masks.find(this.#node);
    const ends = this.#node.accepting ? this.#endIds : [];
    if (mask.type === 'listed' && mask.ids.length + ends.length === 0) {
      throw new AppError('input.schema', 'no token of the model can go on with the answer under its schema', {
        param: 'schema',
      });
    }
    applyMask(logits, mask, this.#trie, ends);
  }

  fit(id: number, tokens: number): number {
    const { ends } = this.#compiled;
    const after = this.#walk(id);
    // an end token, or one that the mask excludes
    if (after === null || ends.bytes(after) <= tokens - 1) return id;
    const [then, now] = [ends.tokens(after), ends.tokens(this.#node)];
    if (now === null || now.length > tokens || (then !== null && then.length <= tokens - 1)) return id;
    return now[0] ?? id;
  }

  leastTokens(): number | null {
    return this.#compiled.ends.tokens(this.#node)?.length ?? null;
  }

  accept(id: number): void {
    if (!this.#hasEnded && this.#node.accepting && this.#endIds.includes(id)) {
      this.#hasEnded = true;
      return;
    }
    const node = this.#hasEnded ? null : this.#walk(id);
    invariant(node !== null, `token ${id} was chosen although the grammar excludes it`);
    this.#node = node;
  }

  isComplete(): boolean {
    return this.#node.accepting && this.#node.positions.length === 0;
  }

  /** Where the token leads; null: nowhere. */
  #walk(id: number): Node | null {
    const isToken = id >= 0 && id < this.#tokenizer.vocabularySize;
    const bytes = isToken ? this.#tokenizer.tokenBytes(id) : new Uint8Array(0);
    let node: Node | null = bytes.length === 0 ? null : this.#node;
    for (const byte of bytes) node = node === null ? null : this.#compiled.automaton.step(node, byte);
    return node;
  }
}

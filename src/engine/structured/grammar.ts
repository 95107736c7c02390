import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { AnswerFormat } from '../messages.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from '../ports.ts';
import { Automaton, type Node } from './automaton.ts';
import { checkSchema, type SchemaObject, writeSchema } from './json-schema.ts';
import { compileSchemaGrammar } from './schema-grammar.ts';
import { hasBit, TokenTrie } from './token-masks.ts';

/** Grammars kept for the next request with the same schema. */
const keptGrammars = 64;
/** Room for the masks of one grammar; beyond it they are found again. */
const maskBytes = 16 * 1024 * 1024;

const anyObject: SchemaObject = { type: 'object' };

/**
 * Compiles answer formats for one tokenizer. Control tokens are never allowed; `stopIds` are once the text is complete.
 */
export async function openGrammarCompiler(tokenizer: Tokenizer, stopIds: readonly number[]): Promise<GrammarCompiler> {
  const trie = new TokenTrie(tokenizer.vocabularySize, (id) => tokenizer.tokenBytes(id));
  const kept = new Map<string, CompiledGrammar>();
  const compile = (format: Exclude<AnswerFormat, { type: 'text' }>): CompiledGrammar => {
    const schema = format.type === 'json' ? anyObject : format.schema;
    // not the sorted text: the order of properties is the order in which they are written
    const key = writeSchema(schema);
    let compiled = kept.get(key);
    if (compiled === undefined) {
      compiled = new CompiledGrammar(compileAutomaton(schema), trie, stopIds);
      const [oldest] = kept.size >= keptGrammars ? kept.keys() : [];
      if (oldest !== undefined) kept.delete(oldest);
    } else kept.delete(key);
    kept.set(key, compiled);
    return compiled;
  };
  return { compile: async (format) => new TokenGrammar(compile(format), tokenizer) };
}

function compileAutomaton(schema: SchemaObject): Automaton {
  checkSchema(schema);
  const { network, root } = compileSchemaGrammar(schema);
  return new Automaton(network, root, () => {
    const what = 'schema can be read in too many ways at once: alternatives begin alike at every level of nesting';
    return new AppError('input.schema', what, { param: 'schema' });
  });
}

/** The automaton of a schema with the token masks found so far. */
class CompiledGrammar {
  readonly automaton: Automaton;
  readonly stopIds: readonly number[];
  readonly #trie: TokenTrie;
  readonly #masks = new Map<Node, Uint32Array>();

  constructor(automaton: Automaton, trie: TokenTrie, stopIds: readonly number[]) {
    this.automaton = automaton;
    this.stopIds = stopIds;
    this.#trie = trie;
  }

  /** One bit a token; those beyond the tokenizer's vocabulary have none. */
  findAllowed(node: Node): Uint32Array {
    let allowed = this.#masks.get(node);
    if (allowed === undefined) {
      allowed = this.#trie.findAllowed(this.automaton, node);
      if ((this.#masks.size + 1) * allowed.byteLength > maskBytes) this.#masks.clear();
      this.#masks.set(node, allowed);
    }
    return allowed;
  }
}

/** One answer in the making. */
class TokenGrammar implements Grammar {
  readonly #compiled: CompiledGrammar;
  readonly #tokenizer: Tokenizer;
  #node: Node;
  #stopped = false;

  constructor(compiled: CompiledGrammar, tokenizer: Tokenizer) {
    this.#compiled = compiled;
    this.#tokenizer = tokenizer;
    this.#node = compiled.automaton.initial;
  }

  async mask(logits: Float32Array): Promise<void> {
    const allowed = this.#compiled.findAllowed(this.#node);
    for (let id = 0; id < logits.length; id++) {
      if (!hasBit(allowed, id) && !this.#canStop(id)) logits[id] = Number.NEGATIVE_INFINITY;
    }
  }

  accept(id: number): void {
    if (this.#canStop(id)) {
      this.#stopped = true;
      return;
    }
    const bytes = this.#stopped ? new Uint8Array(0) : this.#tokenizer.tokenBytes(id);
    let node: Node | null = bytes.length === 0 ? null : this.#node;
    for (const byte of bytes) node = node === null ? null : this.#compiled.automaton.step(node, byte);
    invariant(node !== null, `token ${id} was chosen although the grammar excludes it`);
    this.#node = node;
  }

  async isComplete(): Promise<boolean> {
    return this.#node.accepting && this.#node.positions.length === 0;
  }

  close(): void {
    // nothing is held outside this object
  }

  #canStop(id: number): boolean {
    return this.#node.accepting && this.#compiled.stopIds.includes(id);
  }
}

import { AppError } from '../../base/errors.ts';
import { Automaton } from './automaton.ts';
import { checkSchema, type SchemaObject } from './json-schema.ts';
import { MaskFinder } from './mask-finder.ts';
import { NodeClasses } from './node-classes.ts';
import { compileSchemaGrammar } from './schema-grammar.ts';
import { ShortestEnd } from './shortest-end.ts';
import { StateClasses } from './state-classes.ts';
import type { TokenTrie } from './token-trie.ts';

/** What a state of a network takes, its edges included, and a node of the automaton beside its steps; measured. */
const stateBytes = 400;
const nodeBytes = 600;

/** The automaton of a schema with the token masks found so far. Shared by all answers of one schema. */
export class CompiledGrammar {
  readonly automaton: Automaton;
  readonly masks: MaskFinder;
  readonly ends: ShortestEnd;
  readonly #networkBytes: number;

  /** @throws `input.schema` for a schema that is none, that nothing can satisfy, or that is too large */
  constructor(schema: SchemaObject, trie: TokenTrie) {
    checkSchema(schema);
    const { network, root, shortest } = compileSchemaGrammar(schema);
    this.automaton = new Automaton(network, root, () => {
      const what =
        'schema can be read in too many ways at once: alternatives that begin alike, or a pattern that has to remember';
      return new AppError('input.schema', what, { param: 'schema' });
    });
    const classes = new NodeClasses(new StateClasses(network, shortest), shortest, trie.longest);
    this.ends = new ShortestEnd(this.automaton, shortest, trie);
    this.masks = new MaskFinder(trie, this.automaton, classes);
    this.#networkBytes = network.states.length * stateBytes;
  }

  /** Memory it holds, roughly. */
  get bytes(): number {
    const { nodeTotal, byteClasses } = this.automaton;
    // a step is a pointer
    return this.#networkBytes + nodeTotal * (nodeBytes + byteClasses.total * 8) + this.masks.bytes;
  }
}

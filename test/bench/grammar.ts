import type { Tokenizer } from '../../src/engine/ports.ts';
import { SeededRandom } from '../../src/engine/sample/random.ts';
import { openSampler } from '../../src/engine/sample/sampler.ts';
import { CompiledGrammar } from '../../src/engine/structured/compiled-grammar.ts';
import { TokenGrammar } from '../../src/engine/structured/grammar.ts';
import type { SchemaObject } from '../../src/engine/structured/json-schema.ts';
import { TokenTrie } from '../../src/engine/structured/token-trie.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { buildAnswerSchema } from '../../src/pipeline/answer.schema.ts';
import { neutralSampling } from '../support/neutral-sampling.ts';
import { testModelDir } from '../support/test-model.ts';
import { buildSyntheticTokenizer } from './synthetic-tokenizer.ts';

/** What structured output costs: compiling a grammar, and one mask a token. Run: `node --import tsx test/bench/grammar.ts` */

const roundTotal = 7;

interface Case {
  readonly name: string;
  readonly schema: SchemaObject;
  readonly text: string;
}

const sentence =
  'Either party may terminate this agreement without cause by giving the other party sixty (60) days written notice; see section 9.2.';

const analysis = (quotes: number): string =>
  JSON.stringify({
    answer: `The notice period is 60 days. ${sentence} ${sentence}`,
    citations: Array.from({ length: quotes }, (_, index) => ({ document: 1, page: index + 9, quote: sentence })),
    found: true,
  });

const order: SchemaObject = {
  type: 'object',
  properties: {
    customer: {
      type: 'object',
      properties: {
        name: { type: 'string', maxLength: 80 },
        contact: {
          type: 'object',
          properties: {
            email: { type: 'string', pattern: '^[a-z.]+@[a-z.]+$' },
            since: { type: 'string', format: 'date' },
          },
          required: ['email', 'since'],
        },
      },
      required: ['name', 'contact'],
    },
    lines: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        properties: {
          title: { type: 'string', minLength: 1, maxLength: 60 },
          amount: { type: 'number', minimum: 0, maximum: 100_000 },
          tags: { type: 'array', items: { enum: ['new', 'used', 'gift'] }, maxItems: 3 },
        },
        required: ['title', 'amount', 'tags'],
      },
    },
  },
  required: ['customer', 'lines'],
};

const ordered = JSON.stringify({
  customer: { name: 'Ada Lovelace & Sons', contact: { email: 'ada@example.org', since: '1843-07-10' } },
  lines: Array.from({ length: 5 }, (_, index) => ({
    title: `Analytical engine part ${index}, polished`,
    amount: 12.5 + index,
    tags: ['new', 'gift'],
  })),
});

const search: SchemaObject = {
  type: 'object',
  properties: {
    query: { type: 'string' },
    document: { type: 'integer', minimum: 1 },
    limit: { type: 'integer', minimum: 1, maximum: 10 },
  },
  required: ['query'],
};

const cases: readonly Case[] = [
  { name: 'analysis answer', schema: buildAnswerSchema(null, 3, 30), text: analysis(4) },
  { name: 'nested schema', schema: order, text: ordered },
  {
    name: 'json_object',
    schema: { type: 'object' },
    text: JSON.stringify({ result: JSON.parse(analysis(2)), n: [1, 2.5] }),
  },
  {
    name: 'tool call',
    schema: search,
    text: '{"query":"notice period for termination without cause","document":1,"limit":5}',
  },
];

interface Times {
  readonly masks: readonly number[];
  readonly accepts: readonly number[];
}

class Bench {
  readonly #tokenizer: Tokenizer;
  readonly #trie: TokenTrie;
  readonly #noise: Float32Array;
  readonly #logits: Float32Array;

  constructor(tokenizer: Tokenizer, trie: TokenTrie) {
    this.#tokenizer = tokenizer;
    this.#trie = trie;
    const random = new SeededRandom(1);
    this.#noise = Float32Array.from({ length: tokenizer.vocabularySize }, () => random.next() * 8);
    this.#logits = new Float32Array(tokenizer.vocabularySize);
  }

  run({ name, schema, text }: Case): void {
    const ids = this.#tokenizer.encodePlain(text);
    const compileMs: number[] = [];
    const rounds: Times[][] = [];
    let bytes = { all: 0, masks: 0 };
    for (let round = 0; round < roundTotal; round++) {
      const startMs = performance.now();
      const compiled = new CompiledGrammar(schema, this.#trie);
      compileMs.push(performance.now() - startMs);
      rounds.push([
        this.#follow(compiled, ids),
        this.#follow(compiled, ids),
        this.#wander(compiled, 400),
        this.#wander(compiled, 400),
      ]);
      bytes = { all: compiled.bytes, masks: compiled.masks.bytes };
    }
    console.log(
      `${name}: compiled in ${show(Math.min(...compileMs))} ms (the first time ${show(compileMs[0] ?? 0)}), memory ${toMib(bytes.all)} MiB, of it masks ${toMib(bytes.masks)} MiB`,
    );
    for (const [index, what] of ['an answer', 'again', 'random answers', 'again'].entries()) {
      report(what, leastOf(rounds.map((times) => times[index] ?? { masks: [], accepts: [] })));
    }
  }

  /** The masks of an answer that is there already. */
  #follow(compiled: CompiledGrammar, ids: readonly number[]): Times {
    const grammar = this.#open(compiled);
    const times: { masks: number[]; accepts: number[] } = { masks: [], accepts: [] };
    for (const id of ids) this.#step(grammar, times, () => id);
    return times;
  }

  /** What a model writes that knows nothing: it uses every length that it may. */
  #wander(compiled: CompiledGrammar, tokens: number): Times {
    const times: { masks: number[]; accepts: number[] } = { masks: [], accepts: [] };
    const { vocabularySize } = this.#tokenizer;
    const sampler = openSampler(neutralSampling, { vocabularySize, promptIds: [], draws: 0 });
    let grammar = this.#open(compiled);
    while (times.masks.length < tokens) {
      if (grammar.isComplete()) grammar = this.#open(compiled);
      this.#step(grammar, times, (logits) => sampler.sample(logits));
    }
    return times;
  }

  #open(compiled: CompiledGrammar): TokenGrammar {
    return new TokenGrammar(compiled, this.#trie, this.#tokenizer, []);
  }

  #step(
    grammar: TokenGrammar,
    times: { masks: number[]; accepts: number[] },
    choose: (logits: Float32Array) => number,
  ): void {
    this.#logits.set(this.#noise);
    const startMs = performance.now();
    grammar.mask(this.#logits);
    const maskedMs = performance.now();
    const id = choose(this.#logits);
    const chosenMs = performance.now();
    grammar.accept(id);
    times.masks.push(maskedMs - startMs);
    times.accepts.push(performance.now() - chosenMs);
  }
}

/** Of each token its fastest round: every round does the same, so what is slower is the machine's. */
function leastOf(rounds: readonly Times[]): Times {
  const least = (pick: (times: Times) => readonly number[]): readonly number[] =>
    pick(rounds[0] ?? { masks: [], accepts: [] }).map((_, index) =>
      Math.min(...rounds.map((times) => pick(times)[index] ?? Number.POSITIVE_INFINITY)),
    );
  return { masks: least(({ masks }) => masks), accepts: least(({ accepts }) => accepts) };
}

function report(what: string, { masks, accepts }: Times): void {
  const sorted = [...masks].sort((a, b) => a - b);
  const at = (share: number): string =>
    show(sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? 0);
  const mean = (times: readonly number[]): string => show(times.reduce((sum, time) => sum + time, 0) / times.length);
  const values = {
    tokens: String(masks.length),
    first: show(masks[0] ?? 0),
    median: at(0.5),
    p95: at(0.95),
    worst: at(1),
    mean: mean(masks),
    accept: mean(accepts),
  };
  const cells = Object.entries(values).map(([name, value]) => `${name} ${value.padStart(7)}`);
  console.log(`  ${what.padEnd(15)} ${cells.join('  ')}`);
}

function show(ms: number): string {
  return ms.toFixed(3);
}

function toMib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

const vocabularies: readonly (readonly [string, Tokenizer])[] = [
  ['model of tests', await openTokenizer(testModelDir)],
  ['synthetic', buildSyntheticTokenizer()],
];
for (const [name, tokenizer] of vocabularies) {
  const startMs = performance.now();
  const trie = new TokenTrie(tokenizer.vocabularySize, (id) => tokenizer.tokenBytes(id));
  const trieMs = Math.round(performance.now() - startMs);
  console.log(
    `\n${name}: ${tokenizer.vocabularySize} entries, trie of ${trie.bytes.length} places in ${trieMs} ms, longest ${trie.longest} bytes; times in ms`,
  );
  const bench = new Bench(tokenizer, trie);
  for (const one of cases) bench.run(one);
}

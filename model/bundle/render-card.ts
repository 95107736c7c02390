import type { ModelCard } from '../../src/engine/index.ts';
import type { Sample } from './sample.ts';

/** config.json, as far as the card tells it. */
export interface CardConfig {
  readonly num_hidden_layers: number;
  readonly first_k_dense_replace: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly moe_intermediate_size: number;
  readonly num_attention_heads: number;
  readonly q_lora_rank: number;
  readonly kv_lora_rank: number;
  readonly qk_rope_head_dim: number;
  readonly qk_nope_head_dim: number;
  readonly v_head_dim: number;
  readonly n_routed_experts: number;
  readonly num_experts_per_tok: number;
  readonly n_shared_experts: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
}

/** training.json, as the export writes it. */
export interface Training {
  readonly recipe: string;
  readonly tokens: number;
  readonly steps: number;
  readonly seconds: number;
}

export interface CardFacts {
  readonly config: CardConfig;
  readonly training: Training;
  readonly card: ModelCard;
  readonly sample: Sample;
  readonly weightBytes: number;
  /** Tables of `npm run eval` for these weights; null: not run yet. */
  readonly evaluation: string | null;
}

export function renderCard({ config: c, training, card, sample, weightBytes, evaluation }: CardFacts): string {
  const asked = sample.documents.flatMap(({ questions }) => questions).length;
  const whole =
    card.wholeDocumentTokens === 0
      ? 'none: with `"tools": true` every document is searched'
      : `${card.wholeDocumentTokens ?? 'half the window'} tokens; with \`"tools": true\` longer ones are searched`;
  return `# quire-nano

A small model of the Kimi-K2 kind that comes with quire, so that everything can be tried on any machine. It was trained on
made-up business documents in quire's own dialogue format: to look up what a document says of one thing (the *monthly
charge* of *Document Digitisation*), to say where it stands, and to search long documents with tools. It knows nothing of
the world, and nothing but English. What it can and cannot do is measured below, by the product itself, on names it was
never trained on. **Look at the quote of an answer**: a quote that stands on its page says so (\`verified\`).

| | |
|---|---|
| family | DeepSeek-V3 / Kimi-K2 (\`model_type\` kimi_k2): latent attention, sigmoid router with selection bias, shared expert |
| parameters | ${millions(card.parameters)}, of these ${millions(card.activeParameters)} used for a token; ${(weightBytes / 2 ** 20).toFixed(1)} MiB |
| layers | ${c.num_hidden_layers}, the first ${c.first_k_dense_replace} dense (width ${c.intermediate_size}) |
| hidden width | ${c.hidden_size}, ${c.num_attention_heads} heads of ${c.qk_nope_head_dim} + ${c.qk_rope_head_dim} / ${c.v_head_dim} |
| latent | ${c.kv_lora_rank} + ${c.qk_rope_head_dim} rotary = ${c.kv_lora_rank + c.qk_rope_head_dim} values a token and layer; queries through ${c.q_lora_rank} |
| experts | ${c.n_routed_experts} a layer, ${c.num_experts_per_tok} used, ${c.n_shared_experts} shared, width ${c.moe_intermediate_size} |
| window | ${c.max_position_embeddings.toLocaleString('en-US')} tokens (YaRN) |
| read whole | ${whole} |
| precision | routed experts INT4 (compressed-tensors, group 32), selection bias F32, the rest BF16 |
| vocabulary | ${c.vocab_size.toLocaleString('en-US')}: byte-level BPE, digits by themselves, the family's special tokens at the top |
| training | recipe \`${training.recipe}\`, ${millions(training.tokens)} tokens in ${training.steps.toLocaleString('en-US')} steps, ${hours(training.seconds)} of computing; how, and what did not work: \`model/training\` |

\`npx quire model verify model/quire-nano\` compares quire's forward pass with that of the training code
(\`expected.json\`). \`sample.json\` holds ${asked} questions with what was answered when the model was taken in: ${sample.exact} exactly
and ${sample.cited} with a quote that shows it, in both precisions; \`npm test\` asks them again.

## Evaluation
\`npm run eval\`: through prompts, engine, grammar, tools and checked citations; greedy. *Exact* is the expected value, type
and all; a guess is what is right by chance once the attribute, or the form of the question, is understood.

<!-- evaluation -->
${evaluation ?? 'Not run yet for these weights: `npm run eval -- --card`.'}
<!-- /evaluation -->

## What it cannot do, and what it would take
- **Counting**: in one of five a value is read twice, or a fourth one is not seen; more counts in training.
- **Listing**: which name comes next follows from what was read before it, one layer more than its four; a deeper model
  (\`model/training/recipes/nano-gpu.json\`, not run), or names that are numbered as a count's values are.
- **Pages of long documents read whole**: the page it names is a guess. Its quotes are right there, and one that stands on
  a single page gets that page from the product; by search it is right itself.
- **Kinds of questions it was not trained on**, several facts in a chain, checking its own draft: more of them in training,
  and a larger model.
- The world, other languages, dialogue: a model of the family that was trained on them (\`QUIRE_MODEL_DIR\`).
`;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(1)}M`;
}

function hours(seconds: number): string {
  return seconds < 7_200 ? `${Math.round(seconds / 60)} minutes` : `${(seconds / 3_600).toFixed(1)} hours`;
}
